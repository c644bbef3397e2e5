"""What is told of a task, in closed form; and that what is asked about is never told."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from torch import Tensor

from cpd import features
from cpd.domains.embeddings import Embeddings
from cpd.domains.images import telling as pictures
from cpd.domains.text import telling
from cpd.domains.text.domain import TextDomain
from cpd.domains.text.tasks import YES_NO, Split, TextTask, accuracy
from cpd.domains.text.telling import MOST, Told
from cpd.domains.told import FLAGS, Shape

E, OUTPUTS = 6, 4


def vector(text: str) -> np.ndarray:
    """Return a vector of length 1 that the text decides."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
    drawn = np.random.default_rng(seed).normal(size=E).astype(np.float32)
    return drawn / np.linalg.norm(drawn)


class Counting:
    """An encoder that remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def __call__(self, texts: Sequence[str]) -> Tensor:
        self.asked.append(list(texts))
        return torch.from_numpy(np.stack([vector(text) for text in texts]))


def rows(classes: int, each: int = 40) -> Split:
    labels = np.arange(classes * each) % classes
    return Split([(f"text {i} of class {k}",) for i, k in enumerate(labels)], labels)


def card(classes: tuple[str, ...] = YES_NO, phrasings: tuple[str, ...] = ()) -> TextTask:
    made = rows(max(1, len(classes)))
    return TextTask("task", "Is it an animal?", classes, accuracy, 1, lambda: (made, None), phrasings)


EMBEDDINGS = Embeddings(Counting())
THREE = card(("red", "green", "blue"))
SHOWN = Split([("a",), ("b", "c"), ("d",), ("e",)], np.array([1, 0, 1, 1]))


def told(task: TextTask, sentence: str = "", shown: Split | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return what is told of the task as a whole, and of each class: words, examples, flags in a row."""
    made = Told.of(task, sentence, shown).vector(EMBEDDINGS, OUTPUTS)
    shape = telling.shape(E, OUTPUTS)
    assert (made.dtype, made.shape) == (torch.float32, (shape.size,))
    about, classes = shape.cut(made[None])
    return about[0].numpy(), classes[0].numpy()


def of_class(words: str, examples: Sequence[str], there: int = 1) -> np.ndarray:
    mean = np.mean([vector(text) for text in examples], axis=0) if examples else np.zeros(E)
    flags = [there, bool(words), math.log(1 + len(examples)) / math.log(1 + MOST)]
    return np.concatenate([vector(words) if words else np.zeros(E), mean, flags])


def expect(found: tuple[np.ndarray, np.ndarray], sentence: str, *classes: np.ndarray) -> None:
    about, own = found
    np.testing.assert_allclose(about, vector(sentence) if sentence else np.zeros(E), atol=1e-6)
    np.testing.assert_allclose(own[: len(classes)], classes, atol=1e-6)
    assert not own[len(classes) :].any(), "classes that the task has not got are zero"


# closed forms


def test_a_yes_or_no_task_is_its_sentence_and_no_is_anything_else() -> None:
    expect(told(card(), "Is it red?"), "Is it red?", of_class("", []), of_class("Is it red?", []))


def test_of_several_classes_the_words_are_told() -> None:
    classes = [of_class(word, []) for word in ("red", "green", "blue")]
    expect(told(THREE, "Which colour?"), "Which colour?", *classes)


def test_examples_alone_tell_no_words() -> None:
    expect(told(card(), "", SHOWN), "", of_class("", ["b | c"]), of_class("", ["a", "d", "e"]))
    expect(told(THREE, "", SHOWN), "", of_class("", ["b | c"]), of_class("", ["a", "d", "e"]), of_class("", []))


def test_a_sentence_and_examples_tell_both() -> None:
    classes = of_class("", ["b | c"]), of_class("Is it?", ["a", "d", "e"])
    expect(told(card(), "Is it?", SHOWN), "Is it?", *classes)
    several = of_class("red", ["b | c"]), of_class("green", ["a", "d", "e"]), of_class("blue", [])
    expect(told(THREE, "Which?", SHOWN), "Which?", *several)


def test_nothing_told_is_nothing_but_the_number_of_classes() -> None:
    expect(told(THREE), "", *[of_class("", [])] * 3)
    expect(told(card(), "", SHOWN.rows(np.array([], int))), "", of_class("", []), of_class("", []))


def test_how_many_examples_there_are_is_told_from_0_to_1() -> None:
    counts = [0, 1, 2, MOST, MOST + 1, 100]
    flags = [told(card(), "", rows(2, 100).rows(np.arange(1, 2 * n, 2)))[1][1, -1] for n in counts]
    assert flags == pytest.approx([0, math.log(2) / math.log(17), math.log(3) / math.log(17), 1, 1, 1])


def test_a_number_has_no_classes_to_show() -> None:
    numbers = Split([("a",), ("b",)], np.array([0.0, 1.0]))
    expect(told(card(()), "How good?", numbers), "How good?", of_class("", []))


def test_examples_in_another_order_tell_the_same_and_of_another_class_they_do_not() -> None:
    before = np.concatenate([x.ravel() for x in told(card(), "", SHOWN)])
    turned = np.concatenate([x.ravel() for x in told(card(), "", SHOWN.rows(np.array([3, 1, 0, 2])))])
    other = np.concatenate([x.ravel() for x in told(card(), "", replace(SHOWN, labels=np.array([0, 1, 1, 1])))])
    np.testing.assert_allclose(turned, before, atol=1e-6)
    assert np.abs(other - before).max() > 0.1


# what is drawn


def drawn(task: TextTask, times: int = 400) -> list[tuple[Told, np.ndarray]]:
    train, random, found = task.load()[0], np.random.default_rng(0), []
    for _ in range(times):
        without = random.choice(len(train), 16, replace=False)
        found.append((telling.draw(task, train, random, without), without))
    return found


@pytest.mark.parametrize("task", [card(), THREE], ids=["yes or no", "three"])
def test_rows_that_are_asked_about_are_never_shown(task: TextTask) -> None:
    train = task.load()[0]
    texts, free = [telling.joined(text) for text in train.texts], set()
    for made, without in drawn(task):
        asked, shown = {texts[i] for i in without}, {text for own in made.examples for text in own}
        assert not asked & shown
        free |= shown
    assert free == set(texts), "every other one may be"


@pytest.mark.parametrize("task", [card(), THREE], ids=["yes or no", "three"])
def test_examples_are_of_their_class_and_at_most_so_many_and_as_many_of_each(task: TextTask) -> None:
    most = set()
    for made, _ in drawn(task):
        assert len(made.examples) == task.outputs
        for label, own in enumerate(made.examples):
            assert len(set(own)) == len(own) <= MOST and all(text.endswith(f"class {label}") for text in own)
        assert len({len(own) for own in made.examples}) == 1
        most.add(len(made.examples[0]))
    assert most == set(range(MOST + 1))


def test_a_class_with_fewer_rows_shows_all_that_are_free() -> None:
    few = Split([(f"{i}",) for i in range(30)], np.array([1, 1, 1] + [0] * 27))
    random, seen = np.random.default_rng(0), set()
    for _ in range(100):
        made = telling.draw(card(), few, random, np.array([0, 5]))
        assert set(made.examples[1]) <= {"1", "2"}
        seen.add((len(made.examples[0]) > 2, len(made.examples[1])))
    assert {(True, 2), (False, 0)} <= seen


def test_what_is_told_is_a_sentence_or_examples_or_both_in_these_shares() -> None:
    kinds = Counter((bool(made.sentence), any(made.examples)) for made, _ in drawn(card(), 1000))
    shares = {kind: count / 1000 for kind, count in kinds.items()}
    expected = {(True, False): 0.4, (False, True): 0.2, (True, True): 0.4}
    assert shares == pytest.approx(expected, abs=0.05)


def test_phrasings_are_told_and_the_description_is_kept_for_asking() -> None:
    several = card(phrasings=("an animal", "a living thing", "some creature"))
    sentences = Counter(made.sentence for made, _ in drawn(several) if made.sentence)
    assert set(sentences) == set(several.phrasings) and min(sentences.values()) > 60
    assert {made.sentence for made, _ in drawn(card()) if made.sentence} == {card().description}


def test_a_number_is_told_by_its_sentence() -> None:
    made = [told for told, _ in drawn(card(()), 50)]
    assert all(each.sentence and not any(each.examples) for each in made)


def test_equal_random_numbers_tell_the_same() -> None:
    assert [made for made, _ in drawn(THREE, 20)] == [made for made, _ in drawn(THREE, 20)]


# embeddings


def test_each_text_is_embedded_once_and_comes_back_in_the_order_that_was_asked() -> None:
    encoder = Counting()
    embeddings = Embeddings(encoder)
    asked = [["b", "a", "b"], ["a"], ["c", "a", "d"], ["d", "b"]]
    for texts in asked:
        np.testing.assert_array_equal(embeddings(texts).numpy(), [vector(text) for text in texts])
    assert encoder.asked == [["b", "a"], ["c", "d"]]


def test_what_is_known_is_not_embedded_again_and_not_changed() -> None:
    encoder = Counting()
    embeddings = Embeddings(encoder)
    embeddings(["a"])
    embeddings.know(["x", "a", "y"], torch.arange(3.0 * E).reshape(3, E))
    found = embeddings(["y", "a", "b", "x"]).numpy()
    np.testing.assert_array_equal(found[[0, 3]], np.arange(3.0 * E).reshape(3, E)[[2, 0]])
    np.testing.assert_array_equal(found[[1, 2]], [vector("a"), vector("b")])
    embeddings.know(["x", "a"], torch.zeros(2, E))
    np.testing.assert_array_equal(embeddings(["x", "a", "b"]).numpy(), found[[3, 1, 2]])
    assert encoder.asked == [["a"], ["b"]]


def test_a_mean_leaves_out_what_is_empty() -> None:
    embeddings = Embeddings(Counting())
    expected = (vector("a") + vector("b")) / 2
    np.testing.assert_allclose(embeddings.mean(["a", "", "b", ""]), expected, rtol=1e-6)
    for none in ([], ["", ""]):
        assert embeddings.mean(none).tolist() == [0.0] * E
    assert embeddings.mean([]).dtype == np.float32 and embeddings.size == E


# shapes


def test_a_shape_is_cut_where_it_was_put_together() -> None:
    shape = Shape((5,), classes=3, each=2)
    assert shape.size == 5 + 3 * (2 * 2 + FLAGS)
    conditions = torch.arange(2.0 * shape.size).view(2, -1)
    about, classes = shape.cut(conditions)
    assert (about.shape, classes.shape) == ((2, 5), (2, 3, 2 * 2 + FLAGS))
    assert torch.equal(torch.cat([about, classes.flatten(1)], dim=1), conditions)
    about, classes = Shape((5,)).cut(conditions[:, :5])
    assert torch.equal(about, conditions[:, :5]) and classes.numel() == 0


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.encoder(tmp_path_factory.mktemp("bases") / "tiny")


def domain(base: Path, *cards: TextTask) -> TextDomain:
    made = TextDomain(tiny.spec(base, pooling="mean"), cards)
    made.embeddings = Embeddings(Counting())
    return made


def test_a_sentence_alone_is_told_as_a_yes_or_no_task(base: Path) -> None:
    named = replace(card(), name="yes or no")
    made = domain(base, named, replace(THREE, name="three"))
    for sentence in ("Is it red?", named.description):
        alone = made.told_shape.of_sentence(vector(sentence))
        assert alone.dtype == torch.float32 and torch.equal(alone, made.tell("yes or no", sentence))
    assert torch.equal(made.asked("yes or no"), made.tell("yes or no", made.sentence("yes or no")))
    assert not torch.equal(made.told_shape.of_sentence(vector("Which?")), made.tell("three", "Which?"))
    number = domain(base, card(()))
    assert torch.equal(number.told_shape.of_sentence(vector("How good?")), number.tell("task", "How good?"))


def test_a_style_that_is_told_by_a_sentence() -> None:
    embeddings = Embeddings(Counting())
    shape, sentence = pictures.shape(E), "In blue."
    alone = shape.of_sentence(vector(sentence))
    assert shape.size == features.SIZE + E + 2 and torch.equal(alone, pictures.told(embeddings, sentence))
    assert torch.equal(alone, torch.cat([torch.zeros(features.SIZE), torch.from_numpy(vector(sentence)), torch.tensor([0.0, 1.0])]))  # fmt: skip  # noqa: E501


# a domain's lessons


def test_a_lesson_asks_about_rows_that_it_does_not_show(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = domain(base, card(phrasings=("an animal",)))
    train, seen = made.splits("task").train, []
    monkeypatch.setattr(Told, "vector", lambda self, *_: seen.append(self) or torch.zeros(1))
    random = np.random.default_rng(0)
    for _ in range(200):
        _, asked = made.lesson("task", 16, random)
        assert len(set(asked.tolist())) == 16, "another row each"
        shown = {text for own in seen[-1].examples for text in own}
        assert not {telling.joined(train.texts[i]) for i in asked} & shown
    _, many = made.lesson("task", 60, random)
    assert len(many) == 60 and set(many.tolist()) <= set(range(len(train)))


def test_a_lesson_is_what_its_random_numbers_say(base: Path) -> None:
    made = domain(base, card())
    (one, asked), (other, again) = (made.lesson("task", 8, np.random.default_rng(3)) for _ in range(2))
    assert torch.equal(one, other) and np.array_equal(asked, again)
    assert one.shape == (made.told_shape.size,)


def test_all_that_may_be_told_is_embedded_once_and_found_again(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CPD_ARTIFACTS", str(tmp_path))
    task = card(phrasings=("an animal", "a creature"))
    first, second = domain(base, task), domain(base, task)
    for made in (first, second):
        encoder = Counting()
        made.embeddings = Embeddings(encoder)
        made.prepare()
        texts = {text for asked in encoder.asked for text in asked}
        expected = {task.description, *task.phrasings} | {text for (text,) in made.splits("task").train.texts}
        assert texts == (expected if made is first else set())
        random = np.random.default_rng(0)
        lessons = [made.lesson("task", 8, random)[0] for _ in range(20)]
        assert sum(len(asked) for asked in encoder.asked) == len(texts | {"text"}), (
            "nothing is left to embed but a size"
        )
        found = lessons if made is first else found  # noqa: F821
    assert all(torch.equal(one, other) for one, other in zip(found, lessons, strict=True))


def test_logits_are_what_is_predicted_and_scored_of(base: Path) -> None:
    made = domain(base, replace(card(), name="yes or no"), replace(THREE, name="three"))
    random = torch.Generator().manual_seed(0)
    vectors = made.untrained() + 0.3 * torch.randn(2, made.layout.size, generator=random)
    labels = made.splits("yes or no").report.labels
    logits = made.logits("yes or no", vectors, "report")
    assert (logits.shape, logits.dtype) == ((2, len(labels), 2), np.float32), "of the task's own classes"
    assert np.array_equal(made.predict("yes or no", vectors, "report"), logits.argmax(2))
    assert made.score("yes or no", vectors, "report").tolist() == [(row == labels).mean() for row in logits.argmax(2)]
    np.testing.assert_allclose(made.logits("yes or no", vectors[1:], "report")[0], logits[1], atol=1e-6)
