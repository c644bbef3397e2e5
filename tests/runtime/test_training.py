from __future__ import annotations

import math
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from processes import PATHS, launched
from torch import Tensor, nn
from torch.nn import functional

from cpd.runtime import artifacts, tensor_files
from cpd.runtime.training import Plan, step_generator, train

TARGET = torch.arange(12.0).reshape(4, 3) / 10
PLAN = Plan(20, 1e-2, warmup=3, weight_decay=0.01, ema=0.9, save_every=5)
SCRIPT = """
import os, signal, sys
from pathlib import Path
import torch
sys.path[:0] = sys.argv[1].split(":")
import test_training as t
torch.set_num_threads(1)
def loss(module, step, generator):
    if step == 13:
        os.kill(os.getpid(), signal.SIGKILL)
    return t.loss(module, step, generator)
t.train(t.network(), loss, t.PLAN, 0, Path(sys.argv[2]), "killed")
"""


class Stopped(Exception):
    pass


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.3), nn.Tanh(), nn.Linear(8, 3))


def loss(module: nn.Module, step: int, generator: torch.Generator) -> Tensor:
    """Draw on both sources of randomness: the generator, and the global one (dropout)."""
    x = torch.randn(16, 4, generator=generator)
    return functional.mse_loss(module(x), x @ TARGET)


def stop_at(last: int):  # noqa: ANN201
    def stopping(module: nn.Module, step: int, generator: torch.Generator) -> Tensor:
        if step == last:
            raise Stopped
        return loss(module, step, generator)

    return stopping


def weights(module: nn.Module) -> bytes:
    return b"".join(p.detach().numpy().tobytes() for p in module.parameters())


def whole(tmp_path: Path, plan: Plan = PLAN, seed: int = 0) -> tuple[list[float], bytes, bytes]:
    module, state = network(), tmp_path / f"whole-{seed}"
    losses = train(module, loss, plan, seed, state, "whole")
    return losses, weights(module), state.read_bytes()


@pytest.mark.parametrize("last", [3, 5, 13, 19])
@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_b8_stopped_and_resumed_equals_never_stopped(tmp_path: Path, last: int, ema: float) -> None:
    plan = Plan(20, 1e-2, warmup=3, weight_decay=0.01, ema=ema, save_every=5)
    state = tmp_path / "state"
    with pytest.raises(Stopped):
        train(network(), stop_at(last), plan, 0, state, "stopped")
    module = network()
    losses = train(module, loss, plan, 0, state, "resumed")
    assert (losses, weights(module), state.read_bytes()) == whole(tmp_path, plan)
    moments = [t for name, t in tensor_files.read_tensors(state).items() if name.startswith("exp_avg_sq/")]
    assert len(moments) == 4 and all(bool(t.any()) for t in moments), "the optimizer's moments are part of the state"


def test_killed_process_resumes_to_the_same_bytes(tmp_path: Path) -> None:
    state = tmp_path / "state"
    command = [sys.executable, "-c", SCRIPT, PATHS, str(state)]
    assert subprocess.run(command, capture_output=True).returncode == -signal.SIGKILL
    assert len(tensor_files.read_tensors(state)["losses"]) == 10, "the last state before step 13 is that of step 10"
    module = network()
    losses = train(module, loss, PLAN, 0, state, "resumed")
    assert (losses, weights(module), state.read_bytes()) == whole(tmp_path)


def test_finished_state_is_returned_without_another_step(tmp_path: Path) -> None:
    losses, bytes_, _ = whole(tmp_path)
    module = network()
    again = train(module, stop_at(0), PLAN, 0, tmp_path / "whole-0", "again")
    assert (again, weights(module)) == (losses, bytes_)
    assert not module.training


def test_seeds_name_runs(tmp_path: Path) -> None:
    first = whole(tmp_path)
    (tmp_path / "again").mkdir()
    assert whole(tmp_path / "again") == first
    assert whole(tmp_path, seed=1)[1] != first[1]


def test_global_random_state_before_the_call_is_irrelevant(tmp_path: Path) -> None:
    first, module = whole(tmp_path), network()
    torch.manual_seed(12345)
    train(module, loss, PLAN, 0, tmp_path / "other", "other")
    assert weights(module) == first[1]


def test_average_is_that_of_the_weights_of_all_steps(tmp_path: Path) -> None:
    module = nn.Linear(1, 1, bias=False)
    module.weight.data.fill_(1.0)
    seen: list[float] = [1.0]

    def record(_: int) -> None:
        seen.append(float(module.weight.detach()))

    plan = Plan(30, 0.05, ema=0.6, decay="constant")
    train(module, lambda m, _, g: m.weight.square().sum(), plan, 0, tmp_path / "state", "ema", record)
    mean = seen[0]
    for n, value in enumerate(seen[1:], 1):
        decay = min(0.6, (1 + n) / (10 + n))
        mean = decay * mean + (1 - decay) * value
    assert float(module.weight.detach()) == pytest.approx(mean, rel=1e-5)
    assert abs(mean - seen[-1]) > 0.01, "the last weight itself would be another number"


def test_without_average_the_last_weights_are_kept(tmp_path: Path) -> None:
    module, seen = network(), []
    train(module, loss, Plan(4, 1e-2), 0, tmp_path / "s", "x", lambda _: seen.append(weights(module)))
    assert weights(module) == seen[-1] and len(set(seen)) == 4


def test_first_step_is_adamw_in_closed_form(tmp_path: Path) -> None:
    module = nn.Linear(1, 1, bias=False)
    module.weight.data.fill_(2.0)
    plan = Plan(1, 0.1, weight_decay=0.5, decay="constant")
    train(module, lambda m, _, g: m.weight.sum(), plan, 0, tmp_path / "s", "adamw")
    assert float(module.weight.detach()) == pytest.approx(2.0 * (1 - 0.1 * 0.5) - 0.1)


def test_frozen_parameters_neither_move_nor_are_saved(tmp_path: Path) -> None:
    module = network()
    module[0].weight.requires_grad = False
    before = module[0].weight.clone()
    train(module, loss, PLAN, 0, tmp_path / "s", "frozen")
    assert torch.equal(module[0].weight, before)
    assert "weight/0.weight" not in tensor_files.read_tensors(tmp_path / "s")


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_loss_that_is_not_finite_is_refused_at_its_step_and_never_saved(tmp_path: Path, bad: float) -> None:
    def breaking(module: nn.Module, step: int, generator: torch.Generator) -> Tensor:
        return loss(module, step, generator) * (bad if step == 7 else 1.0)

    with pytest.raises(ValueError, match=f"the loss of step 7 is {bad}"):
        train(network(), breaking, PLAN, 0, tmp_path / "s", "nan")
    assert all(bool(t.isfinite().all()) for t in tensor_files.read_tensors(tmp_path / "s").values())


def test_state_of_another_plan_or_seed_or_no_state_at_all_is_refused(tmp_path: Path) -> None:
    whole(tmp_path)
    state = tmp_path / "whole-0"
    for plan, seed in ((PLAN, 1), (Plan(21, 1e-2, warmup=3, weight_decay=0.01, ema=0.9, save_every=5), 0)):
        with pytest.raises(ValueError, match="state of another plan, seed or"):
            train(network(), loss, plan, seed, state, "other")
    state.write_bytes(state.read_bytes()[:100])
    with pytest.raises(ValueError, match="not a whole safetensors file"):
        train(network(), loss, PLAN, 0, state, "truncated")


def test_rates_follow_the_closed_form() -> None:
    cosine, linear = Plan(110, 2.0, warmup=10), Plan(110, 2.0, warmup=10, decay="linear")
    constant = Plan(110, 2.0, warmup=10, decay="constant")
    for plan in (cosine, linear, constant):
        assert plan.rate(0) == pytest.approx(0.2) and plan.rate(9) == pytest.approx(2.0)
        assert plan.rate(10) == pytest.approx(2.0)
    assert cosine.rate(35) == pytest.approx(1 + math.cos(math.pi / 4))
    assert linear.rate(35) == pytest.approx(1.5)
    assert constant.rate(109) == 2.0
    assert linear.rate(110) == cosine.rate(110) == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("fields", "named"),
    [({"decay": "steps"}, "cosine, linear, constant"), ({"precision": "fp8"}, "fp32, bf16, auto"), ({"steps": 0}, "0")],
)
def test_bad_plans_are_refused(fields: dict[str, object], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Plan(**{"steps": 5, "learning_rate": 1.0} | fields)


def test_steps_draw_independent_numbers() -> None:
    draws = {float(torch.rand(1, generator=step_generator(seed, step))) for seed in range(3) for step in range(40)}
    assert len(draws) == 120
    assert torch.equal(torch.rand(3, generator=step_generator(1, 2)), torch.rand(3, generator=step_generator(1, 2)))


TOGETHER = """
import sys
from pathlib import Path
import torch
from accelerate import PartialState
sys.path[:0] = sys.argv[1].split(":")
import test_training as t
torch.set_num_threads(1)
module = t.smooth()
losses = t.train(module, t.loss, t.PLAN, 0, Path(sys.argv[2]), "together")
mine = Path(f"{sys.argv[2]}-{PartialState().process_index}")
t.artifacts.write_json(mine, {"losses": losses, "weights": [p.flatten().tolist() for p in module.parameters()]})
"""


def smooth() -> nn.Module:
    """Return a network whose only randomness is that of its batches."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))


def test_two_processes_minimize_the_mean_of_their_losses(tmp_path: Path) -> None:
    (tmp_path / "together.py").write_text(TOGETHER)
    done = launched(tmp_path, "together.py", PATHS, "state")
    assert done.returncode == 0, done.stderr[-2000:]
    first, second = (artifacts.read_json(tmp_path / f"state-{process}") for process in (0, 1))
    assert first == second

    def mean(module: nn.Module, step: int, generator: torch.Generator) -> Tensor:
        return sum((loss(module, step, step_generator(0, step, process)) for process in (0, 1)), torch.zeros(())) / 2

    alone = smooth()
    assert first["losses"] == pytest.approx(train(alone, mean, PLAN, 0, tmp_path / "alone", "alone"), rel=1e-5)
    for found, expected in zip(first["weights"], alone.parameters(), strict=True):
        assert found == pytest.approx(expected.flatten().tolist(), rel=1e-4, abs=1e-6)
    with pytest.raises(ValueError, match="another plan, seed or number of processes"):
        train(smooth(), loss, PLAN, 0, tmp_path / "state", "alone")
