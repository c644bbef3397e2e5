"""A hypernetwork: it starts at zero-shot, writes what it says that it writes, and the condition does the work."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import synthetic
import tiny
import torch
from torch import Tensor

from cpd.adapters.peft_files import read_adapter, write_adapter
from cpd.domains.embeddings import Embeddings
from cpd.domains.text.domain import TextDomain
from cpd.domains.text.tasks import YES_NO, Split, TextTask, accuracy
from cpd.domains.told import FLAGS, Shape
from cpd.methods import registry
from cpd.methods.cond_pdiff.settings import Learning
from cpd.methods.hypernetwork import fitting, generator
from cpd.methods.hypernetwork.fitting import fit, initial
from cpd.methods.hypernetwork.generator import FittedHypernetwork
from cpd.methods.hypernetwork.network import SHARPNESS, THRESHOLD, Gist, Hypernetwork
from cpd.methods.hypernetwork.settings import WRITES, Writing
from cpd.methods.method import DESCRIPTION, WEIGHTS
from cpd.runtime import artifacts
from cpd.runtime.training import Plan

E, OUTPUTS, RANK = 16, 3, 2
QUICK = Writing(width=16, depth=1, steps=4, tasks=4, rows=4, learning_rate=3e-3)
OPINIONS = tiny.WORDS | {"praise": 1, "blame": 0}
FILES = {DESCRIPTION, WEIGHTS, "manifest.json"}


def unit(text: str) -> np.ndarray:
    """Return a vector of length 1 that the text decides: texts that praise lie close, and so do those that blame."""
    said = {OPINIONS[word] for word in text.replace("?", "").split() if word in OPINIONS}
    drawn = sum((_drawn(f"opinion {opinion}") for opinion in said), 0.5 * _drawn(text))
    return drawn / np.linalg.norm(drawn)


def _drawn(text: str) -> np.ndarray:
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
    return np.random.default_rng(seed).normal(size=E).astype(np.float32)


def embeddings() -> Embeddings:
    return Embeddings(lambda texts: torch.from_numpy(np.stack([unit(text) for text in texts])))


def good() -> tuple[Split, None]:
    return tiny.reviews()


def bad() -> tuple[Split, None]:
    """The same texts under the opposite rule."""
    rows, _ = tiny.reviews()
    return Split(rows.texts, 1 - rows.labels), None


def about() -> tuple[Split, None]:
    """What comes first in a text: a film, a book, or something else."""
    rows, _ = tiny.reviews(seed=2)
    firsts = [text.replace("the ", "").split()[0] for (text,) in rows.texts]
    return Split(rows.texts, np.array([{"film": 0, "book": 1}.get(first, 2) for first in firsts])), None


GOOD = TextTask("good", "Is it good?", YES_NO, accuracy, 1, good, ("a good thing", "praise"), "opinion")
BAD = TextTask("bad", "Is it bad?", YES_NO, accuracy, 1, bad, ("a bad thing", "blame"), "opinion")
ABOUT = TextTask("about", "What is it about?", ("a film", "a book", "other"), accuracy, 1, about, kind="topic")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.encoder(tmp_path_factory.mktemp("bases") / "tiny")


@pytest.fixture(scope="module", autouse=True)
def own_root(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CPD_ARTIFACTS", str(tmp_path_factory.mktemp("artifacts")))
        yield


def domain(base: Path, *cards: TextTask, **changes: Any) -> TextDomain:
    spec = {"pooling": "mean", "rank": RANK, "dropout": 0.0} | changes
    made = TextDomain(tiny.spec(base, **spec), cards or (GOOD, BAD, ABOUT))
    made.embeddings = embeddings()
    return made


def fitted(made: TextDomain, folder: Path, seed: int = 0, **changes: Any) -> FittedHypernetwork:
    found = FittedHypernetwork.fit(made, replace(QUICK, **changes), seed, folder)
    found.embeddings = made.embeddings
    return found


def told(made: TextDomain) -> Tensor:
    """Return (n, C) conditions of all kinds: sentences, examples, both, of two classes and of three."""
    some = {name: made.splits(name).train.rows(np.arange(20)) for name in made.names}
    return torch.stack(
        [made.asked(name) for name in made.names]
        + [made.tell("good", rows=some["good"]), made.tell("bad", "blame", some["bad"])]
        + [made.tell("about", rows=some["about"]), made.tell("about", "Which?", some["about"])]
    )


def parts(made: TextDomain, vectors: Tensor) -> dict[str, dict[str, Tensor]]:
    """Cut (n, K) adapters into tensors (n, ...): of "A", "B" and the "head", by name."""
    found: dict[str, dict[str, Tensor]] = {"A": {}, "B": {}, "head": {}}
    for name, shape in zip(made.layout.names, made.layout.shapes, strict=True):
        kind = "A" if "lora_A" in name else "B" if "lora_B" in name else "head"
        key = name.rpartition(".")[2] if kind == "head" else name
        found[kind][key] = vectors[:, made.layout.spans[name]].unflatten(1, shape)
    return found


@torch.no_grad()
def differs(tensors: dict[str, Tensor]) -> bool:
    """Tell whether any tensor depends on the condition."""
    return any(not torch.equal(x[i], x[0]) for x in tensors.values() for i in range(len(x)))


# the start


@pytest.mark.parametrize("writes", WRITES)
@torch.no_grad()
def test_at_the_start_there_is_no_update_whatever_is_told(base: Path, writes: str) -> None:
    made = domain(base)
    network = initial(made.layout, made.untrained(), made.told_shape, replace(QUICK, writes=writes), 0)
    conditions = told(made)
    found, start = parts(made, network(conditions)), parts(made, made.untrained()[None])
    for kind in ("A", "B"):
        assert found[kind].keys() == start[kind].keys() and len(found[kind]) == 4
        for name, x in found[kind].items():
            assert torch.equal(x, start[kind][name].expand_as(x)), name
    assert not any(x.any() for x in found["B"].values()) and all(x.any() for x in found["A"].values())
    assert differs(found["head"])


@torch.no_grad()
def test_at_the_start_a_head_is_zero_shot_in_closed_form(base: Path) -> None:
    made = domain(base)
    network = initial(made.layout, made.untrained(), made.told_shape, QUICK, 0)
    conditions = told(made)
    head = parts(made, network(conditions))["head"]
    classes = made.told_shape.cut(conditions)[1]  # (n, O, 2 E + FLAGS)
    words, examples, flags = classes.split([E, E, FLAGS], dim=2)
    torch.testing.assert_close(head["weight"], SHARPNESS * (words + examples) / E**0.5)
    nearest = examples.square().sum(dim=2) / 2
    torch.testing.assert_close(head["bias"], SHARPNESS * (-nearest - THRESHOLD * flags[..., 1]))
    assert head["bias"][0].tolist() == pytest.approx([0, -SHARPNESS * THRESHOLD, 0]), (
        "a sentence needs a cosine so high"
    )


@torch.no_grad()
def test_at_the_start_a_text_is_yes_where_its_cosine_with_the_sentence_is_above_the_threshold(base: Path) -> None:
    made = domain(base)
    network = initial(made.layout, made.untrained(), made.told_shape, QUICK, 0)
    logits = made.logits("good", network(made.asked("good")[None]), "report")[0]
    cosine = hidden(made, "good") @ unit(GOOD.description)
    np.testing.assert_allclose(logits[:, 0], 0, atol=1e-5)
    np.testing.assert_allclose(logits[:, 1], SHARPNESS * (cosine - THRESHOLD), rtol=1e-3, atol=1e-3)


@torch.no_grad()
def test_at_the_start_examples_make_a_text_of_the_class_with_the_nearest_mean(base: Path) -> None:
    made = domain(base)
    network = initial(made.layout, made.untrained(), made.told_shape, QUICK, 0)
    condition = made.tell("about", rows=made.splits("about").train.rows(np.arange(40)))
    means = made.told_shape.cut(condition[None])[1][0, :, E : 2 * E].numpy()
    away = np.square(hidden(made, "about")[:, None] - means).sum(axis=2)
    assert np.array_equal(made.predict("about", network(condition[None]), "report")[0], away.argmin(axis=1))
    assert len(set(away.argmin(axis=1))) > 1


def hidden(made: TextDomain, task: str) -> np.ndarray:
    """Return the (rows, E) mean of the tokens of each report row, of length 1, without an adapter."""
    texts = [text for (text,) in made.splits(task).report.texts]
    given = made.tokenizer(texts, padding=True, truncation=True, max_length=24, return_tensors="pt")
    out = made.model().unload().encoder(**given).last_hidden_state
    mask = given["attention_mask"][..., None]
    return torch.nn.functional.normalize((out * mask).sum(1), dim=1).numpy()


# what is written


@pytest.fixture(scope="module", params=WRITES)
def learned(request: Any, base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[TextDomain, Hypernetwork, str]:
    made, folder = domain(base), tmp_path_factory.mktemp("fit")
    return made, fit(made, replace(QUICK, writes=request.param, steps=15, ema=0.5), 0, folder)[0], request.param


@torch.no_grad()
def test_only_what_is_said_to_be_written_depends_on_the_condition(learned: Any) -> None:
    made, network, writes = learned
    found, start = parts(made, network(told(made))), parts(made, made.untrained()[None])
    assert differs(found["head"])
    assert differs(found["A"]) == (writes == "all")
    assert differs(found["B"]) == (writes != "head")
    for kind in ("A", "B"):
        moved = [(x[0] - start[kind][name]).abs().max() for name, x in found[kind].items()]
        assert min(moved) > 1e-4, "the rest is learned too, one for all conditions"


@torch.no_grad()
def test_a_core_stays_in_the_span_of_its_basis(learned: Any) -> None:
    made, network, writes = learned
    if writes != "core":
        assert not network.basis
        return
    start = parts(made, made.untrained()[None])["B"]
    for name, b in parts(made, network(told(made)))["B"].items():
        key = name.replace(".", "/")
        own = b - start[name] - network.shared[key]  # (n, d_out, r)
        basis = network.basis[key]
        assert basis.shape == (E, RANK) and own.abs().max() > 1e-5
        across = own - basis @ (torch.linalg.pinv(basis) @ own)
        assert across.abs().max() < 1e-5 * own.abs().max() + 1e-7
        assert torch.linalg.matrix_rank((b[1:] - b[:1]).mT.flatten(0, 1), atol=1e-6) <= RANK


@torch.no_grad()
def test_classes_in_another_order_are_rows_in_another_order_and_the_same_update(learned: Any) -> None:
    made, network, _ = learned
    shape, conditions, order = made.told_shape, told(made), torch.tensor([2, 0, 1])
    turned = [*shape.cut(conditions)]
    turned[1] = turned[1][:, order].flatten(1)
    before, after = (parts(made, network(x)) for x in (conditions, torch.cat(turned, dim=1)))
    for kind in ("A", "B"):
        for name, x in before[kind].items():
            torch.testing.assert_close(after[kind][name], x, rtol=1e-4, atol=1e-6)
    for name, x in before["head"].items():
        torch.testing.assert_close(after["head"][name], x[:, order], rtol=1e-4, atol=1e-5)
        assert not torch.allclose(x[:, order], x, atol=1e-2)


@torch.no_grad()
def test_classes_that_a_task_has_not_got_do_not_matter_to_the_others(learned: Any) -> None:
    made, network, _ = learned
    condition = made.asked("good")[None]
    about, classes = (x.clone() for x in made.told_shape.cut(condition))
    classes[0, 2, : 2 * E] = 1.0
    before, absent = (parts(made, network(x)) for x in (condition, torch.cat([about, classes.flatten(1)], dim=1)))
    classes[0, 2, -FLAGS] = 1.0
    there = parts(made, network(torch.cat([about, classes.flatten(1)], dim=1)))
    for kind in ("A", "B"):
        assert all(torch.equal(absent[kind][name], x) for name, x in before[kind].items())
    for name, x in before["head"].items():
        assert torch.equal(absent["head"][name][:, :2], x[:, :2])
        assert not torch.equal(there["head"][name][:, :2], x[:, :2]), "a class that is there does matter"


@torch.no_grad()
def test_an_adapter_does_not_depend_on_what_else_is_written(learned: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made, network, _ = learned
    conditions = told(made)
    whole = network(conditions)
    torch.testing.assert_close(torch.cat([network(x[None]) for x in conditions]), whole, rtol=1e-5, atol=1e-6)
    monkeypatch.setattr(generator, "AT_ONCE", 2)
    torch.testing.assert_close(FittedHypernetwork(network, 0, {}, {}).write(conditions), whole, rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_tasks_without_classes_are_written_all_that_an_adapter_has() -> None:
    layout, shape = synthetic.layout(), Shape((5,))
    start = torch.randn(layout.size, generator=torch.Generator().manual_seed(0))
    conditions = torch.randn(3, 5, generator=torch.Generator().manual_seed(1))
    network = initial(layout, start, shape, replace(QUICK, writes="all"), 0)
    assert torch.equal(network(conditions), start.expand(3, -1))
    network.last.weight.normal_(generator=torch.Generator().manual_seed(2))
    assert (network(conditions) != start).any(dim=0).all()
    alone = initial(layout, start, shape, replace(QUICK, writes="head"), 0)
    alone.last.weight.normal_(generator=torch.Generator().manual_seed(2))
    moved = (alone(conditions) != start).any(dim=0)
    assert moved[layout.spans[synthetic.HEAD]].all() and int(moved.sum()) == math.prod(layout.whole[synthetic.HEAD])


def test_what_is_written_loads_as_an_adapter(base: Path, tmp_path: Path) -> None:
    made = domain(base)
    (vector,) = fitted(made, tmp_path).generate("good")
    layout, read = read_adapter(write_adapter(tmp_path / "adapter", made.layout, vector))
    assert layout == made.layout and torch.equal(read, vector)


def test_a_head_that_is_not_a_row_for_each_class_is_refused(base: Path, tmp_path: Path) -> None:
    wide = domain(base)
    wide.embeddings = Embeddings(lambda texts: torch.ones(len(texts), 5))
    wide.prepare = lambda: None  # type: ignore[method-assign]
    with pytest.raises(
        ValueError, match=r"classifier.bias \[3\], .*classifier.weight \[3, 16\]; .* 3 rows of 5 numbers"
    ):
        fitted(wide, tmp_path)
    deep = domain(tiny.encoder(tmp_path / "roberta", "roberta"), pooling="first")
    with pytest.raises(
        ValueError, match=r"the head of the adapters is .*dense.*one linear layer, 3 rows of 16 numbers"
    ):
        fitted(deep, tmp_path)
    with pytest.raises(ValueError, match="the head of the adapters is base_model.model.head.weight"):
        initial(synthetic.layout(), torch.zeros(synthetic.layout().size), Shape((E,), classes=2, each=E), QUICK, 0)


# learning


OPPOSITE = Writing(width=32, depth=1, steps=200, tasks=4, rows=8, learning_rate=3e-2, cond_noise=0.1, ema=0.9)


def scores(made: TextDomain, found: FittedHypernetwork) -> dict[str, float]:
    return {task: float(made.score(task, found.generate(task), "report")[0]) for task in made.names}


def test_the_condition_says_which_of_two_opposite_rules_holds(base: Path, tmp_path: Path) -> None:
    made = domain(base, GOOD, BAD)
    found = FittedHypernetwork.fit(made, OPPOSITE, 0, tmp_path)
    first, last = (float(np.mean(found.history[part])) for part in (slice(20), slice(-20, None)))
    assert len(found.history) == 200 and last < 0.2 < 1 < first
    assert min(scores(made, found).values()) > 0.9
    assert max(scores(made, found.untrained()).values()) < 0.8
    swapped = {"good": "bad", "bad": "good"}
    for task, other in swapped.items():
        assert made.score(task, found.generate(other), "report")[0] < 0.1, "another task's condition, the opposite"
    found.embeddings = made.embeddings
    assert made.score("bad", found.generate("blame"), "report")[0] > 0.9, "a phrasing that it was told"


def test_where_the_condition_says_nothing_neither_rule_is_learned(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = domain(base, GOOD, BAD)
    honest = made.lesson

    def shuffled(task: str, count: int, random: np.random.Generator) -> tuple[Tensor, np.ndarray]:
        condition, _ = honest(str(random.choice(made.names)), count, random)
        return condition, honest(task, count, random)[1]

    monkeypatch.setattr(made, "lesson", shuffled)
    found = FittedHypernetwork.fit(made, OPPOSITE, 0, tmp_path)
    assert float(np.mean(found.history[-20:])) > 0.6
    assert min(scores(made, found).values()) < 0.6


def recorded(made: TextDomain, monkeypatch: pytest.MonkeyPatch, folder: Path) -> list[dict[str, Any]]:
    """Return what each step of a fit asked for."""
    seen: list[dict[str, Any]] = []
    honest = made.loss

    def loss(vectors: Tensor, tasks: Sequence[str], rows: Sequence[np.ndarray], noise: Any) -> Tensor:
        asked = [tuple(int(i) for i in own) for own in rows]
        seen.append({"tasks": tuple(tasks), "rows": asked, "noise": [each.initial_seed() for each in noise]})
        return honest(vectors, tasks, rows, noise)

    with monkeypatch.context() as patch:
        patch.setattr(made, "loss", loss)
        fit(made, QUICK, 0, folder)
    return seen


def test_tasks_rows_and_noise_are_drawn_anew_in_every_step_and_by_every_process(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Noise that is the same in every step would be learned with the tasks."""
    made = domain(base)
    first = recorded(made, monkeypatch, tmp_path / "first")
    assert len(first) == QUICK.steps and recorded(made, monkeypatch, tmp_path / "again") == first
    for what in ("rows", "noise"):
        every = [each for step in first for each in step[what]]
        assert len(set(every)) == len(every) == QUICK.steps * QUICK.tasks
    assert {len(own) for step in first for own in step["rows"]} == {QUICK.rows}
    monkeypatch.setattr(fitting, "PartialState", lambda: SimpleNamespace(process_index=1))
    second = recorded(made, monkeypatch, tmp_path / "second")
    assert not {own for step in first for own in step["rows"]} & {own for step in second for own in step["rows"]}


def test_tasks_are_drawn_in_proportion_to_their_rows_up_to_a_limit(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = domain(base, *[replace(GOOD, name=name) for name in ("small", "large", "huge")])
    sizes = {"small": 10, "large": 40, "huge": 10**9}
    monkeypatch.setattr(made, "size", sizes.__getitem__)
    monkeypatch.setattr(fitting, "LIMIT", 50)
    assert fitting._chances(made).tolist() == [0.1, 0.4, 0.5]
    assert domain(base).size("good") == len(domain(base).splits("good").train)


def test_what_is_told_of_tasks_is_seen_with_mean_0_and_size_1(base: Path, tmp_path: Path) -> None:
    cards = [replace(GOOD, name=str(i), description=f"{i}?", phrasings=(f"so {i}", f"or {i}")) for i in range(12)]
    made = domain(base, *cards)
    network = initial(made.layout, made.untrained(), made.told_shape, QUICK, 0)
    fitting._standardize(network, made, 3)
    random = np.random.default_rng(3)
    about = torch.stack([made.told_shape.cut(made.lesson(task, 1, random)[0][None])[0][0] for task in made.names])
    seen = (about - network.mean) / network.std
    torch.testing.assert_close(seen.mean(dim=0), torch.zeros(E), atol=1e-5, rtol=0)
    torch.testing.assert_close(seen.square().mean(dim=0), torch.ones(E), atol=1e-5, rtol=0)


def spoken(meanings: np.ndarray, ways: np.ndarray) -> SimpleNamespace:
    """Return tasks that are said in some ways: a sentence is the meaning of a task beside a way to say it."""
    said = {
        (str(task), str(way)): np.concatenate([meaning, way_of]).astype(np.float32)
        for task, meaning in enumerate(meanings)
        for way, way_of in enumerate(ways)
    }
    return SimpleNamespace(
        names=[str(task) for task in range(len(meanings))],
        phrasings=lambda task: [key for key in said if key[0] == task],
        embeddings=lambda keys: torch.from_numpy(np.stack([said[key] for key in keys])),
    )


def test_the_gist_keeps_the_meaning_and_says_it_in_the_way_that_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "RIDGE", 1e-9)
    random = np.random.default_rng(0)
    meanings, ways = random.normal(size=(30, 4)), random.normal(size=(12, 3))
    gist = Gist(7).eval()
    fitting._learn_gist(gist, spoken(meanings, ways))  # type: ignore[arg-type]
    meaning, way = random.normal(size=4), random.normal(size=3)  # neither was there
    x = torch.tensor(np.concatenate([meaning, way])[None], dtype=torch.float32)
    first = torch.tensor(np.concatenate([meaning, ways[0]])[None], dtype=torch.float32)
    torch.testing.assert_close(gist(x), first / first.norm() * x.norm(), rtol=1e-4, atol=1e-4)
    assert torch.equal(gist.train()(x), x), "in training the many ways are what is learned from"
    assert not gist.eval()(torch.zeros(2, 7)).any(), "what is not told stays nothing"


def test_tasks_that_are_said_in_one_way_only_keep_their_sentences_as_they_are() -> None:
    random = np.random.default_rng(0)
    gist = Gist(7).eval()
    fitting._learn_gist(gist, spoken(random.normal(size=(30, 4)), random.normal(size=(1, 3))))  # type: ignore[arg-type]
    torch.testing.assert_close(gist.weight, torch.eye(7))
    torch.testing.assert_close(gist.bias, torch.zeros(7))


def test_a_fit_knows_the_ways_in_which_its_tasks_are_said(base: Path, tmp_path: Path) -> None:
    made, alone = domain(base), Gist(E)
    fitting._learn_gist(alone, made)
    network, _ = fit(made, QUICK, 0, tmp_path)
    assert torch.equal(network.gist.weight, alone.weight) and not torch.equal(alone.weight, torch.eye(E))
    assert (network.gist(told(made)[:, :E]) != told(made)[:, :E]).any(), "a fitted network writes for the gist"


def test_noise_is_in_units_of_each_embedding_and_what_is_not_told_stays_nothing(base: Path) -> None:
    made = domain(base)
    conditions, shape = told(made), made.told_shape
    assert torch.equal(fitting._disturbed(conditions, shape, 0.0, torch.Generator()), conditions)
    random = torch.Generator().manual_seed(0)
    many = torch.stack([fitting._disturbed(conditions, shape, 0.3, random) for _ in range(300)])
    moved = (many - conditions).flatten(0, 1)
    (own, noise), (classes, noises) = zip(shape.cut(conditions), shape.cut(moved), strict=True)
    for before, after in (
        (own, noise),
        (classes[..., :E], noises[..., :E]),
        (classes[..., E : 2 * E], noises[..., E : 2 * E]),
    ):
        after = after.unflatten(0, (300, -1))
        size = after.square().sum(dim=-1).mean(dim=0).sqrt()
        torch.testing.assert_close(size, 0.3 * before.norm(dim=-1), rtol=0.15, atol=1e-6)
        assert after.mean(dim=0).abs().max() < 0.05
    assert not noises[..., 2 * E :].any(), "flags are no embedding"


def test_a_fit_that_was_stopped_ends_with_the_same_bytes(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitting, "Plan", lambda *own, **more: Plan(*own, **more | {"save_every": 4}))
    whole = fitted(domain(base), tmp_path / "whole", steps=10).save_pretrained(tmp_path / "a")
    made, honest, calls = domain(base), TextDomain.loss, []

    def stopping(*given: Any) -> Tensor:
        calls.append(given)
        if len(calls) == 7:
            raise KeyboardInterrupt
        return honest(made, *given)

    monkeypatch.setattr(made, "loss", stopping)
    with pytest.raises(KeyboardInterrupt):
        fitted(made, tmp_path / "stopped", steps=10)
    torch.manual_seed(99)
    again = fitted(made, tmp_path / "stopped", steps=10).save_pretrained(tmp_path / "b")
    assert len(calls) == 7 + 6, "it went on after step 4"
    assert same(whole, again)


def same(one: Path, other: Path) -> bool:
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in FILES)


@pytest.mark.parametrize("writes", ["all", "core"])
def test_equal_seeds_give_equal_bytes_and_others_do_not(base: Path, tmp_path: Path, writes: str) -> None:
    made = domain(base)
    a, b, c = (
        fitted(made, tmp_path / f"fit {name}", seed, writes=writes).save_pretrained(tmp_path / name)
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert same(a, b) and (a / WEIGHTS).read_bytes() != (c / WEIGHTS).read_bytes()


# asking


@pytest.fixture(scope="module")
def ready(base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[TextDomain, FittedHypernetwork]:
    made = domain(base)
    return made, fitted(made, tmp_path_factory.mktemp("ready"), steps=20)


def test_one_lora_for_all_is_the_mean_of_what_is_written_for_learned_tasks_and_heads_stay(ready: Any) -> None:
    made, found = ready
    own = found.generate("good") + 1
    of_all = parts(made, torch.cat([found.generate(task) for task in made.names]))
    given, one = parts(made, own), parts(made, found.with_one_lora(own))
    for kind, tensors in one.items():
        for name, x in tensors.items():
            expected = given[kind][name] if kind == "head" else of_all[kind][name].mean(dim=0, keepdim=True)
            torch.testing.assert_close(x, expected)
    assert differs(of_all["B"])


def test_a_condition_is_a_task_a_sentence_or_a_vector(ready: Any) -> None:
    made, found = ready
    for task in made.names:
        assert torch.equal(found.condition(task), made.asked(task)) and found.sentences[task] == made.sentence(task)
    assert torch.equal(found.condition("Is it long?"), made.tell("good", "Is it long?"))
    assert torch.equal(found.condition(made.asked("about").double()), made.asked("about"))
    assert torch.equal(found.generate(GOOD.description), found.generate("good")), "told in words or by its name"
    assert not torch.allclose(found.generate("Is it long?"), found.generate("good"), atol=1e-3)


def test_nothing_is_random_and_what_is_for_samplers_has_no_meaning(ready: Any) -> None:
    made, found = ready
    one = found.generate("good", 1, 0)
    assert one.shape == (1, made.layout.size) and one.dtype == torch.float32
    many = found.generate("good", 3, 5, steps=1, task="bad", sampler="none")
    assert torch.equal(many, one.expand(3, -1))
    many[0] = 0
    assert torch.equal(many[1:], one.expand(2, -1)), "adapters of their own"
    assert not one.requires_grad and not one.is_inference()


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"condition": None}, "writes for a condition; tell it a sentence, or examples"),
        ({"condition": ""}, "a condition text is empty"),
        ({"condition": " \n"}, "a condition text is empty"),
        ({"condition": torch.zeros(3)}, r"needs shape \(\d+,\) and finite values, got \(3,\)"),
        ({"condition": torch.zeros(1, 121)}, r"needs shape \(\d+,\) and finite values, got \(1, 121\)"),
        ({"condition": torch.zeros(())}, r"needs shape \(\d+,\) and finite values, got \(\)"),
        ({"condition": "nan"}, r"needs shape \(\d+,\) and finite values, got"),
        ({"n": 0}, "n must be at least 1, got 0"),
        ({"n": -2}, "n must be at least 1, got -2"),
        ({"guidance": 2.0}, r"method 'hypernetwork' has nothing to guide, got guidance 2\.0; leave it at 1"),
        ({"guidance": float("nan")}, "nothing to guide, got guidance nan"),
    ],
)
def test_what_cannot_be_asked_is_refused(ready: Any, given: dict[str, Any], named: str) -> None:
    made, found = ready
    if given.get("condition") == "nan":
        given = {"condition": torch.full((made.told_shape.size,), float("nan"))}
    with pytest.raises(ValueError, match=named) as refused:
        found.generate(**{"condition": "good"} | given)
    assert "\n" not in str(refused.value)


def test_before_it_learned_it_writes_the_start(ready: Any) -> None:
    made, found = ready
    bare = found.untrained()
    start = initial(made.layout, made.untrained(), made.told_shape, QUICK, 0)
    conditions = told(made)
    with torch.no_grad():
        assert torch.equal(bare.write(conditions), start(conditions))
    assert not torch.allclose(bare.generate("good"), found.generate("good"), atol=1e-3)
    assert (bare.sentences, bare.seed, list(bare.history)) == (found.sentences, found.seed, [])
    again = found.untrained().network.state_dict()
    assert all(torch.equal(x, again[name]) for name, x in bare.network.state_dict().items())


@torch.no_grad()
def test_the_gist_alone_is_what_was_before_told_in_plain_words(ready: Any) -> None:
    made, found = ready
    network = found.network
    plain = network.gist.eval()(made.embeddings(["Is it good?"]))[0]
    one = made.told_shape.of_sentence(plain.numpy() / float(plain.norm()))
    torch.testing.assert_close(found.gist_only().write(made.asked("good")[None]), found.untrained().write(one[None]))
    assert not torch.allclose(found.gist_only().generate("good"), found.untrained().generate("good"), atol=1e-3)


def test_asking_and_reading_leave_the_global_random_state_alone(ready: Any, tmp_path: Path) -> None:
    _, found = ready
    saved = found.save_pretrained(tmp_path / "saved")
    torch.manual_seed(0)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    found.generate("good", 2)
    found.untrained().generate("good")
    FittedHypernetwork.from_pretrained(saved)
    assert torch.equal(torch.get_rng_state(), before[0]) and np.array_equal(np.random.get_state()[1], before[1])


# files


@pytest.mark.parametrize("writes", WRITES)
def test_saved_and_loaded_it_writes_the_same_bytes(base: Path, tmp_path: Path, writes: str) -> None:
    made = domain(base)
    found = fitted(made, tmp_path / "fit", writes=writes)
    saved = found.save_pretrained(tmp_path / "saved")
    assert {path.name for path in saved.iterdir()} == FILES
    loaded = registry.load(saved)
    assert isinstance(loaded, FittedHypernetwork) and loaded.name == "hypernetwork"
    loaded.embeddings = made.embeddings
    for condition in (*made.names, "Is it long?", *told(made)):
        assert torch.equal(loaded.generate(condition, 2), found.generate(condition, 2))
    assert torch.equal(loaded.untrained().write(told(made)), found.untrained().write(told(made)))
    assert (loaded.layout, loaded.network.shape, loaded.network.how) == (
        made.layout,
        made.told_shape,
        found.network.how,
    )
    assert (loaded.sentences, loaded.learned, loaded.seed) == (found.sentences, found.learned, 0)
    assert loaded.history == found.history and len(loaded.history) == QUICK.steps
    assert {task: x.tolist() for task, x in loaded.conditions.items()} == {
        task: x.tolist() for task, x in found.conditions.items()
    }
    assert same(saved, loaded.save_pretrained(tmp_path / "again"))
    assert same(
        found.untrained().save_pretrained(tmp_path / "bare"), loaded.untrained().save_pretrained(tmp_path / "bare 2")
    )


def test_damaged_files_are_refused(ready: Any, tmp_path: Path) -> None:
    saved = ready[1].save_pretrained(tmp_path / "saved")
    with pytest.raises(FileExistsError, match="exists already"):
        ready[1].save_pretrained(tmp_path / "saved")
    whole = (saved / WEIGHTS).read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", whole[:-1] + b"x"):
        (saved / WEIGHTS).write_bytes(damaged)
        with pytest.raises(ValueError, match=r"generator\.safetensors has sha256 .* its manifest says"):
            FittedHypernetwork.from_pretrained(saved)
    with pytest.raises(FileNotFoundError):
        FittedHypernetwork.from_pretrained(tmp_path / "nowhere")


def altered(saved: Path, folder: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Path:
    """Return a generator whose description is another, and whose manifest says so."""
    with artifacts.building(folder) as partial:
        artifacts.write_json(partial / DESCRIPTION, change(json.loads((saved / DESCRIPTION).read_text())))
        shutil.copy(saved / WEIGHTS, partial / WEIGHTS)
    return folder


def test_files_of_another_method_or_format_are_refused(ready: Any, tmp_path: Path) -> None:
    saved = ready[1].save_pretrained(tmp_path / "saved")
    other = altered(saved, tmp_path / "format", lambda about: about | {"format": 99})
    with pytest.raises(ValueError, match="is not a generator of format 2; fit it again"):
        registry.load(other)
    soup = registry.fit("soup", synthetic.zoo(), Learning(condition="one_hot"), 0, tmp_path).save_pretrained(
        tmp_path / "soup"
    )
    with pytest.raises(ValueError, match="was written by method 'soup', not 'hypernetwork'"):
        FittedHypernetwork.from_pretrained(soup)
    with pytest.raises(ValueError, match="was written by method 'hypernetwork', not 'cond_pdiff'"):
        registry.METHODS["cond_pdiff"].from_pretrained(saved)


@pytest.mark.parametrize("key", ["layout", "shape", "writing", "sentences", "seed", "learned", "history"])
def test_a_description_in_which_something_is_missing_or_another_kind_is_one_sentence(
    ready: Any, tmp_path: Path, key: str
) -> None:
    saved = ready[1].save_pretrained(tmp_path / "saved")
    gone = altered(saved, tmp_path / "gone", lambda about: {k: x for k, x in about.items() if k != key})
    changed = altered(saved, tmp_path / "changed", lambda about: about | {key: {"other": 1}})
    for folder in (gone, changed) if key not in ("learned", "history") else (gone,):
        with pytest.raises(ValueError, match="fit it again") as refused:
            registry.load(folder)
        assert "\n" not in str(refused.value)


def test_weights_of_another_size_are_refused(ready: Any, tmp_path: Path) -> None:
    saved = ready[1].save_pretrained(tmp_path / "saved")
    for field, value in (("width", 8), ("depth", 3), ("writes", "all")):
        own = altered(saved, tmp_path / field, lambda about: about | {"writing": about["writing"] | {field: value}})  # noqa: B023
        with pytest.raises(ValueError, match="fit it again"):
            registry.load(own)


# settings and registry


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"writes": "everything"}, "writes is one of all, b, core, head, got 'everything'"),
        *(
            ({name: 0}, f"{name} must be greater than 0, got 0")
            for name in ("width", "depth", "steps", "tasks", "rows")
        ),
        ({"learning_rate": 0.0}, "learning_rate must be greater than 0"),
        ({"reach": -1.0}, "reach must be greater than 0"),
        ({"cond_noise": -0.1}, "cond_noise must be 0 or more"),
        ({"ema": 1.0}, r"ema is a share in \[0, 1\)"),
    ],
)
def test_bad_settings_are_refused(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Writing(**fields)
    assert asdict(Writing())["writes"] == "b"


def test_it_is_fitted_by_its_name_and_to_a_domain_only(base: Path, tmp_path: Path) -> None:
    made = domain(base)
    found = registry.fit("hypernetwork", made, QUICK, 0, tmp_path / "fit")
    assert isinstance(found, FittedHypernetwork) and registry.METHODS["hypernetwork"] is FittedHypernetwork
    assert torch.equal(found.generate("good"), fitted(made, tmp_path / "own").generate("good"))
    with pytest.raises(
        ValueError, match="method 'hypernetwork' needs domain, and this fit has conditions and zoo only"
    ):
        registry.fit("hypernetwork", synthetic.zoo(), Learning(), 0, tmp_path)
    with pytest.raises(
        ValueError, match="method 'hypernetwork' needs conditions and domain, and this fit has zoo only"
    ):
        registry.able("hypernetwork", Learning(condition="none"))
    for name in ("cond_pdiff", "soup"):
        with pytest.raises(ValueError, match=f"method '{name}' needs zoo, and this fit has conditions and domain only"):
            registry.fit(name, made, QUICK, 0, tmp_path)
