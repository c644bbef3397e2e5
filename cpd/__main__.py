"""The command line: look at a folder of adapters, learn it, write new ones, score them, share the generator.

Here is what all commands share: exit codes. What the user can put right ends in one sentence and exit code 2; a
traceback is a bug.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from cpd import __version__
from cpd.commands.evaluate import evaluate
from cpd.commands.fit import fit
from cpd.commands.generate import generate
from cpd.commands.inspect import inspect
from cpd.commands.push import push

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__)
def cpd() -> None:
    """Learn to write LoRA adapters from adapters.

    \b
    Lay your own PEFT LoRA adapters (one base model, one LoRA config) out like this:
      adapters/conditions.yaml                 movies: Is a film review positive or negative?
                                               spam: Is this text message advertising?
      adapters/movies/run-0/step-90/           adapter_config.json, adapter_model.safetensors
      adapters/movies/run-0/step-100/          ... the last checkpoints of a fine-tuning run
      adapters/movies/run-1/step-90/           ... and of further runs
      adapters/spam/run-0/step-90/

    \b
    then:
      cpd inspect adapters
      cpd fit adapters --held-out 1 --out generator
      cpd evaluate adapters generator --score "python score.py {adapter} {task}"
      cpd generate generator --condition "Is a film review positive or negative?" --n 10 --out new

    Each of new/000, new/001, ... loads with peft.PeftModel.from_pretrained(base_model, "new/000").

    Or begin with labelled texts of many tasks, and no adapters:

    \b
      tables/conditions.yaml                   as above
      tables/movies/train.csv                  text,label
      cpd fit tables --method hypernetwork --held-out movies --out writer
      cpd evaluate tables writer

    Completion in bash, for example: eval "$(_CPD_COMPLETE=bash_source cpd)"
    """


for each in (inspect, fit, evaluate, generate, push):
    cpd.add_command(each)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: of the command line; those of the process where they are not given.

    Returns:
        Exit code: 0; 2 where the input or the machine was at fault; 130 where it was interrupted.
    """
    try:
        return cpd.main(None if arguments is None else list(arguments), "cpd", standalone_mode=False) or 0
    except click.exceptions.NoArgsIsHelpError as shown:
        shown.show()
        return 2
    except click.ClickException as error:
        return _refused(error.format_message())
    except (click.Abort, KeyboardInterrupt):
        print("cpd: interrupted; the same command goes on where it was", file=sys.stderr)
        return 130
    except (ValueError, OSError) as error:
        return _refused(str(error))


def _refused(text: str) -> int:
    print(f"cpd: {' '.join(text.split())}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
