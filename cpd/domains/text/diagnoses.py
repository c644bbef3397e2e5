"""The suite ``diagnoses``: a thousand tasks on short texts of ICD-10-CM, some of them never to be learned from.

The texts are the names of the codes and their inclusion terms, 57,551. A topic asks whether a text belongs to a block
("Intestinal infectious diseases"), category ("Typhoid and paratyphoid fevers") or subcategory of the list; a question
asks for a property that its words or codes tell (:mod:`cpd.domains.text.questions`), or what a question of the suite
``packaged`` asks for. Questions of one kind have rows in common, also across tiers, where they are about other values.

Tiers go by sha256, of a block's or chapter's codes and of a question's name, so that nobody chose them and no order
matters. Apart are three chapters, and as kinds of question two and those that the training texts do not suffice for. No
text of a block that is not of the training tier is in a row of a training task, not even as a negative; tasks that are
not of the training tier take their rows from all texts. Texts that differ in the side of the body only are one
document.

Source: ours; the list is the tabular list of ICD-10-CM (:mod:`cpd.domains.text.icd`).
"""

from __future__ import annotations

from functools import cache

from cpd.domains.text.asked import questions
from cpd.domains.text.tasks import TIERS, TextTask
from cpd.domains.text.topics import topics


@cache
def tasks() -> tuple[TextTask, ...]:
    """Return every task of the suite: topics, then questions. The first call in a process reads the list."""
    return (*topics(), *questions())


def of_tier(*tiers: str, kind: str | None = None) -> list[str]:
    """Return the names of the tasks of some tiers, of one kind where it is given.

    Raises:
        ValueError: if there is no such tier.
    """
    if unknown := set(tiers) - set(TIERS):
        raise ValueError(f"no tier {min(unknown)!r}; there are {', '.join(TIERS)}")
    return [task.name for task in tasks() if task.tier in tiers and kind in (None, task.kind)]
