"""``cpd push``: share a generator on the hub."""

from __future__ import annotations

from pathlib import Path

import click

from cpd.commands import arguments


@click.command(short_help="share a generator on the hub")
@click.argument("generator", type=arguments.PATH, metavar="GENERATOR")
@click.argument("name", metavar="USER/NAME")
@click.option("--license", "license_", required=True, metavar="ID", help="as the hub names it, for example apache-2.0")
@click.option(
    "--evaluation",
    type=arguments.PATH,
    metavar="FOLDER",
    help="what `cpd evaluate` wrote; its table goes into the card",
)
@click.option("--private", is_flag=True, help="visible to you only")
def push(generator: Path, name: str, license_: str, evaluation: Path | None, private: bool) -> None:
    """Share a generator on the hub, with a model card that says what it was learned from and how to use it.

    Log in first with `hf auth login`, or set HF_TOKEN.

    \b
    Examples:
      cpd push generator user/name --license apache-2.0 --evaluation evaluation
    """  # fmt: skip
    from cpd.methods import hub

    click.echo(hub.push(generator, name, license_, evaluation, private))
