"""Tensors and matrices in files: safetensors, and nothing else; nothing is ever unpickled.

Source: the file format is https://huggingface.co/docs/safetensors.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import safetensors
import safetensors.torch
from torch import Tensor

from cpd.runtime.artifacts import replacing


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> Path:
    """Write named tensors as safetensors, whole or not at all; equal input gives equal bytes.

    Raises:
        OSError: if the disk is full or the folder read-only.
    """
    contiguous = {name: tensors[name].detach().cpu().contiguous() for name in sorted(tensors)}
    with replacing(path) as temporary:
        try:
            safetensors.torch.save_file(contiguous, temporary, dict(metadata or {}))
        except safetensors.SafetensorError as error:
            raise OSError(f"{path} could not be written: {error}") from error
    return path


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read every tensor of a safetensors file, into memory of its own.

    A tensor that lies in a file begins at any address there, and how a kernel rounds may depend on the address.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not a whole safetensors file (empty, truncated, or a pickle, which is never opened).
    """
    _require_safetensors(path)
    return {name: tensor.clone() for name, tensor in safetensors.torch.load_file(path).items()}


def read_metadata(path: Path) -> dict[str, str]:
    """Read the text that was stored beside the tensors of a safetensors file; errors as :func:`read_tensors`."""
    _require_safetensors(path)
    with safetensors.safe_open(path, "pt") as file:
        return file.metadata() or {}


def create_matrix(path: Path, rows: int, columns: int) -> np.memmap:
    """Create a float32 matrix on disk: a safetensors file with the one tensor ``vectors``.

    Args:
        path: file to create; an unfinished one of the same shape is opened again with its rows.
        rows: number of rows N.
        columns: number of columns K.

    Returns:
        (N, K) writable memory map; new rows are zero.
    """
    shape = {"dtype": "F32", "shape": [rows, columns], "data_offsets": [0, 4 * rows * columns]}
    header = json.dumps({"vectors": shape}, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    size = 8 + len(header) + 4 * rows * columns
    if not path.exists() or path.stat().st_size != size:
        with replacing(path) as temporary, temporary.open("wb") as file:
            file.write(struct.pack("<Q", len(header)) + header)
            file.flush()
            if hasattr(os, "posix_fallocate"):  # a full disk is an error here, not a crash at the first row
                os.posix_fallocate(file.fileno(), 0, size)
            else:  # macOS
                file.truncate(size)
    return np.memmap(path, np.float32, "r+", 8 + len(header), (rows, columns))


def open_matrix(path: Path) -> np.memmap:
    """Open a matrix that :func:`create_matrix` made, without reading its rows.

    Returns:
        (N, K) read-only memory map.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not a whole safetensors file with one float32 matrix ``vectors``.
    """
    _require_safetensors(path)
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        entry = json.loads(file.read(length)).get("vectors", {})
    if entry.get("dtype") != "F32" or len(entry.get("shape", ())) != 2:
        raise ValueError(f"{path} holds no float32 matrix named 'vectors'; point to a zoo or run made by cpd")
    return np.memmap(path, np.float32, "r", 8 + length + entry["data_offsets"][0], tuple(entry["shape"]))


def _require_safetensors(path: Path) -> None:
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}; check the path, or make it again")
    try:
        with safetensors.safe_open(path, "pt"):
            pass
    except (safetensors.SafetensorError, OSError) as error:
        raise ValueError(
            f"{path} is not a whole safetensors file ({error}); "
            "save the weights as safetensors again (pickles are never opened)"
        ) from error
