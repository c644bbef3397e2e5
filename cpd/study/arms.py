"""The arms of every comparison: one name in plain words, one colour and one marker each, the same on every page.

Colours stand for kinds (generated, fine-tuned, taken from the zoo, averaged, drawn at random, nothing) and have a
contrast of at least 3 on white as on the book's dark ground; markers tell arms apart where colours do not.

Source: ours.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

GENERATED, TUNED, TAKEN, AVERAGED, RANDOM, NOTHING, REAL = (
    "#C9510C", "#1F77B4", "#A3519F", "#1E8A5A", "#96700A", "#767676", "#0B8494",
)  # fmt: skip


@dataclass(frozen=True)
class Arm:
    """What is compared.

    Attributes:
        name: in plain words, as figures and tables have it.
        colour: hexadecimal.
        marker: matplotlib's name of it.
        meaning: one sentence for the glossary.
        fill: matplotlib's fill style; no two arms share marker and fill.
    """

    name: str
    colour: str
    marker: str
    meaning: str
    fill: Literal["full", "left", "none"] = "full"


ARMS = {
    "generated": Arm("generated", GENERATED, "o", "Written from noise and the condition that was asked for."),
    "other_condition": Arm(
        "generated, told another", GENERATED, "X", "Written under the condition of another task or style."
    ),
    "reconstruction": Arm(
        "autoencoder alone", GENERATED, "o", "A training run after encoding and decoding; nothing is sampled.", "none"
    ),
    "reconstruction_held_out": Arm(
        "autoencoder, new runs", GENERATED, "o",
        "A run that nothing was learned from, after encoding and decoding.", "left",
    ),
    "original": Arm("original (fine-tuned)", TUNED, "s", "The last checkpoint of a run that the generator never saw."),
    "original_best": Arm(
        "original, best step", TUNED, "p", "Of the same runs, the checkpoint that is best on the selection split."
    ),
    "tuned": Arm(
        "fine-tuned on it", TUNED, "s", "Fine-tuned on the very style that the generator was only shown.", "left"
    ),
    "training": Arm("training runs", TUNED, "s", "The last checkpoints of the runs that were learned from.", "none"),
    "trained_other": Arm("trained on another", TUNED, "x", "A training run of another task."),
    "together": Arm("one run for all styles", TUNED, "*", "One adapter fine-tuned on all training styles together."),
    "nearest": Arm(
        "nearest training run", TAKEN, "D", "The training checkpoint nearest to a generated adapter: a look-up."
    ),
    "by_condition": Arm(
        "most similar style's run", TAKEN, "d",
        "A training run of the style whose pictures are most like those shown: a look-up as well.",
    ),
    "soup": Arm("average of the runs", AVERAGED, "^", "The average (the *soup*) of a task's training runs."),
    "soup_of_all": Arm("average of all styles", AVERAGED, "v", "The average of the training runs of all styles."),
    "neighbours": Arm(
        "average of the neighbours", AVERAGED, "<", "The average of the runs on both sides of a place on a line."
    ),
    "run_soup": Arm("average of one run", AVERAGED, ">", "The average of the checkpoints of one run."),
    "gaussian": Arm(
        "random around the average", RANDOM, "P",
        "Every coordinate drawn from its own normal law over a task's training checkpoints.",
    ),
    "noisy_soup": Arm(
        "average plus noise", RANDOM, "^",
        "The average with noise that takes it as far away as the runs are from it.", "none",
    ),
    "latent_zero": Arm("no sample: latent = 0", NOTHING, "$0$", "The decoded latent 0: nothing is sampled."),
    "untrained_generator": Arm("untrained generator", NOTHING, "1", "The same networks before they learned."),
    "untrained_adapter": Arm("no adapter", NOTHING, "+", "The base model as it is: the update is 0."),
    "own": Arm("the style's own pictures", REAL, "*", "Real pictures of the style, of other drawings.", "none"),
}  # fmt: skip


def name(key: str) -> str:
    """Return an arm's name in plain words; what is no arm keeps its own.

    Args:
        key: of ``ARMS``, or any label.
    """
    return ARMS[key].name if key in ARMS else key


def ordered(keys: Iterable[str]) -> list[str]:
    """Return arms in the order of ``ARMS``, and after them, in their own, those that it does not know.

    Args:
        keys: of arms; a new control needs no line in the table, and then goes by its key.
    """
    given = list(keys)
    return [key for key in ARMS if key in given] + [key for key in given if key not in ARMS]
