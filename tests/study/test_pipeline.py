"""The study's own path, from base encoder to generated adapter, on every family of encoders; nothing is made twice."""

from dataclasses import replace
from pathlib import Path

import pytest
import tiny
import torch

from cpd.domains.domain import Domain
from cpd.domains.embeddings import Embeddings
from cpd.domains.text.domain import TextDomain
from cpd.methods import controls
from cpd.methods.cond_pdiff import fitting
from cpd.methods.cond_pdiff.generator import CondPDiff
from cpd.methods.cond_pdiff.settings import Learning
from cpd.methods.hypernetwork.settings import Writing
from cpd.runtime import artifacts
from cpd.study import pipeline
from cpd.zoo.zoo import AdapterZoo

LEARNING = Learning(latent=8, ae_steps=6, ae_batch=8, width=32, depth=1, steps=8, batch=16, condition="one_hot")


@pytest.fixture(autouse=True)
def own_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CPD_ARTIFACTS", str(tmp_path / "artifacts"))


def made(folder: Path, family: str) -> tuple[Domain, AdapterZoo, CondPDiff]:
    domain = TextDomain(tiny.spec(tiny.encoder(folder / family, family)), tiny.CARDS)
    zoo = pipeline.zoo(domain, LEARNING.condition, 0)
    return domain, zoo, pipeline.generator(zoo, LEARNING, 0)


@pytest.mark.parametrize("family", ["bert", "roberta", "deberta"])
def test_generated_adapters_hold_the_frozen_part_of_the_head_exactly_and_score(family: str, tmp_path: Path) -> None:
    domain, zoo, generator = made(tmp_path, family)
    start, trained = domain.untrained(), int(domain.trained.sum())
    vectors = generator.generate("reviews", 3, seed=0)
    changed = (vectors != start).any(dim=0)
    assert 0 < generator.autoencoder.size <= trained
    assert (int(changed.sum()) < domain.layout.size) == (trained < domain.layout.size)
    assert torch.equal(vectors[:, ~changed], start[~changed].expand(3, -1))
    assert int(changed.sum()) <= trained
    assert domain.score("reviews", vectors, "report").shape == (3,)


def test_a_second_call_finds_zoo_and_generator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, zoo, first = made(tmp_path, "bert")
    assert [len(zoo.training()), len(zoo.held_out())] == [2 * 2 * 4, 2 * 1 * 4]
    monkeypatch.setattr(TextDomain, "loss", lambda *_: pytest.fail("a run was made twice"))
    monkeypatch.setattr(fitting, "fit_autoencoder", lambda *_: pytest.fail("a generator was fitted twice"))
    _, again, second = made(tmp_path, "bert")
    assert again.rows == zoo.rows
    assert torch.equal(first.generate("ratings", 2, 1), second.generate("ratings", 2, 1))


def test_each_method_has_a_generator_of_its_own(tmp_path: Path) -> None:
    _, zoo, learned = made(tmp_path, "bert")
    averaged = pipeline.generator(zoo, LEARNING, 0, "soup")
    assert (learned.name, averaged.name) == ("cond_pdiff", "soup")
    assert torch.equal(averaged.generate("reviews", 1, 0), controls.soup(zoo, "reviews"))
    with pytest.raises(ValueError, match="no method 'magic'; there are cond_pdiff, "):
        pipeline.generator(zoo, LEARNING, 0, "magic")


def test_a_hypernetwork_is_another_where_its_tasks_are_put_in_other_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = tiny.encoder(tmp_path / "base")
    writing = Writing(width=8, depth=1, steps=2, tasks=2, rows=2)
    folders: list[Path] = []
    address = artifacts.address
    monkeypatch.setattr(artifacts, "address", lambda kind, spec: folders.append(address(kind, spec)) or folders[-1])
    for words in (("praise",), ("praise",), ("praise", "liked")):
        cards = [replace(card, phrasings=words) for card in tiny.CARDS if card.classes]
        tasks = TextDomain(tiny.spec(base, pooling="mean", dropout=0.0), cards)
        tasks.embeddings = Embeddings(lambda texts: torch.full((len(texts), 16), 0.25), "constant")
        pipeline.taught(tasks, writing, 0)
    first, second, third = [folder for folder in folders if folder.parent.name == "generators"]
    assert first == second != third
