"""WikiArt and SemArt, as small ones made on the spot, become folders that an album reads."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features
from datasets import Image as Picture
from PIL import Image

from cpd.domains.images.folder_album import FolderAlbum
from cpd.domains.images.paintings import SIDE, semart, unpack, wikiart

STYLES = ["Cubism", "Ukiyo_e"]


def picture(i: int, size: tuple[int, int] = (24, 16)) -> Image.Image:
    return Image.new("RGB", size, (20 * i, 0, 200))


@pytest.fixture
def small_wikiart(tmp_path: Path) -> str:
    kinds = Features(
        image=Picture(), style=ClassLabel(names=STYLES), genre=ClassLabel(names=["cityscape"]),
        artist=ClassLabel(names=["a_b"]),
    )  # fmt: skip
    rows = [{"image": picture(i), "style": i % 2, "genre": 0, "artist": 0} for i in range(16)]
    (tmp_path / "hub").mkdir()
    Dataset.from_list(rows, features=kinds).to_parquet(tmp_path / "hub" / "train-00000.parquet")
    return str(tmp_path / "hub")


@pytest.fixture
def small_semart(tmp_path: Path) -> str:
    root = tmp_path / "SemArt"
    (root / "Images").mkdir(parents=True)
    rows = [("IMAGE_FILE", "TITLE", "SCHOOL")]
    for i in range(6):
        picture(i, (2 * SIDE, 3 * SIDE)).save(root / "Images" / f"{i}.jpg")
        rows.append((f"{i}.jpg", f"Fête {i}", "French"))
    with (root / "semart_train.csv").open("w", encoding="latin-1", newline="") as lines:
        csv.writer(lines, delimiter="\t").writerows(rows)
    return str(root)


def test_wikiart_becomes_an_album_with_styles_apart(small_wikiart: str, tmp_path: Path) -> None:
    written = unpack(wikiart(small_wikiart), tmp_path / "out", ("Ukiyo e",), 7)
    assert written == {"Cubism": 7, "Ukiyo e": 7}
    known, others = (FolderAlbum(tmp_path / "out" / part) for part in ("training", "held_out"))
    assert (known.names, others.names) == (["Cubism"], ["Ukiyo_e"])
    assert set(known.captions("Cubism", "train")) == {"cityscape by a b"}
    shown = known.pictures("Cubism", "report", 8)[:, 4, 4, 0]
    assert np.abs(shown.astype(int) - [20 * 8, 20 * 10]).max() <= 3, "pictures 4 and 5 of the style, in their order"


def test_semart_is_read_with_its_accents_and_made_smaller(small_semart: str, tmp_path: Path) -> None:
    unpack(semart(small_semart), tmp_path / "out", (), 100)
    album = FolderAlbum(tmp_path / "out" / "training")
    assert album.captions("French", "report") == ["Fête 4", "Fête 5"]
    with Image.open(tmp_path / "out" / "training" / "French" / "00000.jpg") as first:
        assert first.size == (SIDE, SIDE * 3 // 2)


def test_what_is_missing_is_named_and_nothing_is_there_then(small_semart: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no painting is of the style 'Dutch'; there are French"):
        unpack(semart(small_semart), tmp_path / "out", ("Dutch",), 100)
    (Path(small_semart) / "Images" / "3.jpg").write_bytes(b"")
    with pytest.raises(ValueError, match=r"3\.jpg is no picture"):
        unpack(semart(small_semart), tmp_path / "out", (), 100)
    assert not list(tmp_path.glob("out*"))
    with pytest.raises(FileNotFoundError, match=r"semart_train\.csv; --source names"):
        list(semart(str(tmp_path)))
