"""``cpd inspect``: what a folder of adapters, of tables or of pictures holds, and what looks wrong."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import click

from cpd.commands import arguments, pictures, tables


@click.command(short_help="say what a folder of adapters, of tables or of pictures holds, and what looks wrong")
@arguments.root
@arguments.adapter
@arguments.as_json
def inspect(root: Path, adapter: str | None, as_json: bool) -> None:
    """Say what a folder of adapters holds: tasks, runs, layout, norms, distances, and what looks wrong.

    That is: near-duplicates, adapters that lie among those of another task, adapters that do nothing, parameters that
    never move, and what was left out. Of tables: tasks, classes, rows, and texts that are there twice. Of pictures:
    styles, how many pictures each has, and how it is described.

    \b
    Examples:
      cpd inspect adapters
      cpd inspect adapters --json | jq .distances
    """
    if tables.there(root):
        arguments.require_default("of a folder of tables", "adapter")
        tasks = _tasks(root)
        click.echo(json.dumps(tasks, indent=1) if as_json else _table(tasks))
        return
    if pictures.there(root):
        arguments.require_default("of a folder of pictures", "adapter")
        styles = pictures.described(root)
        click.echo(json.dumps(styles, indent=1) if as_json else pictures.table(styles))
        return
    from cpd.zoo import inspection
    from cpd.zoo.folders import from_folders

    with tempfile.TemporaryDirectory() as temporary:
        found = inspection.inspect(from_folders(root, Path(temporary) / "zoo", adapter=adapter))
    click.echo(json.dumps(found, indent=1) if as_json else inspection.table(found))


def _tasks(root: Path) -> dict[str, Any]:
    """Describe a folder of tables, JSON values: of each task its sentence, how often it has each class, and repeats."""
    from cpd.domains.text.tables import tasks

    found: dict[str, Any] = {}
    for card in tasks(root):
        rows, _ = card.load()
        pairs = {(text, int(label)) for text, label in zip(rows.texts, rows.labels, strict=True)}
        different = len({text for text, _ in pairs})
        found[card.name] = {
            "sentences": [card.description, *card.phrasings],
            "rows": len(rows),
            "classes": {words: int((rows.labels == k).sum()) for k, words in enumerate(card.classes)},
            "repeated": len(rows) - different,
            "contradicting": len(pairs) - different,
        }
    return {"tasks": found}


def _table(said: dict[str, Any]) -> str:
    """Write it for people to read."""
    lines = [f"{len(said['tasks'])} tables", "", f"{'task':<20}{'rows':>7}  {'classes':<30}  sentence"]
    wrong = []
    for task, own in said["tasks"].items():
        classes = ", ".join(f"{words} {count}" for words, count in own["classes"].items())
        lines.append(f"{task:<20}{own['rows']:>7}  {classes[:30]:<30}  {own['sentences'][0][:60]}")
        if own["repeated"]:
            wrong.append(
                f"note: {task} has {own['repeated']} texts that are there before, {own['contradicting']} of them with "
                "another label; the first is learned"
            )
    return "\n".join([*lines, *wrong])
