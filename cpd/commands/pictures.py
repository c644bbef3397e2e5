"""What the commands do where ROOT holds pictures in styles, ``ROOT/STYLE/*.png``, and not adapters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cpd.commands import evaluated, writer

if TYPE_CHECKING:
    from torch import Tensor

    from cpd.methods.hypernetwork.generator import FittedHypernetwork


FREE = {
    "untrained_adapter": "no adapter",
    "look_up": "looking up the learned style with the most similar pictures",
    "one_for_all": "the average of all generated adapters",
}


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
    from cpd.domains.images.folder_album import FolderAlbum
    from cpd.methods.hypernetwork import pictures, presets

    writer.quiet()
    writing = presets.sizes(presets.PICTURES, preset, steps=steps, writes=writes)
    how = pictures.spec(writer.found(base or "emoji"), rank or pictures.RANK)
    album = FolderAlbum(root)
    album.require_whole()
    writer.fit(
        out, held_out, lambda work: pictures.fit(album, held_out, how, writing, seed, work), "styles of pictures"
    )


def described(root: Path) -> dict[str, Any]:
    """Describe a folder of pictures, JSON values: of each style its sentences, and how many pictures it has."""
    from cpd.domains.images.folder_album import SPLITS, FolderAlbum

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


def evaluate(
    root: Path, generator: str, names: Sequence[str], base: str | None, steps: int | None, out: Path, seed: int
) -> dict[str, Any]:
    """Score what is written for styles that were not learned, write table, pictures and scores, and return them."""
    from dataclasses import replace

    from cpd import scoring
    from cpd.domains.images.domain import STEPS
    from cpd.domains.images.folder_album import FolderAlbum
    from cpd.methods import registry
    from cpd.methods.hypernetwork import pictures
    from cpd.methods.hypernetwork.generator import FittedHypernetwork
    from cpd.runtime import artifacts
    from cpd.unseen import styles

    writer.quiet()
    made = registry.load(generator)
    if not isinstance(made, FittedHypernetwork) or made.network.shape.classes:
        raise ValueError(
            f"{root} holds pictures, and {generator} did not learn any; name the folder that it learned from, or a "
            f"generator of `cpd fit --method {writer.METHOD}` on pictures"
        )
    album = FolderAlbum(root)
    album.require_whole()
    how = pictures.spec(writer.found(base or "emoji"), made.layout.config["r"])
    how = replace(how, scale=(steps or STEPS) / STEPS)
    asked = styles.asked(made, album, names, how, seed)
    with artifacts.rooted(out):
        shares, drawn = styles.score(asked)
    found = scoring.Scores({style: {arm: [own] for arm, own in each.items()} for style, each in shares.items()}, [])
    said: dict[str, Any] = {
        "verdict": scoring.verdict(found, FREE),
        "measure": "share of the Frechet distance from no adapter that is closed",
        "arms": scoring.table(found, styles.NAMES),
        "names": styles.NAMES,
        "scores": shares,
    }
    artifacts.write_json(out / "evaluation.json", said)
    away = {styles.NAMES[row["arm"]]: row["generated_above"] for row in said["arms"] if row["generated_above"]}
    evaluated.draw(out, away, "share of the distance, generated from pictures minus these")
    for style, rows in drawn.items():
        _draw(out / f"{style}.png", rows, shares[style], album.credit)
    return said


def _draw(file: Path, drawn: Mapping[str, Any], shares: Mapping[str, float], credit: str) -> None:
    """Draw what the adapters of each arm draw, below the style's own pictures."""
    from cpd.runtime import artifacts
    from cpd.study import figures
    from cpd.unseen.styles import NAMES

    rows = {NAMES.get(arm, "its own pictures"): pictures for arm, pictures in drawn.items()}
    notes = {NAMES[arm]: f"{share:+.2f}" for arm, share in shares.items()}
    artifacts.write_bytes(file, figures.pictures(rows, credit, notes=notes, columns=6).png())


def shown(said: dict[str, Any], out: Path) -> str:
    """Write what was found for people to read."""
    lines = [f"{'':<32}{'closed':>7}  generated minus it (95 % interval)"]
    for row in said["arms"]:
        lines.append(
            f"{said['names'][row['arm']]:<32}{row['mean'][0]:>7.2f}  {evaluated.away(row['generated_above'])}".rstrip()
        )
    about = (
        f"Share of the Frechet distance from what no adapter draws to the style's own pictures, mean over "
        f"{len(said['scores'])} styles that were not learned; 0 is no adapter, below it is worse."
    )
    return "\n".join([said["verdict"], "", *lines, "", about, f"{out / 'evaluation.json'}, evaluation.png, STYLE.png"])


def told(made: FittedHypernetwork, condition: str | None, examples: Path | None) -> Tensor | str | None:
    """Return what a generator is told: a sentence or a style as they are, or a vector of sentence and pictures."""
    if examples is None:
        return condition
    from cpd.conditions import ConditionEncoder
    from cpd.domains.images import telling

    sentence = made.sentences.get(condition or "", condition or "")
    return telling.told(made.embeddings, sentence.strip(), ConditionEncoder("images").encode([str(examples)]))
