"""``cpd inspect``: what a folder of adapters holds, and what looks wrong."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import click

from cpd.commands import arguments


@click.command(short_help="say what a folder of adapters holds, and what looks wrong")
@arguments.root
@arguments.adapter
@arguments.as_json
def inspect(root: Path, adapter: str | None, as_json: bool) -> None:
    """Say what a folder of adapters holds: tasks, runs, layout, norms, distances, and what looks wrong.

    That is: near-duplicates, adapters that lie among those of another task, adapters that do nothing, parameters that
    never move, and what was left out.

    \b
    Examples:
      cpd inspect adapters
      cpd inspect adapters --json | jq .distances
    """
    from cpd.zoo import inspection
    from cpd.zoo.folders import from_folders

    with tempfile.TemporaryDirectory() as temporary:
        found = inspection.inspect(from_folders(root, Path(temporary) / "zoo", adapter=adapter))
    click.echo(json.dumps(found, indent=1) if as_json else inspection.table(found))
