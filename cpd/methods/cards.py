"""The model card of a generator: what it was learned from, in numbers; how it scored; how to use it.

Source: ours; the header is ``huggingface_hub``'s.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

SHOWN = 100  # conditions in a card

TEXT = """---
{data}
---
# {title}

{what}

## Use

```sh
cpd generate {name} --condition {asked} --out new
```

{loaded}

## Learned from

{learned}

## Evaluation

{evaluation}
"""
FROM_ADAPTERS = (
    "Writes LoRA adapters of {base} (rank {rank}) for a condition, without training. Method: {method} of the library "
    "cpd,\nconditions: {kind}."
)
FROM_TABLES = (
    "Writes LoRA adapters of {base} (rank {rank}), with a classification head, for a task that it is told by a "
    "sentence, by a few labelled\ntexts, or by both, without training. Method: {method} of the library cpd, trained "
    "through the loss of the tasks below."
)
FROM_PICTURES = (
    "Writes LoRA adapters of {base} (rank {rank}) that draw in a style, which it is told by pictures "
    "(`--examples FILE_OR_FOLDER`), by a\nsentence, or by both, without training. Method: {method} of the library cpd, "
    "trained through the loss of the model that draws, on\nthe styles below."
)
PLAIN = 'Each of `new/000`, `new/001`, ... loads with `PeftModel.from_pretrained(base_model, "new/000")`.'
POOLED = (
    "`--examples FILE`, a CSV file with the columns text and label, shows labelled texts, and `--classes A,B,C` names "
    "the classes of\na task that is no yes-or-no question; up to {outputs} of them. `new/000` loads with\n"
    '`cpd.domains.text.pooled.load("{base}", "new/000")`: its head reads the mean of all tokens.'
)


def card(name: str, about: Mapping[str, Any], license: str, evaluation: Mapping[str, Any] | None) -> str:
    """Write a generator's model card.

    Args:
        name: user/name.
        about: what a saved generator says of itself.
        license: identifier.
        evaluation: what ``cpd evaluate`` found, or None.
    """
    from huggingface_hub import ModelCardData

    config = about["layout"]["config"]
    base = config["base_model_name_or_path"]
    data = ModelCardData(license=license, library_name="cpd", tags=["lora", "peft", "weight-generation"])
    data.base_model = base
    told, drawn = of_classes(about), of_pictures(about)
    words = {"base": base or "a base model", "rank": config["r"], "method": about.get("method", "cond_pdiff")}
    return TEXT.format(
        data=data.to_yaml(),
        title=name.split("/")[1],
        what=(FROM_TABLES if told else FROM_PICTURES if drawn else FROM_ADAPTERS).format(
            kind=about["encoder"]["kind"].replace("_", " "), **words
        ),
        name=name,
        asked=_asked(about, texts(about)),
        loaded=POOLED.format(outputs=about["shape"]["classes"], **words) if told else PLAIN,
        learned="\n".join(_tables(about) if told else _pictures(about) if drawn else _adapters(about)),
        evaluation="\n".join(_evaluated(evaluation)) if evaluation else "It was not evaluated.",
    )


def of_classes(about: Mapping[str, Any]) -> bool:
    """Tell whether a generator writes adapters for texts, of which it is told the classes: a hypernetwork does."""
    return bool(about.get("shape", {}).get("classes"))


def of_pictures(about: Mapping[str, Any]) -> bool:
    """Tell whether a generator writes adapters for pictures, and learned from these: a hypernetwork does."""
    return "shape" in about and not of_classes(about)


def texts(about: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the texts, or names of pictures, that each task was told by."""
    if "sentences" in about:
        return {task: [sentence] for task, sentence in about["sentences"].items()}
    found: dict[str, list[str]] = about["texts"]
    return found


def _adapters(about: Mapping[str, Any]) -> list[str]:
    pictures = about["encoder"]["kind"] == "images"
    told = {} if pictures else {task: own[0] for task, own in texts(about).items() if own}
    rows = [
        f"| {_cell(task)} | {_cell(told.get(task, '')[:200])} | {own.get('adapters', '')} | {own.get('runs', '')} | "
        f"{own.get('held_out_runs', '')} |"
        for task, own in _learned(about)
    ]
    return ["| task | condition | adapters | runs | runs held out |", "| --- | --- | --- | --- | --- |", *rows]


def _tables(about: Mapping[str, Any]) -> list[str]:
    told = texts(about)
    rows = [
        f"| {_cell(task)} | {_cell(told[task][0][:200])} | {_cell(', '.join(own.get('classes', ())))} | "
        f"{own.get('rows', '')} |"
        for task, own in _learned(about)
    ]
    return ["| task | sentence | classes | rows |", "| --- | --- | --- | --- |", *rows]


def _pictures(about: Mapping[str, Any]) -> list[str]:
    told = texts(about)
    rows = [f"| {_cell(style)} | {_cell(told[style][0][:200])} | {own['pictures']} |" for style, own in _learned(about)]
    return ["| style | sentence | pictures |", "| --- | --- | --- |", *rows]


def _learned(about: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    return list((about.get("learned") or {"tasks": {}})["tasks"].items())[:SHOWN]


def _asked(about: Mapping[str, Any], told: Mapping[str, list[str]]) -> str:
    """Return what a reader of the card can ask for, quoted for a shell."""
    kind = about["encoder"]["kind"]
    task = next(iter(about["encoder"].get("tasks") or told))
    own = [] if kind in ("one_hot", "images") else told.get(task, [])
    asked = shlex.quote(own[0] if own else task)
    scaled = about.get("learning", {}).get("normalization") == "per_task"
    return f"{asked} --task {shlex.quote(task)}" if scaled else asked


def _evaluated(found: Mapping[str, Any]) -> list[str]:
    named = found.get("names", {})
    rows = [
        f"| {named.get(row['arm'], row['arm'].replace('_', ' '))} | {row['mean'][0]:.4g} | {_above(row)} | "
        f"{row['scored']} |"
        for row in found["arms"]
    ]
    measure = found.get("measure", "score")
    return [
        found["verdict"],
        "",
        f"| adapters | {measure} | generated minus it (95 % interval) | scored |",
        "| --- | --- | --- | --- |",
        *rows,
    ]


def _cell(text: str) -> str:
    """Return a text that stays within its cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def _above(row: Mapping[str, Any]) -> str:
    if not row["generated_above"]:
        return ""
    away, low, high = row["generated_above"]
    return f"{away:+.3g}" + ("" if low is None or high is None else f" ({low:.3g} to {high:.3g})")
