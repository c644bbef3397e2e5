"""WikiArt and SemArt, the authors' pictures, unpacked into the folders that `folder_album.FolderAlbum` reads.

``python -m cpd.domains.images.paintings wikiart OUT`` takes WikiArt from the hub, or from a folder that
``datasets`` can load; ``... semart OUT --source SEMART`` takes SemArt as its authors pack it (``semart_train.csv``
beside ``Images/``). Then ``CPD_ALBUM_DIR=OUT`` and the suite "folder" study them. Nothing is kept in
memory but one picture.

Source: huggan/wikiart on the hub; SemArt, arXiv 1810.09617 (its schools of painting are the styles); arXiv 2408.01415,
section 4.2 uses both.
"""

from __future__ import annotations

import argparse
import csv
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from PIL import Image
from tqdm import tqdm

from cpd.features import read_picture
from cpd.runtime import artifacts

SIDE = 512  # pixels, the shorter side of what is kept
PARTS = ("training", "held_out")


class Painting(NamedTuple):
    style: str
    caption: str
    picture: Image.Image | Path


def wikiart(source: str) -> Iterator[Painting]:
    """Yield WikiArt's paintings: style, "genre by artist", picture.

    Args:
        source: name on the hub, or a folder, of a data set with ``image`` and the labels ``style, genre, artist``.
    """
    from datasets import load_dataset  # takes seconds: only when WikiArt is unpacked

    rows = load_dataset(source, split="train", streaming=True)
    labels = {key: rows.features[key].names for key in ("style", "genre", "artist")}
    for row in rows:
        style, genre, artist = (labels[key][row[key]].replace("_", " ") for key in ("style", "genre", "artist"))
        yield Painting(style, f"{genre} by {artist}", row["image"])


def semart(source: str) -> Iterator[Painting]:
    """Yield SemArt's paintings: school, title, file.

    Raises:
        FileNotFoundError: if the folder has no ``semart_train.csv``.
    """
    table = Path(source) / "semart_train.csv"
    if not table.is_file():
        raise FileNotFoundError(f"there is no {table}; --source names the unpacked SemArt folder")
    with table.open(encoding="latin-1", newline="") as lines:
        for row in csv.DictReader(lines, delimiter="\t"):
            yield Painting(row["SCHOOL"], row["TITLE"], Path(source) / "Images" / row["IMAGE_FILE"])


def unpack(paintings: Iterable[Painting], out: Path, held_out: tuple[str, ...], count: int) -> dict[str, int]:
    """Write paintings as ``OUT/PART/STYLE/00000.jpg`` with ``OUT/PART/captions.csv``.

    Args:
        paintings: in any order.
        out: must not exist.
        held_out: styles that go to the part of that name, the others to "training".
        count: paintings of each style, at most.

    Returns:
        Style -> how many were written.

    Raises:
        FileExistsError: if ``out`` exists.
        ValueError: if a picture is damaged, or a held-out style does not occur; nothing is left of ``out``.
    """
    with artifacts.building(out, {"kind": "album"}) as partial:
        try:
            return _written(paintings, partial, held_out, count)
        except BaseException:
            shutil.rmtree(partial)  # nothing to resume from: paintings come in one stream
            raise


def _written(paintings: Iterable[Painting], folder: Path, held_out: tuple[str, ...], count: int) -> dict[str, int]:
    written: Counter[str] = Counter()
    captions: dict[str, list[tuple[str, str]]] = {}
    for style, caption, picture in tqdm(paintings, desc="paintings"):
        if written[style] == count:
            continue
        part, name = PARTS[style in held_out], style.replace(" ", "_").replace("/", "_")
        file = f"{name}/{written[style]:05d}.jpg"
        (folder / part / name).mkdir(parents=True, exist_ok=True)
        _reduced(picture).save(folder / part / file, quality=95)
        captions.setdefault(part, []).append((file, caption))
        written[style] += 1
    if missing := sorted(set(held_out) - set(written)):
        raise ValueError(f"no painting is of the style {missing[0]!r}; there are {', '.join(sorted(written))}")
    for part, rows in captions.items():
        with (folder / part / "captions.csv").open("w", encoding="utf-8", newline="") as lines:
            csv.writer(lines).writerows([("file", "caption"), *rows])
    return dict(written)


def _reduced(picture: Image.Image | Path) -> Image.Image:
    image = read_picture(picture) if isinstance(picture, Path) else picture.convert("RGB")
    factor = SIDE / min(image.size)
    if factor >= 1:
        return image
    return image.resize((round(image.width * factor), round(image.height * factor)), Image.Resampling.LANCZOS)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser("python -m cpd.domains.images.paintings", description="Unpack WikiArt or SemArt.")
    parser.add_argument("collection", choices=("wikiart", "semart"))
    parser.add_argument("out", type=Path, help="folder to make; then CPD_ALBUM_DIR names it")
    parser.add_argument("--source", default="huggan/wikiart", help="name on the hub, or the folder of the pictures")
    parser.add_argument("--held-out", nargs="*", default=[], metavar="STYLE", help="styles not to learn from")
    parser.add_argument("--count", type=int, default=600, help="paintings of each style, at most")
    asked = parser.parse_args()
    read = {"wikiart": wikiart, "semart": semart}[asked.collection]
    try:
        written = unpack(read(asked.source), asked.out, tuple(asked.held_out), asked.count)
    except (FileNotFoundError, FileExistsError, ValueError) as error:
        raise SystemExit(f"cpd.domains.images.paintings: {error}") from None
    print(*(f"{count:5d} {style}" for style, count in sorted(written.items())), sep="\n")


if __name__ == "__main__":
    main()
