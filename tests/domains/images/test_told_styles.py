"""What is told of a style, and that a lesson shows none of the pictures that it asks about."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from cpd import features
from cpd.domains.embeddings import Embeddings
from cpd.domains.images import domain as image_domain
from cpd.domains.images import emoji, pixart, styles, telling
from cpd.domains.images.albums import Album, EmojiAlbum
from cpd.domains.images.domain import ImageDomain
from cpd.domains.images.folder_album import FolderAlbum
from cpd.domains.images.shown import MOST
from cpd.domains.settings import Finetuning

E = 5
ALBUM = EmojiAlbum(styles.TRAINING[:3], 48)  # 24 drawings to learn from


def embed(texts: Any) -> Tensor:
    """Return embeddings that texts decide, of length 1."""
    drawn = [np.random.default_rng(list(text.encode())).normal(size=E).astype(np.float32) for text in texts]
    return torch.from_numpy(np.stack([each / np.linalg.norm(each) for each in drawn]))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base") / "small"
    pixart.small(0).save_pretrained(folder)
    return folder


def domain(base: Path, album: Album = ALBUM, tasks: tuple[str, ...] = ("night", "sunset")) -> ImageDomain:
    spec = {"suite": "emoji", "base": str(base), "tasks": tasks, "rank": 1, "targets": "attention", "dropout": 0.0}
    made = ImageDomain(Finetuning(**spec), album)  # type: ignore[arg-type]
    made.embeddings = Embeddings(embed)
    return made


@pytest.fixture
def marked(base: Path, monkeypatch: pytest.MonkeyPatch) -> ImageDomain:
    """A domain whose pictures can be told from their features: the first 16 of 24 have any, and number i has a 1 at i.

    A mean of pictures then says which ones were seen.
    """
    monkeypatch.setattr(image_domain, "TOLD", 16)
    made = domain(base)
    for name in made.names:
        made._latents[name] = torch.zeros(24, 1, 1, 1)
        made._real[name, "train"] = torch.eye(16, features.SIZE)
    return made


# closed forms


def test_pictures_a_sentence_or_both_in_closed_form() -> None:
    embeddings = Embeddings(embed)
    seen = torch.arange(2.0 * features.SIZE).view(2, -1)
    words, nothing = embed(["In blue."])[0], torch.zeros(features.SIZE)
    expected = {
        ("In blue.", False): [nothing, words, torch.tensor([0.0, 1.0])],
        ("", True): [seen.mean(dim=0), torch.zeros(E), torch.tensor([1.0, 0.0])],
        ("In blue.", True): [seen.mean(dim=0), words, torch.tensor([1.0, 1.0])],
        ("", False): [nothing, torch.zeros(E), torch.zeros(2)],
    }
    for (sentence, shown), parts in expected.items():
        made = telling.told(embeddings, sentence, seen if shown else None)
        assert made.dtype == torch.float32 and torch.equal(made, torch.cat(parts))
        assert made.shape == (telling.shape(E).size,) == (features.SIZE + E + 2,)


def test_a_style_is_asked_with_its_sentence_and_has_no_classes(base: Path) -> None:
    made = domain(base)
    assert made.told_shape == telling.shape(E) and not made.told_shape.classes
    for name in made.names:
        assert made.sentence(name) == ALBUM.sentence(name)
        alone = made.told_shape.of_sentence(embed([made.sentence(name)])[0].numpy())
        assert torch.equal(made.asked(name), alone) and made.asked(name).shape == (made.told_shape.size,)
    assert {made.size(name) for name in made.names} == {24}


# lessons


def cut(condition: Tensor) -> tuple[list[int], Tensor, tuple[bool, bool]]:
    """Return which pictures were seen, the embedding, and whether pictures and a sentence were told."""
    assert condition.shape == (features.SIZE + E + 2,)
    shown, words, flags = condition.split([features.SIZE, E, 2])
    pictures = shown.nonzero()[:, 0].tolist()
    if pictures:
        torch.testing.assert_close(shown[pictures], torch.full((len(pictures),), 1 / len(pictures)))
    return pictures, words, (bool(flags[0]), bool(flags[1]))


def test_a_lesson_shows_none_of_the_pictures_that_it_asks_about(marked: ImageDomain) -> None:
    random, kinds, counts, asked = np.random.default_rng(0), Counter(), Counter(), Counter()
    phrasings = {tuple(embed([text])[0].tolist()) for text in ALBUM.phrasings("night")}
    said = set()
    for _ in range(600):
        condition, rows = marked.lesson("night", 6, random)
        pictures, words, kind = cut(condition)
        assert len(set(rows.tolist())) == 6 and not set(pictures) & set(rows.tolist())
        assert bool(pictures) == kind[0] and bool(words.any()) == kind[1]
        kinds[kind] += 1
        counts[len(pictures)] += 1
        asked.update(rows.tolist())
        said |= {tuple(words.tolist())} if kind[1] else set()
    shares = {kind: count / 600 for kind, count in kinds.items()}
    assert shares == pytest.approx({(True, False): 0.5, (False, True): 0.2, (True, True): 0.3}, abs=0.07)
    assert set(counts) == set(range(MOST + 1)) and set(asked) == set(range(24))
    assert said <= phrasings and len(said) > 1


def test_a_lesson_is_what_its_random_numbers_say(marked: ImageDomain) -> None:
    (one, rows), (other, again) = (marked.lesson("night", 4, np.random.default_rng(5)) for _ in range(2))
    assert torch.equal(one, other) and np.array_equal(rows, again)


def test_where_no_picture_is_left_the_sentence_is_told(marked: ImageDomain) -> None:
    """All of a small album are asked about, or more than it has."""
    random = np.random.default_rng(0)
    for count, free in ((20, 8), (60, 16)):
        kinds = set()
        for _ in range(60):
            condition, rows = marked.lesson("night", count, random)
            pictures, _, kind = cut(condition)
            assert len(rows) == count and set(rows.tolist()) <= set(range(24))
            assert not set(pictures) & set(rows.tolist()) and len(pictures) <= free and any(kind)
            kinds.add(kind)
        assert (False, True) in kinds


def test_an_album_of_few_pictures_is_taught_too(base: Path, tmp_path: Path) -> None:
    (tmp_path / "ink").mkdir()
    for i in range(6):
        Image.new("RGB", (32, 32), (40 * i, 0, 0)).save(tmp_path / "ink" / f"{i}.png")
    made = domain(base, FolderAlbum(tmp_path), ())
    made.prepare()
    random = np.random.default_rng(0)
    for _ in range(20):
        condition, rows = made.lesson("ink", 2, random)
        assert len(rows) == 2 and condition[-2:].any()
        own, free = made.real("ink", "train"), sorted({0, 1, 2} - set(rows.tolist()))
        means = [own[[*some]].mean(dim=0) for n in (1, 2) for some in combinations(free, n)]
        seen = condition[: features.SIZE]
        assert not seen.any() or any(torch.allclose(seen, mean) for mean in means)


# what is drawn ahead


@pytest.fixture
def own_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wheels are read before the folder that holds them is another."""
    emoji.drawings()
    features.features(np.zeros((1, 8, 8, 3), np.uint8))
    monkeypatch.setenv("CPD_ARTIFACTS", str(tmp_path))


def test_drawn_ahead_or_one_by_one_pictures_are_the_same_and_are_found_again(
    base: Path, own_root: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_domain, "TOLD", 7)
    single, ahead, again = domain(base), domain(base), domain(base)
    expected = {name: (single.latents(name), single.real(name, "train")) for name in single.names}
    ahead.prepare()
    monkeypatch.setattr(image_domain.albums, "rendered", None)
    again.prepare()
    monkeypatch.setattr(EmojiAlbum, "pictures", None)
    for made in (ahead, again):
        for name, (latents, real) in expected.items():
            assert torch.equal(made.latents(name), latents) and len(latents) == 24
            assert torch.equal(made.real(name, "train"), real) and len(real) == 7
    assert not torch.equal(expected["night"][0], expected["sunset"][0])


def test_what_is_drawn_already_is_not_drawn_again(base: Path, own_root: None, monkeypatch: pytest.MonkeyPatch) -> None:
    made, asked = domain(base), []
    made.latents("night")

    def rendered(album: EmojiAlbum, names: list[str], split: str, size: int) -> dict[str, np.ndarray]:
        asked.extend(names)
        return {name: album.pictures(name, split, size) for name in names}

    monkeypatch.setattr(image_domain.albums, "rendered", rendered)
    made.prepare()
    made.prepare()
    assert asked == ["sunset"]
