"""Where files live, and how they get there whole.

An artifact is a folder named by the hash of what made it; its manifest names every file's sha256. Files are written
under a temporary name and moved into place, so a name that exists is complete. A lock beside it lets one process at a
time make it; the system drops the lock of a process that ends, however it ends. What the files mean is other modules'
business.

Source: ours.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

MANIFEST = "manifest.json"


def root() -> Path:
    """Return the folder of all artifacts.

    Returns:
        ``$CPD_ARTIFACTS`` where it is set, else ``artifacts/`` of the repository, else of the working directory.
    """
    if named := os.environ.get("CPD_ARTIFACTS"):
        return Path(named).expanduser().absolute()
    repository = Path(__file__).resolve().parents[2]
    return (repository if (repository / "pyproject.toml").exists() else Path.cwd()) / "artifacts"


@contextmanager
def rooted(folder: Path) -> Iterator[None]:
    """Keep in a folder what is made within the block, by this process and those that it starts."""
    before = os.environ.get("CPD_ARTIFACTS")
    os.environ["CPD_ARTIFACTS"] = str(folder.absolute())
    try:
        yield
    finally:
        os.environ.pop("CPD_ARTIFACTS")
        if before is not None:
            os.environ["CPD_ARTIFACTS"] = before


def address(kind: str, spec: Mapping[str, Any]) -> Path:
    """Return the folder of the artifact that ``spec`` describes: equal specs share it, different ones never do."""
    canonical = json.dumps(spec, sort_keys=True, separators=(",", ":"))
    return root() / kind / hashlib.sha256(canonical.encode()).hexdigest()[:16]


def is_complete(folder: Path) -> bool:
    """Tell whether an artifact was finished: its manifest is written last."""
    return (folder / MANIFEST).is_file()


@contextmanager
def making(folder: Path, spec: Mapping[str, Any] | None = None) -> Iterator[Path | None]:
    """Yield a working folder as :func:`building` does, or nothing where the artifact is complete already.

    A process that asks for what another one is making waits, and then finds it complete, or goes on where the other one
    was stopped. Whoever makes several at once asks for them in a sorted order, so that two never wait for each other.

    Args:
        folder: where the finished artifact goes.
        spec: what made it, kept in the manifest.

    Yields:
        The working folder; None if there is nothing to do.
    """
    with nullcontext() if is_complete(folder) else locked(folder):
        if is_complete(folder):
            yield None
        else:
            with building(folder, spec) as partial:
                yield partial


@contextmanager
def building(folder: Path, spec: Mapping[str, Any] | None = None) -> Iterator[Path]:
    """Yield a working folder that becomes ``folder`` when the block succeeds; no other process has it meanwhile.

    The working folder survives a crash, so that the next attempt finds its half-done files and resumes from them.
    Hidden files (names that begin with a dot) are working state: they are deleted, not kept. Within the block the same
    thread may build the same folder and be done with it.

    Args:
        folder: where the finished artifact goes; must not be there yet.
        spec: what made it, kept in the manifest.

    Raises:
        FileExistsError: if ``folder`` exists already.
    """
    with locked(folder):
        if folder.exists():
            raise FileExistsError(f"{folder} exists already; choose another folder or delete it first")
        partial = folder.with_name(folder.name + ".partial")
        partial.mkdir(exist_ok=True)
        yield partial
        if not is_complete(folder):
            _finish(partial, folder, spec)


def _finish(partial: Path, folder: Path, spec: Mapping[str, Any] | None) -> None:
    for state in partial.glob(".*"):
        state.unlink()
    files = {str(path.relative_to(partial)): sha256(path) for path in sorted(partial.rglob("*")) if path.is_file()}
    write_json(partial / MANIFEST, {"spec": spec or {}, "files": files})
    partial.rename(folder)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let one process at a time make what will be at ``path``; the others wait here.

    The lock is the hidden file ``.NAME.lock`` beside it, which goes with the block.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_name(f".{path.name}.lock"), is_singleton=True, poll_interval=0.2)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f"waiting for another process that is making {path}", file=sys.stderr)
        lock.acquire()
    try:
        yield
    finally:
        Path(lock.lock_file).unlink(missing_ok=True)  # who waits for it sees that it guards no name any more
        lock.release()


def verify(folder: Path) -> dict[str, Any]:
    """Hash an artifact's files again and return the spec that made it.

    Raises:
        FileNotFoundError: if there is no manifest, or a file it names is missing.
        ValueError: if a file differs from its hash.
    """
    manifest = read_json(folder / MANIFEST)
    for name, expected in manifest["files"].items():
        if (found := sha256(folder / name)) != expected:
            raise ValueError(
                f"{folder / name} has sha256 {found[:12]}, its manifest says {expected[:12]}; "
                "delete the folder and make it again"
            )
    return manifest["spec"]


def sha256(path: Path) -> str:
    """Return the sha256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_digest(folder: Path, suffixes: tuple[str, ...] = ()) -> str:
    """Return 16 hexadecimal digits that tell a folder's files, by name and bytes, from all others.

    Args:
        folder: it and all folders below it.
        suffixes: endings of the files that count; empty means all files.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file() and (not suffixes or path.suffix in suffixes))
    listed = "".join(f"{path.relative_to(folder)} {sha256(path)}\n" for path in files)
    return hashlib.sha256(listed.encode()).hexdigest()[:16]


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside ``path``; it takes the place of ``path`` when the block succeeds, else vanishes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> Path:
    """Write a file whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)
    return path


def write_json(path: Path, value: Any) -> Path:
    """Write JSON with sorted keys, whole or not at all; NaN and infinity raise ``ValueError``."""
    return write_bytes(path, (json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n").encode())


def read_json(path: Path) -> Any:
    """Read JSON.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{path} is not readable JSON ({error}); it may be truncated: make or copy it again"
        ) from error
