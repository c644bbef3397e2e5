"""Captioned pictures in styles: emoji drawn in a table of styles, or folders of pictures.

An album knows its styles and, of each, captions and pictures in three splits: a style is learned on "train", its
checkpoints are selected on "select", and "report" is only reported. Models are not known here.

Source: ours; folders are how WikiArt and SemArt, the authors' data, are laid out once they are unpacked.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol, TypeVar

import numpy as np
from PIL import Image

from cpd.domains.images import emoji, styles
from cpd.features import read_picture
from cpd.runtime import artifacts

SPLITS = ("train", "train", "train", "select", "report", "report")  # of six pictures in a row
EMOJI = {"emoji": None, "few_emoji": 144}  # suites of drawings, and how many of them
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
Item = TypeVar("Item")


class Album(Protocol):
    """Captioned pictures in styles."""

    @property
    def names(self) -> list[str]: ...
    @property
    def credit(self) -> str: ...
    def identity(self, style: str) -> str: ...
    def sentence(self, style: str) -> str: ...
    def captions(self, style: str, split: str) -> list[str]: ...
    def pictures(self, style: str, split: str, size: int, count: int | None = None) -> np.ndarray: ...


@dataclass(frozen=True)
class EmojiAlbum:
    """Emoji in a table of styles; every style has the same drawings, all of them known to the base model.

    Attributes:
        table: of styles.
        count: of drawings; None takes all that are not held out.
    """

    table: tuple[styles.Style, ...] = styles.TRAINING
    count: int | None = None
    credit: ClassVar[str] = emoji.ATTRIBUTION

    @property
    def names(self) -> list[str]:
        """Names of the styles."""
        return [style.name for style in self.table]

    def identity(self, style: str) -> str:
        """Return what tells the pictures of a style from all others."""
        return f"{emoji.WHEEL} {self.count} {self._style(style)}"

    def sentence(self, style: str) -> str:
        """Return the sentence that describes a style."""
        return self._style(style).sentence

    def captions(self, style: str, split: str) -> list[str]:
        """Return the captions of a split, the same for every style."""
        return [drawing.caption for drawing in self._drawings(split)]

    def pictures(self, style: str, split: str, size: int, count: int | None = None) -> np.ndarray:
        """Return the (n, size, size, 3) uint8 pictures of a split in a style, the first ``count`` of them."""
        row = self._style(style)
        return np.stack([styles.render(drawing.svg, row, size) for drawing in self._drawings(split)[:count]])

    def _style(self, name: str) -> styles.Style:
        return next(style for style in self.table if style.name == name)

    def _drawings(self, split: str) -> list[emoji.Drawing]:
        return _of_split(emoji.known()[: self.count], split)


@dataclass(frozen=True)
class FolderAlbum:
    """Pictures in folders ``ROOT/STYLE/``, captions in ``ROOT/captions.csv``, sentences in ``ROOT/styles.csv``.

    Attributes:
        root: with a folder per style; the files have the columns ``file,caption`` (file as ``STYLE/name.jpg``) and
            ``style,sentence``. A picture without caption has its style's sentence; a style without sentence its name.
    """

    root: Path

    @property
    def names(self) -> list[str]:
        """Names of the folders that hold pictures."""
        found = sorted(folder.name for folder in self.root.iterdir() if folder.is_dir() and _pictures_in(folder))
        if not found:
            raise ValueError(f"{self.root} has no folder with pictures ({', '.join(SUFFIXES)}); make one per style")
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
        return _table(self.root / "styles.csv", "style", "sentence").get(style, style.replace("_", " "))

    def captions(self, style: str, split: str) -> list[str]:
        """Return the captions of a split of a style."""
        written = _table(self.root / "captions.csv", "file", "caption")
        own = [written.get(f"{style}/{file.name}", self.sentence(style)) for file in self._files(style)]
        return _of_split(own, split)

    def pictures(self, style: str, split: str, size: int, count: int | None = None) -> np.ndarray:
        """Return the (n, size, size, 3) uint8 pictures of a split, the middle square of each; the first ``count``.

        Raises:
            ValueError: if the style has fewer pictures than every split needs, or a file is no picture.
        """
        return np.stack([_square(file, size) for file in _of_split(self._files(style), split)[:count]])

    def _files(self, style: str) -> list[Path]:
        files = _pictures_in(self.root / style)
        if missing := len(SPLITS) - len(files[: len(SPLITS)]):
            raise ValueError(f"style {style!r} has {len(files)} pictures in {self.root / style}, {missing} are missing")
        return files


@dataclass(frozen=True)
class Together:
    """Some styles of an album as one, for a single adapter of them all.

    Attributes:
        album: whose styles.
        styles: their names.
    """

    album: Album
    styles: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        """The one name."""
        return ["together"]

    @property
    def credit(self) -> str:
        """Whose pictures these are."""
        return self.album.credit

    def identity(self, style: str) -> str:
        """Return what tells these pictures from all others."""
        return "\n".join(self.album.identity(name) for name in self.styles)

    def sentence(self, style: str) -> str:
        """Return the sentences of the styles."""
        return " ".join(self.album.sentence(name) for name in self.styles)

    def captions(self, style: str, split: str) -> list[str]:
        """Return the captions of a split, one style after the other."""
        return [caption for name in self.styles for caption in self.album.captions(name, split)]

    def pictures(self, style: str, split: str, size: int, count: int | None = None) -> np.ndarray:
        """Return the pictures of a split, one style after the other."""
        return np.concatenate([self.album.pictures(name, split, size) for name in self.styles])[:count]


def album(suite: str, part: str) -> Album:
    """Return the styles that a study needs.

    Args:
        suite: "emoji", "few_emoji" for some of them, or "folder" for the folder that ``CPD_ALBUM_DIR`` names.
        part: "training" for styles that a generator is fitted to, "held_out" for others, "family" for styles on a line
            from one to another; folders of these names below ``CPD_ALBUM_DIR``, each laid out as `FolderAlbum`.

    Raises:
        FileNotFoundError: if there is no such folder.
        KeyError: if there is no such part.
        ValueError: if the suite is none of pictures.
    """
    if suite not in (*EMOJI, "folder"):
        raise ValueError(f"{suite!r} is no suite of pictures; there are {', '.join(EMOJI)}, folder")
    table = {"training": styles.TRAINING, "held_out": styles.INSIDE + styles.OUTSIDE, "family": styles.family()}[part]
    return _folder(part) if suite == "folder" else EmojiAlbum(table, EMOJI[suite])


def _folder(part: str) -> FolderAlbum:
    root = os.environ.get("CPD_ALBUM_DIR", "")
    if not root or not Path(root, part).is_dir():
        raise FileNotFoundError(f"CPD_ALBUM_DIR is {root!r}; it must name a folder with {part}/STYLE/ full of pictures")
    return FolderAlbum(Path(root, part))


def _of_split(items: Sequence[Item], split: str) -> list[Item]:
    return [item for i, item in enumerate(items) if SPLITS[i % len(SPLITS)] == split]


def _pictures_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)


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
