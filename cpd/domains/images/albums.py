"""Captioned pictures in styles: emoji drawn in a table of styles, or folders of pictures.

An album knows its styles and, of each, captions and pictures in three splits: a style is learned on "train", its
checkpoints are selected on "select", and "report" is only reported. Models are not known here.

Source: ours.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np

from cpd.domains.images import emoji, many_styles, styles
from cpd.domains.images.folder_album import FolderAlbum, of_split
from cpd.runtime import cores

EMOJI = {"emoji": None, "few_emoji": 144}  # suites of drawings, and how many of them
DRAWINGS, STYLES = 288, 64  # of the suite "many_styles": drawings, and training styles where no number is given
SOME = 4  # styles that a process draws before it hands them back


class Album(Protocol):
    """Captioned pictures in styles."""

    @property
    def names(self) -> list[str]: ...
    @property
    def credit(self) -> str: ...
    def identity(self, style: str) -> str: ...
    def sentence(self, style: str) -> str: ...
    def phrasings(self, style: str) -> tuple[str, ...]: ...
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

    def phrasings(self, style: str) -> tuple[str, ...]:
        """Return sentences that describe a style in other words."""
        return many_styles.phrasings(self._style(style))

    def captions(self, style: str, split: str) -> list[str]:
        """Return the captions of a split, the same for every style."""
        return [drawing.caption for drawing in self._drawings(split)]

    def pictures(self, style: str, split: str, size: int, count: int | None = None) -> np.ndarray:
        """Return the (n, size, size, 3) uint8 pictures of a split in a style, the first ``count`` of them."""
        return styles.render_all(self.drawn(split)[:count], [self._style(style)], size)[0]

    def drawn(self, split: str) -> list[str]:
        """Return the drawings of a split, as SVG."""
        return [drawing.svg for drawing in self._drawings(split)]

    def _style(self, name: str) -> styles.Style:
        return next(style for style in self.table if style.name == name)

    def _drawings(self, split: str) -> list[emoji.Drawing]:
        return of_split(emoji.known()[: self.count], split)


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

    def phrasings(self, style: str) -> tuple[str, ...]:
        """Return the one sentence that there is."""
        return (self.sentence(style),)

    def captions(self, style: str, split: str) -> list[str]:
        """Return the captions of a split, one style after the other."""
        return [caption for name in self.styles for caption in self.album.captions(name, split)]

    def pictures(self, style: str, split: str, size: int, count: int | None = None) -> np.ndarray:
        """Return the pictures of a split, one style after the other."""
        return np.concatenate([self.album.pictures(name, split, size) for name in self.styles])[:count]


def album(suite: str, part: str) -> Album:
    """Return the styles that a study needs.

    Args:
        suite: "emoji", "few_emoji" for some of the drawings and, beside all training styles, half of the others,
            "many_styles", or "folder" for the folder that ``CPD_ALBUM_DIR`` names.
        part: "training" for styles that a generator is fitted to, "held_out" for others, "family" for styles on a line
            from one to another; folders of these names below ``CPD_ALBUM_DIR``, each laid out as `FolderAlbum`. Of
            "many_styles" those of `many`.

    Raises:
        FileNotFoundError: if there is no such folder.
        KeyError: if there is no such part.
        ValueError: if the suite is none of pictures.
    """
    if suite not in (*EMOJI, "folder", "many_styles"):
        raise ValueError(f"{suite!r} is no suite of pictures; there are {', '.join(EMOJI)}, folder, many_styles")
    if suite == "many_styles":
        return many(part)
    table = {"training": styles.TRAINING, "held_out": styles.INSIDE + styles.OUTSIDE, "family": styles.family()}[part]
    if suite == "folder":
        return _folder(part)
    few = suite == "few_emoji" and part != "training"
    return EmojiAlbum(table[: len(table) // 2] if few else table, EMOJI[suite])


def many(part: str, count: int | None = None) -> EmojiAlbum:
    """Return the drawings in random styles.

    Args:
        part: "training", "validation", "test" for the named held-out styles and random ones, or "apart" for styles
            with an effect or a kind of palette that no training style has.
        count: of training styles, `STYLES` if not given; more begin with the same ones. Of other parts the first few.

    Raises:
        KeyError: if there is no such part.
        ValueError: if the count is not 1 or more.
    """
    if part == "training":
        return EmojiAlbum(many_styles.training(STYLES if count is None else count), DRAWINGS)
    table = {"validation": many_styles.validation, "test": many_styles.test, "apart": many_styles.apart}[part]()
    if count is not None and not 1 <= count <= len(table):
        raise ValueError(f"there are 1 to {len(table)} {part} styles, not {count}")
    return EmojiAlbum(table[:count], DRAWINGS)


def rendered(album: EmojiAlbum, names: Sequence[str], split: str, size: int) -> dict[str, np.ndarray]:
    """Draw many styles on every core of this machine.

    Args:
        album: whose drawings and styles.
        names: of the styles.
        split: whose drawings.
        size: height and width, pixels.

    Returns:
        Of each style the (n, size, size, 3) uint8 pictures that ``album.pictures`` gives.
    """
    svgs, rows = album.drawn(split), {style.name: style for style in album.table}
    parts = [[rows[name] for name in names[i : i + SOME]] for i in range(0, len(names), SOME)]
    drawn = cores.on_every_core(styles.render_all, [(svgs, part, size) for part in parts])
    return dict(zip(names, (pictures for some in drawn for pictures in some)))


def _folder(part: str) -> FolderAlbum:
    root = os.environ.get("CPD_ALBUM_DIR", "")
    if not root or not Path(root, part).is_dir():
        raise FileNotFoundError(f"CPD_ALBUM_DIR is {root!r}; it must name a folder with {part}/STYLE/ full of pictures")
    return FolderAlbum(Path(root, part))
