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
    fill: Literal["full", "left", "bottom", "none"] = "full"


ARMS = {
    "generated": Arm("generated", GENERATED, "o", "Written from noise and the condition that was asked for."),
    "other_condition": Arm(
        "generated, told another", GENERATED, "X", "Written under the condition of another task or style."
    ),
    "cond_pdiff": Arm(
        "COND P-DIFF", GENERATED, "d", "What this study's first method writes, beside a second method.", "none"
    ),
    "cond_pdiff_taught": Arm(
        "COND P-DIFF, taught", GENERATED, ">", "The same, after it went on learning through the base model's loss.",
        "left",
    ),
    "cond_pdiff_added": Arm(
        "COND P-DIFF on zero-shot", GENERATED, "d",
        "Zero-shot, and what COND P-DIFF adds to it, from adapters whose fine-tuning began at zero-shot.", "bottom",
    ),
    "description": Arm(
        "written from a sentence", GENERATED, "h",
        "What a hypernetwork writes for a task that it never learned, from a sentence about it.",
    ),
    "bare_name": Arm(
        "written from the name", GENERATED, "H", "The same, told what the task is about in as few words as possible."
    ),
    "examples_4": Arm(
        "written, 4 examples", GENERATED, "h", "The same, told the sentence and four examples of each class.", "left"
    ),
    "examples_16": Arm(
        "written, 16 examples", GENERATED, "h", "The same, told the sentence and sixteen examples of each class.",
        "none",
    ),
    "pictures": Arm(
        "written from pictures", GENERATED, "H", "What a hypernetwork writes for a style, from eight pictures.", "left"
    ),
    "one_picture": Arm("written from one picture", GENERATED, "d", "The same, from one picture.", "left"),
    "sentence": Arm(
        "written from words", GENERATED, "H", "What a hypernetwork writes for a style, from a sentence.", "none"
    ),
    "both": Arm("written from both", GENERATED, "8", "The same, told the pictures and the sentence."),
    "other": Arm(
        "written, told another", GENERATED, "8", "The same network, told about another task or style.", "left"
    ),
    "mean": Arm("written, told the average", GENERATED, "8", "The same, told the average of all conditions.", "none"),
    "gibberish": Arm("written, told nonsense", GENERATED, "X", "The same, told five words that mean nothing.", "left"),
    "writes_all": Arm(
        "A and B written", GENERATED, "H", "What a hypernetwork writes that decides all of A and B by what it is told.",
        "bottom",
    ),
    "writes_b": Arm(
        "B alone written", GENERATED, "h", "The same, where A is learned once for all that is told.", "bottom"
    ),
    "writes_core": Arm(
        "core alone written", GENERATED, "8",
        "The same, where A and B are learned once for all, and a small matrix between them depends on what is told.",
        "bottom",
    ),
    "shorter": Arm(
        "written, fewer steps", GENERATED, "^",
        "What a hypernetwork writes for a style, from pictures, after fewer steps of training.", "left",
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
    "tuned_4": Arm(
        "fine-tuned, 4 examples", TUNED, "p", "Fine-tuned on four examples of each class and nothing else.", "left"
    ),
    "tuned_16": Arm(
        "fine-tuned, 16 examples", TUNED, "p", "Fine-tuned on sixteen examples of each class.", "none"
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
    "look_up": Arm(
        "most similar one's", TAKEN, "D", "The fine-tuned adapter whose condition is most like what is told.", "none"
    ),
    "look_up_as_many": Arm(
        "most similar of as many", TAKEN, "*",
        "The same, among adapters for all the styles that the hypernetwork learned from.", "left",
    ),
    "k_nearest": Arm(
        "average of the most similar", AVERAGED, "v",
        "The average of the adapters whose conditions are most like what is told.", "none",
    ),
    "average_added": Arm(
        "average on zero-shot", AVERAGED, "^",
        "Zero-shot, and the average of what fine-tuning from there added, the same for all tasks.", "bottom",
    ),
    "k_nearest_added": Arm(
        "most similar on zero-shot", AVERAGED, "v",
        "The same, over the most similar tasks alone.", "bottom",
    ),
    "ridge": Arm(
        "kernel ridge", AVERAGED, "<", "Kernel ridge regression from conditions to fine-tuned adapters.", "none"
    ),
    "ridge_added": Arm(
        "kernel ridge on zero-shot", AVERAGED, "<",
        "Zero-shot, and kernel ridge regression from conditions to what fine-tuning from there added.", "bottom",
    ),
    "shared_lora": Arm(
        "shared LoRA, written head", AVERAGED, "D", "One LoRA for all tasks; only the head is written.",
        "left",
    ),
    "shared_lora_4": Arm(
        "the same, 4 examples", AVERAGED, "P", "The same, told four examples of each class as well.", "left"
    ),
    "shared_lora_16": Arm(
        "the same, 16 examples", AVERAGED, "P", "The same, told sixteen examples of each class as well.", "none"
    ),
    "one_lora": Arm(
        "average LoRA, written head", AVERAGED, "<",
        "What is written, with the average LoRA of all tasks in place of its own.", "left",
    ),
    "reader": Arm(
        "one that reads the sentence", AVERAGED, "X", "One adapter for all tasks that reads the sentence and the text.",
        "none",
    ),
    "picture_reader": Arm(
        "one that sees the pictures", AVERAGED, "v",
        "One adapter for all training styles, which reads the pictures as further tokens of every caption.", "left",
    ),
    "one_for_all": Arm(
        "one for all", AVERAGED, ">", "One adapter that is learned on everything, whatever is told.", "none"
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
    "zero_shot": Arm(
        "zero-shot", NOTHING, "2", "No training at all: texts are compared with the sentence, as embeddings."
    ),
    "zero_shot_gist": Arm(
        "zero-shot of the gist", NOTHING, "|",
        "The same, with the sentence taken to plain words by a linear map, as the hypernetwork does it.",
    ),
    "prototypes_4": Arm(
        "prototypes, 4 examples", NOTHING, "3", "The same, and with the mean of four examples of each class."
    ),
    "prototypes_16": Arm(
        "prototypes, 16 examples", NOTHING, "4", "The same, and with the mean of sixteen examples of each class."
    ),
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
