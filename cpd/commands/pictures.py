"""What the commands do where ROOT holds pictures in styles, ``ROOT/STYLE/*.png``, and not adapters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cpd.commands import writer

if TYPE_CHECKING:
    from torch import Tensor

    from cpd.methods.hypernetwork.generator import FittedHypernetwork


def there(root: Path) -> bool:
    """Tell whether a folder holds folders of pictures, and neither adapters nor tables."""
    from cpd.commands import tables
    from cpd.conditions import PICTURES
    from cpd.zoo import walk

    if not root.is_dir() or tables.there(root) or walk.has_adapters(root):
        return False
    return any(file.suffix.lower() in PICTURES for file in root.glob("[!.]*/*"))


def fit(
    root: Path, out: Path, base: str | None, preset: str, held_out: Sequence[str], seed: int,
    rank: int | None, steps: int | None, writes: str | None,
) -> None:  # fmt: skip
    """Learn to write adapters for the styles of folders of pictures, and save what was learned."""
    from cpd.domains.images.albums import FolderAlbum
    from cpd.methods.hypernetwork import pictures, presets

    writer.quiet()
    writing = presets.sizes(presets.PICTURES, preset, steps=steps, writes=writes)
    how = pictures.spec(writer.found(base or "emoji"), rank or pictures.RANK)
    album = FolderAlbum(root)
    album.require_whole()
    writer.fit(
        out, held_out, lambda work: pictures.fit(album, held_out, how, writing, seed, work), "styles of pictures"
    )


def styles(root: Path) -> dict[str, Any]:
    """Describe a folder of pictures, JSON values: of each style its sentences, and how many pictures it has."""
    from cpd.domains.images.albums import SPLITS, FolderAlbum

    album = FolderAlbum(root)
    album.require_whole()
    return {
        "styles": {
            style: {
                "sentences": list(dict.fromkeys([album.sentence(style), *album.phrasings(style)])),
                "pictures": sum(len(album.captions(style, split)) for split in set(SPLITS)),
                "learned": len(album.captions(style, "train")),
            }
            for style in album.names
        }
    }


def table(said: dict[str, Any]) -> str:
    """Write it for people to read."""
    lines = [f"{len(said['styles'])} styles", "", f"{'style':<20}{'pictures':>10}{'learned':>9}  sentence"]
    for style, own in said["styles"].items():
        lines.append(f"{style:<20}{own['pictures']:>10}{own['learned']:>9}  {own['sentences'][0]}")
    return "\n".join(lines)


def told(made: FittedHypernetwork, condition: str | None, examples: Path | None) -> Tensor | str | None:
    """Return what a generator is told: a sentence or a style as they are, or a vector of sentence and pictures."""
    if examples is None:
        return condition
    from cpd.conditions import ConditionEncoder
    from cpd.domains.images import telling

    sentence = made.sentences.get(condition or "", condition or "")
    return telling.told(made.embeddings, sentence.strip(), ConditionEncoder("images").encode([str(examples)]))
