"""Arrows point down only: who may import whom, and what importing may not do."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "cpd"
ROOMS: dict[str, tuple[int, set[str]]] = {  # floor, and the rooms that are imported
    "__init__": (0, set()),
    "runtime": (1, set()),
    "diffusion": (1, set()),
    "adapters": (2, {"runtime"}),
    "features": (2, {"runtime"}),
    "conditions": (3, {"runtime", "features"}),
    "measures": (3, {"adapters"}),
    "domains": (4, {"runtime", "diffusion", "adapters", "features", "conditions", "measures"}),
    "zoo": (4, {"runtime", "adapters", "measures"}),
    "methods": (5, {"runtime", "diffusion", "adapters", "conditions", "measures", "domains", "zoo"}),
    "unseen": (6, {"features", "conditions", "domains", "measures", "methods"}),
    "evaluation": (6, {"runtime", "domains", "zoo", "methods"}),
    "study": (
        7,
        {
            "runtime",
            "diffusion",
            "adapters",
            "features",
            "conditions",
            "measures",
            "domains",
            "zoo",
            "methods",
            "evaluation",
        },
    ),
    "scoring": (7, {"runtime", "adapters", "measures", "zoo", "methods", "evaluation"}),
    "commands": (
        8,
        {
            *("runtime", "adapters", "conditions", "domains", "zoo", "methods", "evaluation", "unseen", "scoring"),
            "study",
        },
    ),
    "__main__": (9, {"commands"}),
}
MODULES = sorted(PACKAGE.rglob("*.py"))


def module(path: Path) -> str:
    """Return a module's name below the package, as in ``zoo.folders``; of a folder's ``__init__`` the folder's."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def room(name: str) -> str:
    """Return the room that a module is in: the first part of its name."""
    return name.partition(".")[0]


NAMES = {module(path): path for path in MODULES}


def imported(source: str) -> set[str]:
    """Return the modules of the package that a source imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "write imports in full"
            names = [f"{node.module or ''}.{alias.name}" for alias in node.names]
        else:
            continue
        below = [name.removeprefix("cpd.") for name in names if name.startswith("cpd.")]
        found |= {name if name in NAMES else name.rpartition(".")[0] for name in below}
    return found - {""}


@pytest.mark.parametrize("name", sorted({room(name) for name in NAMES}))
def test_a_room_imports_exactly_what_the_table_says_and_only_from_below(name: str) -> None:
    own = [path for each, path in NAMES.items() if room(each) == name]
    found = {room(each) for path in own for each in imported(path.read_text())} - {name}
    floor, expected = ROOMS[name]
    assert found == expected
    assert not {each for each in found if ROOMS[each][0] >= floor}


def test_modules_do_not_import_each_other_in_a_circle() -> None:
    needs = {name: imported(path.read_text()) - {name} for name, path in NAMES.items()}
    below: set[str] = set()
    while needs:
        free = {name for name, needed in needs.items() if needed <= below}
        assert free, f"a circle among {', '.join(sorted(needs))}"
        below |= free
        needs = {name: needed for name, needed in needs.items() if name not in free}


def test_imports_are_seen_wherever_they_are() -> None:
    inside = "def f():\n    from cpd.study import pipeline\n    import cpd.domains.text.glue"
    assert imported(inside) == {"study.pipeline", "domains.text.glue"}
    assert imported("from cpd.zoo.zoo import Row\nfrom cpd import features") == {"zoo.zoo", "features"}


QUIET = """
import importlib, pathlib, random, socket
import numpy, torch
import rich.default_styles  # which itself draws from ``random``; scikit-learn imports it
def refuse(*args, **kwargs):
    raise OSError("importing cpd reached for the network")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
before = random.getstate(), numpy.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
for path in sorted(pathlib.Path("cpd").rglob("*.py")):
    if path.stem != "__main__":
        importlib.import_module(".".join(path.with_suffix("").parts).removesuffix(".__init__"))
after = random.getstate(), numpy.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
assert before == after, "importing cpd changed a random state"
"""


def test_importing_touches_no_network_and_no_random_state() -> None:
    done = subprocess.run([sys.executable, "-c", QUIET], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
