"""Arrows point down only: who may import whom, and what importing may not do."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "cpd"
LEARN = {"adapters", "settings", "training"}
NETWORKS = {"autoencoder", "conditions", "denoiser", "normalizer"}
ALLOWED: dict[str, set[str]] = {
    "settings": set(),
    "presets": {"settings"},
    "artifacts": set(),
    "arms": set(),
    "figures": {"arms", "figures"},
    "sketch": {"figures"},
    "lora": set(),
    "diffusers_lora": {"artifacts"},
    "adapters": {"artifacts", "diffusers_lora", "lora"},
    "training": {"artifacts", "settings"},
    "normalizer": {"artifacts"},
    "autoencoder": {"artifacts"},
    "features": {"artifacts"},
    "conditions": {"artifacts", "features", "settings"},
    "denoiser": {"artifacts"},
    "metrics": {"adapters"},
    "statistics": set(),
    "tasks": {"settings", "artifacts", "adapters", "denoiser", "features", "lora", "training", "tasks"},
    "finetune": LEARN | {"artifacts", "lora"},
    "zoo": LEARN | {"artifacts", "finetune", "lora", "metrics"},
    "baselines": {"adapters", "metrics", "settings", "zoo"},
    "fitting": LEARN | NETWORKS | {"artifacts", "zoo"},
    "generator": LEARN | NETWORKS | {"artifacts", "fitting", "zoo"},
    "toy": {"artifacts", "denoiser", "fitting", "metrics", "presets", "settings"},
    "evaluation": {"baselines", "finetune", "generator", "metrics", "parallel", "settings", "zoo"},
    "ablation": {"evaluation", "finetune", "generator", "metrics", "settings", "zoo"},
    "inspection": {"adapters", "artifacts", "baselines", "metrics", "zoo"},
    "cost": {"adapters", "generator", "settings", "zoo"},
    "report": {"artifacts", "statistics"},
    "claims": {"statistics"},
    "lead": {"arms", "claims", "figures", "report"},
    "parallel": {"artifacts", "finetune", "settings", "training"},
    "study": LEARN | {"fitting", "artifacts", "finetune", "generator", "metrics", "parallel", "tasks", "zoo"},
    "parameters": {"presets"},
    "papermill_engine": {"artifacts", "parameters"},
    "book": {"artifacts", "lead", "presets"},
    "redraw": {"artifacts", "book", "lead", "papermill_engine"},
    "__main__": LEARN | {"artifacts", "conditions", "generator", "inspection", "metrics", "presets", "zoo"},
    "__init__": set(),
}
MODULES = sorted(PACKAGE.rglob("*.py"))


def layer(path: Path) -> str:
    """Return a module's row in the table; the modules of a folder share one."""
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else path.stem


def imported(source: str) -> set[str]:
    """Return the rows of the table that a module's source imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module or ''}.{alias.name}" for alias in node.names]
            assert node.level == 0, "write imports in full"
        else:
            continue
        found |= {name.split(".")[1] for name in names if name.startswith("cpd.")}
    return found - {"__version__"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_modules_import_only_what_lies_below_them(path: Path) -> None:
    assert layer(path) in ALLOWED, f"{path.name} is not in the table; say where it belongs"
    above = imported(path.read_text()) - ALLOWED[layer(path)]
    assert not above, f"{path.name} imports {', '.join(sorted(above))}"


def test_the_table_has_no_cycle() -> None:
    below: set[str] = set()
    rest = {name: needs - {name} for name, needs in ALLOWED.items()}
    while rest:
        free = {name for name, needs in rest.items() if needs <= below}
        assert free, f"a cycle among {', '.join(sorted(rest))}"
        below |= free
        rest = {name: needs for name, needs in rest.items() if name not in free}


def test_an_upward_import_is_seen() -> None:
    assert imported("def f():\n    from cpd.study import x\n    import cpd.tasks.glue") == {"study", "tasks"}
    assert imported("from cpd import zoo") == {"zoo"}


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_notebooks_do_not_import_each_other(path: Path) -> None:
    assert "%run" not in path.read_text() and "import notebooks" not in path.read_text()


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
