"""From executed notebooks to a book: stage the pages beside them, build, and print the headline numbers.

``python -m cpd.study.book PRESET`` builds the book of a run of your own in ``_build/PRESET/html``. With ``--publish``
the run of the preset ``full`` becomes the committed one: its notebooks go to ``book/notebooks/``, its numbers and
pictures to ``results/``, its headlines into the README, its lead picture into ``book/_static/``. Of another preset only
the numbers are kept, in ``results/PRESET/``, for the book to quote. Nothing is computed here.

Source: ours; the table of contents is sphinx-external-toc's.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from cpd.runtime import artifacts
from cpd.study.lead import lead
from cpd.study.presets import PRESETS

REPOSITORY = Path(__file__).resolve().parents[2]
COMMITTED = "full"  # preset of the run that the repository shows
CARD = "book/_static/lead.png"  # the lead picture, for the README and as what social sites show
CARD_DPI = 120  # 1200 by 630 pixels
MARKS = ("<!-- finding -->", "<!-- end of finding -->")


def executed(preset: str) -> list[Path]:
    """Return the executed notebooks of a preset, in the order of the study.

    Raises:
        FileNotFoundError: if there is none.
    """
    folder = artifacts.root() / preset / "notebooks"
    found = sorted(path for path in folder.glob("*.ipynb") if not path.name.endswith(".unfinished.ipynb"))
    if not found:
        raise FileNotFoundError(f"no executed notebook in {folder}; run `papermill notebooks/00_toy.ipynb` first")
    return found


def fill(book: Path, notebooks: list[Path]) -> None:
    """Put executed notebooks into a book's ``notebooks/``, in place of those it has.

    Args:
        book: folder with the chapters.
        notebooks: files.
    """
    shutil.rmtree(book / "notebooks", ignore_errors=True)
    (book / "notebooks").mkdir()
    for path in notebooks:
        shutil.copyfile(path, book / "notebooks" / path.name)


def without_missing(contents: dict[str, Any], book: Path) -> dict[str, Any]:
    """Return a table of contents without the chapters whose notebook a book has not got, and parts without any.

    Args:
        contents: as in ``_toc.yml``, in parts.
        book: folder with the chapters.
    """
    parts = [
        part | {"chapters": [each for each in part["chapters"] if list(book.glob(f"{each['file']}.*"))]}
        for part in contents["parts"]
    ]
    return contents | {"parts": [part for part in parts if part["chapters"]]}


def build(preset: str) -> Path:
    """Build the book of a preset's run; an earlier one is replaced only if that succeeds.

    Args:
        preset: whose executed notebooks are shown.

    Returns:
        The folder of the built pages, ``_build/PRESET/html`` of the repository.

    Raises:
        CalledProcessError: if jupyter-book fails. Its warnings are shown, and do not cost a reader the book.
    """
    work, html = (REPOSITORY / "_build" / preset / name for name in ("work", "html"))
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(REPOSITORY / "book", work / "book", ignore=shutil.ignore_patterns("_build", "__pycache__"))
    shutil.copytree(REPOSITORY / "results", work / "results")
    shutil.copyfile(REPOSITORY / "CITATION.cff", work / "CITATION.cff")
    artifacts.write_bytes(work / "_config.yml", _lenient((REPOSITORY / "_config.yml").read_text()).encode())
    fill(work / "book", executed(preset))
    listed = without_missing(yaml.safe_load((REPOSITORY / "book" / "_toc.yml").read_text()), work / "book")
    artifacts.write_bytes(work / "book" / "_toc.yml", yaml.safe_dump(listed, sort_keys=False).encode())
    program = str(Path(sys.executable).with_name("jupyter-book"))
    command = [program, "build", str(work / "book"), "--nitpick", "--keep-going", "--all", "--quiet"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode or re.search("(WARNING|ERROR):", done.stderr):
        sys.stderr.write(done.stdout * bool(done.returncode) + done.stderr)
    done.check_returncode()
    shutil.rmtree(html, ignore_errors=True)
    (work / "_build" / "html").rename(html)
    shutil.rmtree(work)
    return html


def _lenient(config: str) -> str:
    """Return a configuration under which a page may refer to notebooks that a reader has not run."""
    settings = yaml.safe_load(config)
    settings["sphinx"]["config"]["suppress_warnings"] = ["ref.ref"]
    return yaml.safe_dump(settings, sort_keys=False)


def publish(preset: str) -> Path:
    """Make a run the committed one, or keep the numbers of one of another preset; return where its numbers are.

    Args:
        preset: whose run. Of ``full``, notebooks and README follow; of others, the numbers only.

    Raises:
        FileNotFoundError: if there is no such run; what was published before stays.
    """
    made = sorted((artifacts.root() / preset / "results").glob("*.json"))
    if not made:
        raise FileNotFoundError(
            f"{artifacts.root()} holds no results of preset {preset}; run its notebooks, or set CPD_ARTIFACTS"
        )
    if preset != COMMITTED:
        return _keep(made, REPOSITORY / "results" / preset)
    fill(REPOSITORY / "book", executed(preset))
    results = _keep(made, REPOSITORY / "results")
    readme = REPOSITORY / "README.md"
    artifacts.write_bytes(readme, with_finding(readme.read_text(), results).encode())
    artifacts.write_bytes(REPOSITORY / CARD, lead(results, wide=True).png(CARD_DPI))
    return results


def _keep(made: Sequence[Path], results: Path) -> Path:
    """Put the numbers of a run, and the pictures beside them, in place of those of an earlier one."""
    results.mkdir(parents=True, exist_ok=True)
    for path in results.glob("*.json"):
        path.unlink()
        shutil.rmtree(path.with_suffix(""), ignore_errors=True)
    for path in made:
        shutil.copyfile(path, results / path.name)
        if path.with_suffix("").is_dir():
            shutil.copytree(path.with_suffix(""), results / path.stem)
    return results


def with_finding(readme: str, results: Path) -> str:
    """Return a README whose passage between the two marks lists the headlines of some results, and nothing else new."""
    before, _, rest = readme.partition(MARKS[0])
    passage = "\n".join(f"- {line}" for line in headlines(results))
    return before + MARKS[0] + f"\n{passage}\n" + MARKS[1] + rest.partition(MARKS[1])[2]


def headlines(results: Path) -> list[str]:
    """Return a line per notebook with what it found: its ``headline`` where it published one, else its numbers."""
    return [_headline(path) for path in sorted(results.glob("*.json"))]


def _headline(path: Path) -> str:
    numbers: dict[str, Any] = json.loads(path.read_text())
    shown = (f"{key} {value:.4g}" for key, value in numbers.items() if type(value) in (int, float))
    return f"{path.stem}: {numbers.get('headline') or ', '.join(shown)}"


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m cpd.study.book", description="Build the book of a run of your own."
    )
    parser.add_argument("preset", choices=list(PRESETS), help="whose executed notebooks the book shows")
    parser.add_argument(
        "--publish",
        action="store_true",
        help="write the run into book/ and results/ instead (full), or its numbers into results/PRESET/ (others)",
    )
    asked = parser.parse_args()
    try:
        place = publish(asked.preset) if asked.publish else build(asked.preset) / "index.html"
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        raise SystemExit(f"cpd.study.book: {error}") from None
    print(
        *headlines(artifacts.root() / asked.preset / "results"),
        "",
        f"{'Published' if asked.publish else 'Book of'} the {asked.preset} run: {place}",
        sep="\n",
    )


if __name__ == "__main__":
    main()
