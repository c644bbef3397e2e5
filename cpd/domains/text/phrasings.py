"""Ways to say what a task is: sentences put together from parts, of which each task has a few of its own.

Where all tasks share a handful of forms, a generator learns these forms, and one that it never learned with throws it
off. No sentence here begins as the sentences do that tasks are asked with.

Source: ours.
"""

from __future__ import annotations

import numpy as np

COUNT = 20  # phrasings of a task, its bare name first

PARTS = {
    "begin": ("", "", "", "Question: ", "Task: ", "Please: ", "Yes or no? ", "Here is what to do. "),
    "ask": ("Tell", "Judge", "Find out", "Check", "Determine", "Say", "State", "Work out", "Establish", "Note"),
    "join": ("if", "whether"),
    "it": ("the text", "a name", "an entry", "this wording", "the given term", "a line of the record", "it", "the {2}"),
    "end": ("", "", ".", ".", ", yes or no.", ", or not.", "; answer yes or no.", " (true or false)."),
    "all": ("names", "texts", "entries", "cases", "terms", "records", "examples", "lines", "each {2}", "whatever is"),
    "mark": ("yes or no", "does it apply", "is that meant", "true or false", "is it said", "one class", "in or out"),
    "pick": ("Name", "Choose", "Label", "Sort by", "Give", "State", "Work out", "Find", "Tell", "Determine"),
    "topic": (
        "is about {0}", "names {0}", "belongs to {0}", "means {0}", "falls under {0}", "refers to {0}", "fits {0}",
        "is a case of {0}", "is filed under {0}", "has to do with {0}", "describes {0}", "is one of {0}",
    ),
    "under": ("of {0}", "for {0}", "about {0}", "under {0}", "that mean {0}", "to do with {0}", "in the group {0}"),
    "yes": (
        "has {0} as its {1}", "says {0}", "mentions {0}", "shows {0}", "has the {1} {0}", "gives {0} for the {1}",
        "is one with {0}", "speaks of {0}", "tells of {0}", "is of the {1} {0}",
    ),
    "with": (
        "with {0}", "whose {1} is {0}", "that say {0}", "that mention {0}", "of the {1} {0}", "where {0} is the {1}",
    ),
    "which": ("{0}", "one of {0}", "as {0}", "out of {0}", "among {0}", "that is, {0}", "which may be {0}"),
}  # fmt: skip
FORMS = {
    "topic": ("{begin}{ask} {join} {it} {topic}{end}", "{all} {under}{end}", "{0}: {mark}", "{begin}{0}, {mark}?"),
    "yes": ("{begin}{ask} {join} {it} {yes}{end}", "{all} {with}{end}", "{0} ({1}): {mark}", "{1} {0}, {mark}?"),
    "which": (
        "{pick} the {1} of {it}: {which}.", "the {1}, {which}", "{begin}{ask} which {1} {it} has: {0}.",
        "{pick} the {1}, {which}, of {it}", "{0}: {1}?",
    ),
}  # fmt: skip


ASKED = {
    "topic": "Decide whether a {2} is one of these: {0}.",
    "yes": "Decide whether a {2} has this {1}: {0}.",
    "which": "Decide which {1} a {2} has: {0}.",
}


def asked(form: str, words: tuple[str, str, str]) -> str:
    """Return the sentence that a task is asked with.

    Args:
        form: one of `FORMS`: whether a text is of a "topic", whether it says so ("yes"), or "which" of several it says.
        words: what is asked for, the noun of it, and the noun of the texts.
    """
    return ASKED[form].format(*words)


def phrasings(form: str, words: tuple[str, str, str], random: np.random.Generator) -> tuple[str, ...]:
    """Draw `COUNT` ways to say what a task is.

    Args:
        form: as of `asked`.
        words: as of `asked`.
        random: which.

    Returns:
        The bare name, then sentences, each once; none is what `asked` returns.
    """
    found = {words[0]: None}
    while len(found) < COUNT:
        first, *picks = random.random(1 + len(PARTS))
        parts = {part: _of(own, pick) for (part, own), pick in zip(PARTS.items(), picks, strict=True)}
        found[_of(FORMS[form], first).format("{0}", "{1}", **parts).format(*words)] = None
    return tuple(found)


def _of(own: tuple[str, ...], pick: float) -> str:
    return own[int(pick * len(own))]
