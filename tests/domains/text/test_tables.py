"""Tables of people's own tasks: read as they are meant, and every bad one refused in a sentence whose advice helps."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cpd.domains.text import labelled, tables
from cpd.domains.text.portions import at_most, few, halved, shortened
from cpd.domains.text.tasks import YES_NO, Split, splits

LABELS = {"spam": ("0", "1"), "topic": ("film", "book", "meal"), "mood": ("sad", "glad")}
SAID = "spam: Is it spam?\ntopic:\n- What is it about?\n- the subject\n- topic\nmood: Is it glad or sad?\n"


def csv_of(labels: tuple[str, ...], each: int = 6) -> str:
    rows = [f'"text {i}, of ""{label}""",{label}' for i in range(each) for label in labels]
    return "\n".join(["text,label", *rows]) + "\n"


def write(folder: Path) -> Path:
    for task, labels in LABELS.items():
        (folder / task).mkdir(parents=True)
        (folder / task / "train.csv").write_text(csv_of(labels))
    (folder / "conditions.yaml").write_text(SAID)
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write(tmp_path / "tables")


def named(root: Path) -> dict[str, tables.TextTask]:
    return {card.name: card for card in tables.tasks(root)}


def loaded(root: Path, task: str = "spam") -> Split:
    return named(root)[task].load()[0]


def say(root: Path, task: str, told: str) -> None:
    """Say something else of a task."""
    given = dict(line.split(": ", 1) for line in ("spam: Is it?", "topic: What?", "mood: How?"))
    (root / "conditions.yaml").write_text("".join(f"{t}: {told if t == task else own}\n" for t, own in given.items()))


# what is read


def test_tasks_are_in_the_order_of_conditions_yaml_with_sentences_classes_and_rows(root: Path) -> None:
    found = named(root)
    assert list(found) == ["spam", "topic", "mood"]
    assert [found[task].classes for task in found] == [YES_NO, ("book", "film", "meal"), ("glad", "sad")]
    assert [found[task].description for task in found] == ["Is it spam?", "What is it about?", "Is it glad or sad?"]
    assert [found[task].phrasings for task in found] == [(), ("the subject", "topic"), ()]
    rows = loaded(root, "topic")
    assert rows.texts[:2] == [('text 0, of "film"',), ('text 0, of "book"',)]
    assert [found["topic"].classes[k] for k in rows.labels[:4]] == ["film", "book", "meal", "film"]


@pytest.mark.parametrize("labels", [("0", "1"), ("no", "yes"), ("FALSE", "True"), ("0.0", "1.0"), ("No", "yes")])
def test_a_yes_or_no_task_is_one_however_its_labels_are_spelled(root: Path, labels: tuple[str, str]) -> None:
    (root / "spam" / "train.csv").write_text(csv_of(labels))
    assert named(root)["spam"].classes == YES_NO
    assert loaded(root).labels.tolist() == [0, 1] * 6


def test_no_and_yes_may_be_named_and_labels_still_be_0_and_1(root: Path, tmp_path: Path) -> None:
    say(root, "spam", "{sentence: Is it spam, classes: [yes, no]}")
    assert named(root)["spam"].classes == YES_NO and loaded(root).labels[:2].tolist() == [0, 1]
    (tmp_path / "few.csv").write_text("text,label\na,1\nb,false\n")
    classes, rows = tables.examples(tmp_path / "few.csv", YES_NO)
    assert classes == YES_NO and rows.labels.tolist() == [1, 0]
    (tmp_path / "few.csv").write_text("text,label\na,1\nb,maybe\n")
    with pytest.raises(ValueError, match="line 3 of .* has the label 'maybe', and the classes are no, yes"):
        tables.examples(tmp_path / "few.csv", YES_NO)


def test_conditions_yaml_may_name_classes_in_an_order_or_in_words(root: Path) -> None:
    say(root, "mood", "{sentence: How glad, classes: [sad, glad]}")
    assert named(root)["mood"].classes == ("sad", "glad") and loaded(root, "mood").labels[:2].tolist() == [0, 1]
    say(root, "spam", "{sentences: [Which, the kind], classes: {1: advertising, 0: a message}}")
    card = named(root)["spam"]
    assert (card.classes, card.description, card.phrasings) == (("advertising", "a message"), "Which", ("the kind",))
    assert loaded(root).labels[:2].tolist() == [1, 0]
    say(root, "mood", "{sentence: Is it glad, classes: {sad: no, glad: yes}}")
    assert named(root)["mood"].classes == YES_NO and loaded(root, "mood").labels[:2].tolist() == [0, 1]


def test_marks_line_ends_columns_and_blank_ends_do_not_matter(root: Path) -> None:
    before, path = loaded(root), root / "spam" / "train.csv"
    text = path.read_text()
    for data in (
        text.encode("utf-8-sig"), text.replace("\n", "\r\n").encode(), (text + "\n\n").encode(),
        text.replace("text,label", " label ,id, text").replace('",', '",7,').encode(),
    ):  # fmt: skip
        if b"id" in data:
            lines = [line.rsplit(",", 2) for line in data.decode().splitlines()[1:]]
            data = "\n".join(["label,id,text", *(f"{y},{i},{x}" for x, i, y in lines)]).encode()
        path.write_bytes(data)
        found = loaded(root)
        assert found.texts == before.texts and found.labels.tolist() == before.labels.tolist()


def test_rows_are_read_again_when_needed_and_tasks_are_picklable(root: Path) -> None:
    card = pickle.loads(pickle.dumps(named(root)["spam"]))
    (root / "spam" / "train.csv").write_text(csv_of(("0", "1"), 9))
    assert len(card.load()[0]) == 18
    (root / "spam" / "train.csv").write_text(csv_of(("0", "maybe")))
    with pytest.raises(ValueError, match="train.csv changed while it was read: line 3 is new; start again"):
        card.load()


def test_folders_that_are_hidden_or_hold_no_table_are_left_alone(root: Path) -> None:
    (root / ".git").mkdir()
    (root / ".git" / "train.csv").write_text("nonsense")
    (root / "notes").mkdir()
    assert list(named(root)) == ["spam", "topic", "mood"]


# what is refused: how it is broken, what is said, and the advice carried out


def put(root: Path, text: str | bytes) -> None:
    (root / "spam" / "train.csv").write_bytes(text if isinstance(text, bytes) else text.encode())


GOOD = csv_of(("0", "1"))
BAD_TABLES: dict[str, tuple[str | bytes, str, str | bytes]] = {
    "columns": ("sentence,label\na,0\n", "names no column 'text' (it names 'sentence', 'label'); name the", GOOD),
    "semicolons": ("text;label\na;0\n", "(it names 'text;label'); name the columns text and label, separated by", GOOD),
    "column twice": ("text,label,text\na,0,b\n", "names 2 column 'text'", GOOD),
    "empty file": ("", "it names nothing", GOOD),
    "no rows": ("text,label\n", "has no row below its first line; add rows of text and label", GOOD),
    "one class": (csv_of(("1",)), "has the label '1' only; add rows of another class", csv_of(("1", "0"))),
    "latin-1": ("text,label\na,0\nschön,1\n".encode("latin-1"), "not UTF-8 (line 3 has the byte 0xf6); save it as",
                GOOD.replace("text 1", "schön").encode()),
    "utf-16": (GOOD.encode("utf-16"), "is not UTF-8 (line 1 has the byte 0xff); save it as UTF-8", GOOD),
    "nul": (GOOD.replace("text 1", "text\0 1", 1), "has a NUL byte, as UTF-16 has; save it as UTF-8, without", GOOD),
    "utf-16 without mark": (GOOD.encode("utf-16-le"), "line 1 of", GOOD),
    "empty row": (GOOD.replace("\n", "\n\n", 3), "line 2 of", GOOD),
    "row of commas": (GOOD + ",\n", "line 14 of", GOOD),
    "empty text": (GOOD + "  ,1\n", "has no text; fill it in or remove the line", GOOD + "new,1\n"),
    "empty label": (GOOD + "new,\n", "line 14 of", GOOD + "new,1\n"),
    "ragged, longer": (GOOD + "a, b,1\n", "has 3 columns, its first line has 2; put a text with", GOOD + '"a, b",1\n'),
    "ragged, shorter": (GOOD + "a\n", "line 14 of", GOOD + "a,1\n"),
    "quote left open": (GOOD + '"a,1\nb,0\n', "line 14 of", GOOD + '"a",1\nb,0\n'),
    "quote within": (GOOD + '"a" b,1\n', "double those within it", GOOD + '"""a"" b",1\n'),
    "too few rows": (csv_of(("0", "1"), 3), "has 3 different texts of class 'no', at least 4 are needed; add rows",
                     csv_of(("0", "1"), 4)),
    "rows repeated": ("text,label\n" + "a,0\nb,1\n" * 9, "has 1 different texts of class 'no'", csv_of(("0", "1"), 4)),
    "spelled twice": (csv_of(("ham", "spam", "Spam")), "the labels 'Spam' and 'spam', which differ in case only; write",
                      csv_of(("ham", "spam"))),
    "numbers": (csv_of(tuple(f"{i / 7:.3f}" for i in range(40))), "has 40 different labels, at most 32 are learned",
                csv_of(("low", "high"))),
}  # fmt: skip


def refused(root: Path) -> str:
    with pytest.raises((ValueError, OSError)) as error:
        tables.tasks(root)
    return str(error.value)


@pytest.mark.parametrize("name", BAD_TABLES)
def test_a_bad_table_is_refused_by_file_and_line_and_what_is_advised_helps(root: Path, name: str) -> None:
    bad, words, better = BAD_TABLES[name]
    put(root, bad)
    said = refused(root)
    assert words in said and str(root / "spam" / "train.csv") in said and "\n" not in said
    put(root, better)
    assert [card.name for card in tables.tasks(root)] == ["spam", "topic", "mood"]


def test_lines_are_counted_through_texts_of_several_lines(root: Path) -> None:
    put(root, GOOD + '"a\nb\nc",1\n,1\n')
    assert "line 17 of" in refused(root)
    put(root, GOOD + '"a\nb\nc",1\n')
    assert loaded(root).texts[-1] == ("a\nb\nc",)


def no_table(root: Path) -> None:
    (root / "spam" / "train.csv").rename(root / "spam" / "data.csv")


def no_tables(root: Path) -> None:
    for task in LABELS:
        (root / task / "train.csv").rename(root / task / "data.csv")


def with_table(root: Path) -> None:
    for path in list(root.glob("*/data.csv")):
        path.rename(path.with_name("train.csv"))


def unsaid(root: Path) -> None:
    (root / "conditions.yaml").write_text(SAID.replace("spam: Is it spam?\n", ""))


def said(root: Path) -> None:
    (root / "conditions.yaml").write_text(SAID)


def one_too_many(root: Path) -> None:
    (root / "conditions.yaml").write_text(SAID + "weather: Is it fine?\n")


def twice_in_folders(root: Path) -> None:
    (root / "Spam").mkdir()
    (root / "Spam" / "train.csv").write_text(GOOD)


def removed(root: Path) -> None:
    (root / "Spam" / "train.csv").unlink()
    (root / "Spam").rmdir()


def say_of(told: str, task: str = "spam") -> Callable[[Path], None]:
    return lambda root: say(root, task, told)


BAD_FOLDERS: dict[str, tuple[Callable[[Path], object], str, Callable[[Path], object]]] = {
    "a table is missing": (no_table, "names the task 'spam', but there is no {root}/spam/train.csv; add", with_table),
    "all are": (no_tables, "there is no TASK/train.csv in {root}; put each task's table, with the columns", with_table),
    "a task is not named": (unsaid, "says nothing of task 'spam'; add a line `spam: what the task is`", said),
    "a line has no task": (one_too_many, "names the task 'weather', but there is no {root}/weather/train.csv", said),
    "nothing is said": (lambda root: (root / "conditions.yaml").unlink(), "there is no {root}/conditions.yaml;", said),
    "it is no YAML": (lambda root: (root / "conditions.yaml").write_text("{"), "is not readable YAML", said),
    "it is a list": (lambda root: (root / "conditions.yaml").write_text("- spam\n"), "must map each task", said),
    "a task is there twice": (
        lambda root: (root / "conditions.yaml").write_text(SAID + "spam: again\n"), "'spam' is there twice", said,
    ),
    "twice but for case": (
        lambda root: (root / "conditions.yaml").write_text(SAID + "Spam: again\n"), "the task 'spam' twice", said,
    ),
    "two folders but for case": (twice_in_folders, "{root} has the task 'spam' twice, as 'Spam' too; rename", removed),
    "a task is a path": (
        lambda root: (root / "conditions.yaml").write_text(SAID + "../spam: x\n"), "which is empty, a path or", said,
    ),
    "an empty sentence": (say_of("''"), "has an empty or unreadable condition for task 'spam'; describe", said),
    "no sentence": (say_of("{classes: [a, b]}"), "has an empty or unreadable condition for task 'spam'", said),
    "another key": (say_of("{text: x}"), "says 'text' of task 'spam'; there are sentence, sentences, classes", said),
    "classes that are not named": (
        say_of("{sentence: x, classes: [glad, blue]}", "mood"),
        "line 2 of {root}/mood/train.csv has the label 'sad', and the classes are glad, blue; correct the label or",
        say_of("{sentence: x, classes: [glad, sad]}", "mood"),
    ),
    "classes without rows": (
        say_of("{sentence: x, classes: [glad, sad, blue]}", "mood"), "has 0 different texts of class 'blue'",
        say_of("{sentence: x, classes: [glad, sad]}", "mood"),
    ),
    "one class named": (
        say_of("{sentence: x, classes: [glad]}", "mood"), "gives task 'mood' the classes ['glad']; list two labels",
        say_of("{sentence: x, classes: [glad, sad]}", "mood"),
    ),
    "two labels, one class": (
        say_of("{sentence: x, classes: {glad: mood, sad: mood}}", "mood"), "each once",
        say_of("{sentence: x, classes: {glad: good mood, sad: bad mood}}", "mood"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_FOLDERS)
def test_a_bad_folder_is_refused_by_file_or_task_and_what_is_advised_helps(root: Path, name: str) -> None:
    broken, words, mended = BAD_FOLDERS[name]
    broken(root)
    found = refused(root)
    assert words.replace("{root}", str(root)) in found and str(root) in found
    mended(root)
    assert [card.name for card in tables.tasks(root)] == ["spam", "topic", "mood"]


def test_a_task_given_as_the_folder_of_tasks_is_refused(root: Path) -> None:
    assert refused(root / "spam").endswith("is itself a task; give the folder above it, laid out TASK/train.csv")
    assert "there is no folder" in refused(root / "none") and tables.tasks(root)


# a few rows to tell a task by


def test_examples_say_their_classes_or_are_told_them(tmp_path: Path) -> None:
    path = tmp_path / "few.csv"
    path.write_text("text,label\na,1\nb,1\n")
    classes, rows = tables.examples(path)
    assert classes == YES_NO and rows.labels.tolist() == [1, 1], "of a yes-or-no task one class is enough"
    path.write_text("text,label\na,red\nb,blue\n")
    assert tables.examples(path)[0] == ("blue", "red")
    classes, rows = tables.examples(path, ["red", "green", "blue"])
    assert classes == ("red", "green", "blue") and rows.labels.tolist() == [0, 2]
    with pytest.raises(ValueError, match="line 3 of .* has the label 'blue', and the classes are red, green"):
        tables.examples(path, ["red", "green"])
    path.write_text("text,label\na,red\n")
    with pytest.raises(ValueError, match="has the label 'red' only"):
        tables.examples(path)
    assert tables.examples(path, ["red", "green"])[1].labels.tolist() == [0]
    with pytest.raises(FileNotFoundError, match="give a CSV file with the columns text and label"):
        tables.examples(tmp_path / "none.csv")


# portions


def test_halves_share_no_text_and_have_half_of_each_class(root: Path) -> None:
    put(root, csv_of(("0", "1"), 7) + '"text 0, of ""0""",0\n')
    card = halved(named(root)["spam"])
    learned, scored = card.load()
    assert scored is not None and not {*learned.texts} & {*scored.texts}
    assert {*learned.texts} | {*scored.texts} == {*loaded(root).texts}
    assert np.bincount(learned.labels).tolist() == [4, 4] and np.bincount(scored.labels).tolist() == [3, 3]
    assert splits(card, 1, 500).report.texts != [] and pickle.loads(pickle.dumps(card)).load()[0].texts == learned.texts


def test_a_few_of_each_class_are_other_ones_for_another_draw(root: Path) -> None:
    put(root, csv_of(("0", "1"), 40))
    card = halved(named(root)["spam"])
    learned, scored = card.load()
    own = few(card, 4, 0)
    assert np.bincount(own.labels).tolist() == [4, 4] and {*own.texts} <= {*learned.texts}
    assert few(card, 4, 0).texts == own.texts != few(card, 4, 1).texts
    short = shortened(card, 4, 0).load()
    assert short[0].texts == own.texts and short[1] is not None and short[1].texts == scored.texts


def test_so_many_rows_at_most_keep_some_of_a_rare_class(root: Path) -> None:
    rows = [f"rare {i},1" for i in range(5)] + [f"text {i},0" for i in range(300)]
    put(root, "\n".join(["text,label", *rows]))
    kept = at_most(named(root)["spam"], 50).load()[0]
    assert len(kept) == 50 and np.bincount(kept.labels)[1] >= 4
    assert at_most(named(root)["spam"], 50).load()[0].texts == kept.texts
    assert at_most(named(root)["spam"], 1000).load()[0].texts == loaded(root).texts


def test_a_row_says_the_line_that_it_begins_in(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('text,label\n"a\nb",x\nc,y\n')
    assert [(row.line, row.text, row.label) for row in labelled.rows(tmp_path / "a.csv")] == [
        (2, "a\nb", "x"), (4, "c", "y"),
    ]  # fmt: skip
