from __future__ import annotations

import os
import pickle
import subprocess
import sys
import zipfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from cpd.domains.text import asked, diagnoses, draws, icd, topics
from cpd.domains.text.phrasings import COUNT
from cpd.domains.text.tasks import TIERS, YES_NO, Split, TextTask, accuracy, splits
from cpd.domains.text.words import Words
from cpd.runtime import wheels

Rows = dict[str, Split]


@pytest.fixture(scope="module")
def rows() -> Rows:
    """Rows of every task, by its name."""
    return {task.name: together(*task.load()) for task in diagnoses.tasks()}


def together(own: Split, report: Split | None) -> Split:
    if report is None:
        return own
    assert own.documents is not None and report.documents is not None
    assert not set(own.documents) & set(report.documents), "examples and report share a document"
    assert 0.3 < len(report) / (len(own) + len(report)) < 0.7 and len(set(own.labels)) == len(set(report.labels))
    documents = np.concatenate([own.documents, report.documents])
    return Split(own.texts + report.texts, np.concatenate([own.labels, report.labels]), documents)


def of(tier: str, kind: str | None = None) -> list[TextTask]:
    return [task for task in diagnoses.tasks() if task.tier == tier and kind in (None, task.kind)]


def said(split: Split) -> set[str]:
    return {text.casefold() for (text,) in split.texts}


# tiers


def texts_in(section: ElementTree.Element) -> set[str]:
    """Every name and inclusion term of a block, as they stand in the list and as they are asked about."""
    items = [*section.iterfind(".//diag/desc"), *section.iterfind(".//inclusionTerm/note")]
    given = [" ".join((item.text or "").split()) for item in items]
    return {text.casefold() for text in given} | {icd._clean(text).casefold() for text in given}


@pytest.fixture(scope="module")
def forbidden() -> set[str]:
    """Texts of the blocks that are not of the training tier, and of whole chapters, read from the list itself."""
    tiers = {task.name: task.tier for task in diagnoses.tasks()}
    chapters = {topics.chapter(task.name) for task in of("apart", "topic")}
    with zipfile.ZipFile(wheels.fetch_wheel(*icd.WHEEL)) as wheel:
        root = ElementTree.fromstring(wheel.read(icd.MEMBER))
    found: set[str] = set()
    for chapter in root.iter("chapter"):
        for section in chapter.iter("section"):
            first, _, last = section.attrib["id"].partition("-")
            apart = f"chapter {chapter.findtext('name')}" in chapters
            if apart or tiers.get(f"topic_{first}_{last or first}", "training") != "training":
                found |= texts_in(section)
    return found


def test_no_text_of_a_block_that_is_only_asked_about_is_in_a_row_of_a_training_task(
    rows: Rows, forbidden: set[str]
) -> None:
    learned: set[str] = set()
    for task in of("training"):
        learned |= said(rows[task.name])
    visited = {text.rpartition(", ")[0] for text in learned if "encounter" in text or text.endswith("sequela")}
    assert len(forbidden) > 15_000 and len(learned) > 20_000 and len(visited) > 500
    assert not learned & forbidden and not visited & forbidden
    assert any(said(rows[task.name]) & forbidden for task in of("test", "side"))
    for task in (*of("test", "topic"), *of("validation", "topic"), *of("apart", "topic")):
        own = said(rows[task.name].rows(np.flatnonzero(rows[task.name].labels)))
        assert own <= forbidden and not own & learned, task.name


def test_no_training_task_is_called_as_something_that_is_only_asked_about(forbidden: set[str]) -> None:
    forbidden = forbidden | {task.phrasings[0].casefold() for tier in TIERS[1:] for task in of(tier)}
    assert not forbidden & {task.phrasings[0].casefold() for task in of("training")}


def test_every_tier_has_its_tasks() -> None:
    count = Counter((task.kind == "topic", task.tier) for task in diagnoses.tasks())
    assert count[True, "test"] == 36 and count[True, "validation"] == 20 and count[True, "apart"] >= 15
    assert count[True, "training"] >= 900 and count[False, "training"] >= 200
    assert count[False, "test"] >= 80 and count[False, "validation"] >= 40 and count[False, "apart"] >= 14
    assert len({topics.chapter(task.name) for task in of("apart", "topic")}) == 3
    kinds = {task.kind for task in diagnoses.tasks()} - {"topic"}
    apart = {task.kind for task in of("apart")} - {"topic"}
    assert len(kinds) >= 40 and len(apart) >= 2
    for kind in kinds - apart:
        assert len(of("training", kind)) >= 2 and len(of("test", kind)) >= 1, kind
    assert all(task.kind == "topic" or task.tier == "apart" for task in diagnoses.tasks() if task.kind in apart)
    assert {len(task.classes) for task in diagnoses.tasks()} == {2, 3, 4, 5, 6}


def test_tiers_do_not_depend_on_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    expected, listed = topics.block_tiers(), icd.table()
    mixed = replace(listed, members=dict(reversed(listed.members.items())))
    monkeypatch.setattr(topics, "table", lambda: mixed)
    assert list(again := topics.block_tiers.__wrapped__()) != list(expected) and again == expected
    names = [f"side_{i}" for i in range(16)]
    tiers = asked.tiers_of(names, False)
    assert tiers == asked.tiers_of(names[::-1], False)
    assert Counter(tiers.values()) == {"training": 10, "test": 4, "validation": 2}
    assert set(asked.tiers_of(names, True).values()) == {"apart"}


def test_names_of_tiers_and_kinds_are_given_in_order() -> None:
    assert diagnoses.of_tier("test", kind="topic") == [task.name for task in of("test", "topic")]
    assert set(diagnoses.of_tier(*TIERS)) == {task.name for task in diagnoses.tasks()}
    assert topics.chapter("topic_A00_A09") == topics.chapter("topic_A01") == "chapter 1"
    with pytest.raises(ValueError, match="no tier 'dev'; there are training, validation, test, apart"):
        diagnoses.of_tier("dev")
    with pytest.raises(ValueError, match="'side_left_side' is no topic"):
        topics.chapter("side_left_side")


# rows


def test_classes_are_balanced(rows: Rows) -> None:
    for task in diagnoses.tasks():
        counts = np.bincount(rows[task.name].labels)
        assert len(counts) == len(task.classes) and len(set(counts)) == 1, task.name
        learned_topic = task.kind == "topic" and task.tier == "training"
        assert (16 if task.kind == "topic" else 60) <= counts.sum() <= (10_000 if learned_topic else 240), task.name
        assert len(said(rows[task.name])) == counts.sum(), f"{task.name}: a text occurs twice"


def test_half_of_the_negatives_are_near(rows: Rows) -> None:
    listed = icd.table()
    place = {text: i for i, text in enumerate(listed.names.texts)}
    for name in diagnoses.of_tier("test", kind="topic"):
        near = set(listed.members[topics.chapter(name)])
        inside = [place[text] in near for (text,) in rows[name].texts]
        negative, positive = np.array(inside)[rows[name].labels == 0], np.array(inside)[rows[name].labels == 1]
        assert positive.all() and 0.5 - 1 / len(negative) <= negative.mean() < 1
    degrees = rows["degree_first_degree"]
    others = [" degree" in text for (text,), label in zip(degrees.texts, degrees.labels, strict=True) if not label]
    assert 0.5 <= np.mean(others) < 0.6


def test_the_title_of_a_topic_is_none_of_its_texts(rows: Rows) -> None:
    for task in diagnoses.tasks():
        if task.kind == "topic":
            assert task.phrasings[0].casefold() not in said(rows[task.name]), task.name


def test_splits_keep_the_sides_of_a_diagnosis_together(rows: Rows) -> None:
    smallest = min(of("training"), key=lambda task: len(rows[task.name]))
    made = splits(smallest, 200, 500)
    assert min(len(made.report), len(made.select)) >= 1 and len(made.train) >= 10
    [sides] = [task for task in diagnoses.tasks() if task.name == "side_left_side_to_unspecified_side"]
    made = splits(sides, 200, 500)
    report, train = (set(part.documents) for part in (made.report, made.train))
    assert not report & train and len(report) < len(made.report)


def test_loads_are_the_same_in_another_process() -> None:
    code = """if True:
        from cpd.domains.text import asked, topics
        for own, _ in (topics.topic_rows("A00-A09", False), asked.question_rows("side", ("left side",), True)):
            print(own.texts, own.labels.tolist())
    """
    given = os.environ | {"PYTHONHASHSEED": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=given, capture_output=True, text=True, check=True)
    here = [topics.topic_rows("A00-A09", False)[0], asked.question_rows("side", ("left side",), True)[0]]
    assert done.stdout.splitlines() == [f"{own.texts} {own.labels.tolist()}" for own in here]


def test_tasks_pickle_to_the_same_rows(rows: Rows) -> None:
    again = pickle.loads(stored := pickle.dumps(diagnoses.tasks()))
    bare = [[replace(task, load=rows.get) for task in table] for table in (again, diagnoses.tasks())]
    assert bare[0] == bare[1] and len(stored) < 5_000_000
    for task in again[::100]:
        assert together(*task.load()).texts == rows[task.name].texts


# sentences


def test_what_is_learned_with_is_never_what_is_asked_with() -> None:
    described: list[str] = []
    phrased: list[str] = []
    for task in diagnoses.tasks():
        assert task.metric is accuracy and task.steps == (60 if task.kind == "topic" else 100)
        own = {plain.casefold() for plain in task.phrasings}
        assert len(own) == len(task.phrasings) == COUNT
        assert all(task.phrasings[0] in phrasing for phrasing in (*task.phrasings, task.description))
        assert task.classes == YES_NO or all(word in task.phrasings[0] for word in task.classes)
        described.append(task.description.casefold())
        phrased += own
    names = [task.name for task in diagnoses.tasks()]
    assert len(set(names)) == len(names) and all(name.replace("_", "").isalnum() and len(name) < 100 for name in names)
    assert len(set(described)) == len(described) and len(set(phrased)) == len(phrased)
    assert not set(described) & set(phrased)


# reading


def test_patterns_say_yes_no_or_neither() -> None:
    words = Words(
        [
            "Acute, subacute pain",
            "Subacute pain",
            "Tuberculosis of lung",
            "Hodgkin lymphoma",
            "Injury at wrist and hand",
        ],
        [("A00",), ("B00.1", "A10"), ("A15",), ("C81",), ("S60",)],
    )
    assert words.match("acute")[0].tolist() == [True, False, False, False, False]
    assert words.match("tubercul*|*lymphoma")[0].tolist() == [False, False, True, True, False]
    assert words.match("@A1")[0].tolist() == [False, True, True, False, False]
    found, maybe = words.match("pain|@B")
    assert found.tolist() == [False, True, False, False, False] and maybe.tolist() == [True, True, False, False, False]
    found, maybe = words.match("hand|!wrist and hand")
    assert not found.any() and maybe.tolist() == [False, False, False, False, True]


LIST = """<x><chapter><name>1</name><desc>Odd (A00-B99)</desc><section id="A00-A09"><desc>Aches (A00-A09)</desc>
<diag><name>A00</name><desc>Ache of head</desc><sevenChrDef><extension char="S">sequela</extension></sevenChrDef>
<diag><name>A00.0</name><desc>Ache of left  head [cephalgia]</desc><inclusionTerm><note>ACHE of head</note>
<note>Ache</note><note>Conditions in A01.1</note></inclusionTerm></diag></diag></section>
<section id="A10"><desc>Other (A10)</desc><diag><name>A10</name><desc>Other ache</desc></diag></section></chapter>
</x>"""


def test_the_list_is_read_from_the_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "list.whl", "w") as wheel:
        wheel.writestr(icd.MEMBER, LIST)
    monkeypatch.setattr(wheels, "fetch_wheel", lambda *_: tmp_path / "list.whl")
    made = icd.table.__wrapped__()
    assert made.names.texts == ["Ache of head", "Ache of left head", "Other ache"]
    assert made.names.codes == [("A00", "A00.0"), ("A00.0",), ("A10",)]
    assert made.visits.texts == ["Ache of left head, sequela"] and made.base.tolist() == [1]
    assert {group: own.tolist() for group, own in made.members.items()} == {
        "chapter 1": [0, 1, 2], "A00-A09": [0, 1], "A00": [0, 1], "A00.0": [0, 1], "A10-A10": [2], "A10": [2],
    }  # fmt: skip
    assert made.titles["A10-A10"] == "Other" and made.parents["A00.0"] == "A00"
    assert draws.document("Ache of left head") == draws.document("ache of RIGHT head")


def test_the_package_is_under_the_license_that_is_stated() -> None:
    with zipfile.ZipFile(wheels.fetch_wheel(*icd.WHEEL)) as wheel:
        [metadata] = [wheel.read(name).decode() for name in wheel.namelist() if name.endswith("/METADATA")]
    assert "MIT License" in metadata and "www.cdc.gov/nchs" in metadata
    assert "MIT license" in icd.ATTRIBUTION and "National Center for Health Statistics" in icd.ATTRIBUTION
