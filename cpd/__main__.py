"""The command line: look at a folder of adapters, learn it, write new ones.

Here are arguments, tables and exit codes; the work is done by ``inspection``, ``folders`` and ``registry``. What the
user can put right ends in one sentence and exit code 2; a traceback is a bug.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cpd.zoo.zoo import AdapterZoo

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

EXAMPLES = """
Lay your own PEFT LoRA adapters (one base model, one LoRA config) out like this:

  adapters/conditions.yaml                 movies: Is a film review positive or negative?
                                           spam: Is this text message advertising?
  adapters/movies/run-0/step-90/           adapter_config.json, adapter_model.safetensors
  adapters/movies/run-0/step-100/          ... the last checkpoints of a fine-tuning run
  adapters/movies/run-1/step-90/           ... and of further runs
  adapters/spam/run-0/step-90/

then:

  python -m cpd inspect adapters
  python -m cpd fit adapters --out generator
  python -m cpd generate generator --condition "Is a film review positive or negative?" --n 10 --out new

Each of new/000, new/001, ... loads with peft.PeftModel.from_pretrained(base_model, "new/000").
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: of the command line; those of the process where they are not given.

    Returns:
        Exit code: 0, or 2 where the input or the machine was at fault.
    """
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except (ValueError, OSError) as error:
        print(f"cpd: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    shape: dict[str, Any] = {"formatter_class": argparse.RawDescriptionHelpFormatter}
    parser = argparse.ArgumentParser(
        "python -m cpd", description="Learn to write LoRA adapters from adapters.", epilog=EXAMPLES, **shape
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _inspect_options(commands.add_parser("inspect", help="say what a folder of adapters holds", **shape))
    _fit_options(commands.add_parser("fit", help="learn a folder of adapters", **shape))
    _generate_options(commands.add_parser("generate", help="write new adapters", **shape))
    return parser


def _inspect_options(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Say what a folder of adapters holds: tasks, runs, layout, norms, distances, near-duplicates,\n"
        "adapters that lie among those of another task, and parameters that never move.\n\n"
        "  python -m cpd inspect adapters\n  python -m cpd inspect adapters --json | jq .distances"
    )
    _folder(parser)
    parser.add_argument("--json", action="store_true", help="write JSON instead of a table")
    parser.set_defaults(run=_inspect)


def _fit_options(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Learn every adapter of a folder: an autoencoder, then a diffusion model of its latents under a condition;\n"
        "or, with --method, keep of it what a simpler method needs, to compare with.\n"
        "Stopped at any moment and started again with the same arguments, it goes on where it was.\n\n"
        "  python -m cpd fit adapters --out generator\n"
        "  python -m cpd fit adapters --out quick --preset smoke --condition one_hot\n"
        "  python -m cpd fit adapters --out average --method soup\n"
        "  accelerate launch --num_processes 4 -m cpd fit adapters --out generator   # four GPUs, four times the batch"
    )
    _folder(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="GENERATOR", help="folder to write; must not exist")
    parser.add_argument(
        "--method",
        default="cond_pdiff",
        help="what learns: cond_pdiff, or a control (run_soup, soup, gaussian, noisy_soup, by_condition), which "
        "answers for the task with the nearest condition (default: %(default)s)",
    )
    parser.add_argument("--preset", default="laptop", help="how long to learn: smoke, laptop, full, paper, authors")
    parser.add_argument("--normalization", help="none, shared (all tasks together) or per_task; default: the preset's")
    parser.add_argument(
        "--condition",
        help="description, examples, one_hot, none, or images (conditions.yaml then names a picture, or a folder of up "
        "to 8, per task); default: the preset's",
    )
    parser.add_argument("--encoder", help="sentence encoder: minilm, a sentence-transformers name or folder")
    parser.add_argument("--seed", type=int, default=0, help="of initialization and training (default: %(default)s)")
    parser.set_defaults(run=_fit)


def _generate_options(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Write new adapters for a condition: a task name or its text, or any other text.\n\n"
        '  python -m cpd generate generator --condition "Is a film review positive?" --n 10 --out new\n'
        "  python -m cpd generate generator --condition movies --task movies --n 3 --out new"
    )
    parser.add_argument("generator", type=Path, metavar="GENERATOR", help="folder that fit wrote")
    parser.add_argument("--condition", required=True, metavar="TEXT", help="what the adapters are to be good for")
    parser.add_argument("--n", type=int, default=10, help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the noise (default: %(default)s)")
    parser.add_argument("--guidance", type=float, default=1.0, help="scale; 1 is none (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=50, help="of the sampler (default: %(default)s)")
    parser.add_argument("--task", help="whose statistics scale the weights back; needed after per_task normalization")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="gets 000, 001, ...; must be empty")
    parser.set_defaults(run=_generate)


def _folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder", type=Path, metavar="FOLDER", help="TASK/RUN/CHECKPOINT/ PEFT folders and conditions.yaml"
    )


def _inspect(options: argparse.Namespace) -> None:
    import tempfile

    from cpd.zoo.folders import from_folders
    from cpd.zoo.inspection import inspect, table

    with tempfile.TemporaryDirectory() as temporary:
        found = inspect(from_folders(options.folder, Path(temporary) / "zoo"))
    print(json.dumps(found, indent=1) if options.json else table(found))


def _fit(options: argparse.Namespace) -> None:
    import shutil

    from accelerate import Accelerator

    from cpd.methods import registry
    from cpd.study.presets import preset
    from cpd.zoo.zoo import AdapterZoo

    given = {name: getattr(options, name) for name in ("normalization", "condition", "encoder")}
    learning = replace(preset(options.preset).learning, **{name: value for name, value in given.items() if value})
    registry.able(options.method, learning)  # or refused, before any work
    if options.out.exists():
        raise FileExistsError(f"{options.out} exists already; choose another folder or delete it first")
    work = options.out.absolute().with_name(f".{options.out.absolute().name}.work")
    process = Accelerator()
    with process.main_process_first():
        zoo = _gathered(options.folder, work) if process.is_main_process else AdapterZoo.load(work / "zoo")
    generator = registry.fit(options.method, zoo, learning, options.seed, work)
    if process.is_main_process:
        generator.save_pretrained(options.out)
        shutil.rmtree(work)
        print(f"{options.out}: learned {len(zoo.rows)} adapters of {', '.join(zoo.tasks)}")


def _gathered(folder: Path, work: Path) -> AdapterZoo:
    """Gather a folder of adapters into a zoo in the folder of work, anew; leave nothing there if that fails."""
    import shutil

    from cpd.zoo.folders import from_folders

    shutil.rmtree(work / "zoo", ignore_errors=True)
    try:
        return from_folders(folder, work / "zoo")
    except BaseException:
        if work.is_dir() and not any(work.iterdir()):
            work.rmdir()
        raise


def _generate(options: argparse.Namespace) -> None:
    import shutil

    from cpd.adapters.peft_files import write_adapter
    from cpd.methods import registry

    if options.out.exists() and (not options.out.is_dir() or any(options.out.iterdir())):
        raise FileExistsError(f"{options.out} is not an empty folder; choose another one or empty it first")
    generator = registry.load(options.generator)
    vectors = generator.generate(
        options.condition, options.n, options.seed, options.guidance, options.steps, options.task
    )
    partial = options.out.absolute().with_name(f".{options.out.absolute().name}.partial")
    try:
        for i, vector in enumerate(vectors):
            write_adapter(partial / f"{i:03d}", generator.layout, vector)
        partial.replace(options.out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    print(f"{options.out}: {options.n} adapters, 000 to {options.n - 1:03d}, of {generator.layout.size:,} parameters")


if __name__ == "__main__":
    sys.exit(main())
