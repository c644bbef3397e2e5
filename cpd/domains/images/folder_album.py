"""An album of people's own pictures: a folder for each style.

Source: ours; WikiArt and SemArt, the authors' data, are laid out so once they are unpacked.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from cpd.conditions import PICTURES
from cpd.features import read_picture
from cpd.runtime import artifacts, conditions_file
from cpd.runtime.conditions_file import CONDITIONS

SPLITS = ("train", "train", "train", "select", "report", "report")  # of six pictures in a row
Item = TypeVar("Item")


@dataclass(frozen=True)
class FolderAlbum:
    """Pictures in folders ``ROOT/STYLE/``, captions in ``ROOT/captions.csv``, sentences in ``ROOT/conditions.yaml``.

    Attributes:
        root: with a folder per style. ``captions.csv`` has the columns ``file,caption``, file as ``STYLE/name.jpg``;
            ``conditions.yaml`` a sentence for each style, or a list, of which the first is asked with and the others
            are learned with. In place of it there may be ``styles.csv`` with the columns ``style,sentence``. A picture
            without caption has its style's sentence; a style without sentence its name.
    """

    root: Path

    @property
    def names(self) -> list[str]:
        """Names of the folders that hold pictures."""
        found = sorted(folder.name for folder in self.root.iterdir() if folder.is_dir() and _pictures_in(folder))
        if not found:
            raise ValueError(f"{self.root} has no folder with pictures ({', '.join(PICTURES)}); make one per style")
        return found

    @property
    def credit(self) -> str:
        """Where the pictures come from."""
        return f"pictures of {self.root.parent.name}"

    def identity(self, style: str) -> str:
        """Return what tells the pictures of a style, and their captions, from all others."""
        captions = [self.captions(style, split) for split in dict.fromkeys(SPLITS)]
        return f"{style} {artifacts.folder_digest(self.root / style)} {captions}"

    def sentence(self, style: str) -> str:
        """Return the sentence that describes a style."""
        return self._told(style)[0]

    def phrasings(self, style: str) -> tuple[str, ...]:
        """Return the other sentences, or the one that there is."""
        first, *others = self._told(style)
        return tuple(others) or (first,)

    def _told(self, style: str) -> list[str]:
        return conditions_file.texts(self.root, style, self._said.get(style))

    @cached_property
    def _said(self) -> dict[str, Any]:
        """What is said of each style; read once, since every lesson asks for it."""
        if (self.root / CONDITIONS).is_file():
            return conditions_file.read(self.root)
        written = _table(self.root / "styles.csv", "style", "sentence")
        return {style: written.get(style, style.replace("_", " ")) for style in self.names}

    def require_whole(self) -> None:
        """Refuse styles of too few pictures, and a ``conditions.yaml`` that does not agree with the folders.

        Raises:
            FileNotFoundError: if it names a style without pictures.
            ValueError: if it says nothing of a style, or a style has fewer pictures than every split needs.
        """
        for style in self.names:
            self._files(style)
            self._told(style)
        for style in self._said:
            if conditions_file.folder_name(self.root, style) not in self.names:
                raise FileNotFoundError(
                    f"{self.root / CONDITIONS} names the style {style!r}, but there are no pictures in "
                    f"{self.root / style}; add some, or drop the line"
                )

    def captions(self, style: str, split: str) -> list[str]:
        """Return the captions of a split of a style."""
        written = _table(self.root / "captions.csv", "file", "caption")
        own = [written.get(f"{style}/{file.name}", self.sentence(style)) for file in self._files(style)]
        return of_split(own, split)

    def pictures(self, style: str, split: str, size: int, count: int | None = None) -> np.ndarray:
        """Return the (n, size, size, 3) uint8 pictures of a split, the middle square of each; the first ``count``.

        Raises:
            ValueError: if the style has fewer pictures than every split needs, or a file is no picture.
        """
        return np.stack([_square(file, size) for file in of_split(self._files(style), split)[:count]])

    def _files(self, style: str) -> list[Path]:
        files = _pictures_in(self.root / style)
        if missing := len(SPLITS) - len(files[: len(SPLITS)]):
            raise ValueError(f"style {style!r} has {len(files)} pictures in {self.root / style}, {missing} are missing")
        return files


def of_split(items: Sequence[Item], split: str) -> list[Item]:
    """Return the items of a split, in their order."""
    return [item for i, item in enumerate(items) if SPLITS[i % len(SPLITS)] == split]


def _pictures_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURES)


def _table(file: Path, key: str, value: str) -> dict[str, str]:
    if not file.exists():
        return {}
    with file.open(encoding="utf-8", newline="") as lines:
        rows = csv.DictReader(lines)
        if missing := {key, value} - set(rows.fieldnames or ()):
            raise ValueError(f"{file} has no column {sorted(missing)[0]!r}; its first line must name {key} and {value}")
        found = {row[key]: row[value] for row in rows}
        if short := [name for name, text in found.items() if not (name and text)]:
            raise ValueError(f"{file} says no {value} of {short[0]!r}; fill it in or remove the line")
        return found


def _square(file: Path, size: int) -> np.ndarray:
    picture = read_picture(file)
    side = min(picture.size)
    left, top = ((length - side) // 2 for length in picture.size)
    return np.asarray(picture.resize((size, size), Image.Resampling.LANCZOS, (left, top, left + side, top + side)))
