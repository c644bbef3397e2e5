"""The one training loop: fine-tuning, the autoencoder and the denoiser all run through it.

It knows steps, learning rates, averaging, checkpoints and the progress bar; what is learned is the caller's ``loss``.
Everything random in a step is derived from (seed, step, process), so resuming needs no random state and a run that was
killed ends with the same bytes as one that was not. Devices are ``accelerate``'s business. Under ``accelerate
launch``, each of n processes draws a batch of its own and a step minimizes the mean of their losses: n times the batch.

Source: ours; AdamW is arXiv 1711.05101, averaging of weights as in arXiv 2006.11239 (appendix B).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from tqdm import tqdm

from cpd.runtime import artifacts

Loss = Callable[[nn.Module, int, torch.Generator], Tensor]
OnStep = Callable[[int], Mapping[str, float] | None]
Bar = Callable[..., Any]  # makes a tqdm, or what has its set_postfix, update and close


@dataclass(frozen=True)
class Plan:
    """How long and how fast to train.

    Attributes:
        steps: optimizer steps.
        learning_rate: its peak.
        warmup: steps of linear rise from 0 to the peak.
        decay: what follows until the last step: "cosine" or "linear" to 0, or "constant".
        weight_decay: of AdamW, per step and learning rate.
        clip: largest norm of the gradient.
        ema: decay of the running average of the weights; 0 keeps the last weights themselves.
        precision: "fp32", "bf16" (autocast), or "auto": bf16 where the processor computes in it.
        save_every: steps between two saved states.
    """

    steps: int
    learning_rate: float
    warmup: int = 0
    decay: str = "cosine"
    weight_decay: float = 0.0
    clip: float = 1.0
    ema: float = 0.0
    precision: str = "fp32"
    save_every: int = 200

    def __post_init__(self) -> None:
        for name, known in (("decay", ("cosine", "linear", "constant")), ("precision", ("fp32", "bf16", "auto"))):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} is one of {', '.join(known)}, got {getattr(self, name)!r}")
        if self.steps < 1:
            raise ValueError(f"steps must be at least 1, got {self.steps}")

    def rate(self, step: int) -> float:
        """Return the learning rate of step 0, 1, ..."""
        if step < self.warmup:
            return self.learning_rate * (step + 1) / self.warmup
        progress = (step - self.warmup) / max(1, self.steps - self.warmup)
        fall = {"cosine": (1 + math.cos(math.pi * progress)) / 2, "linear": 1 - progress, "constant": 1.0}
        return self.learning_rate * fall[self.decay]


def step_generator(seed: int, step: int, process: int = 0) -> torch.Generator:
    """Return the random numbers of one step: equal for equal arguments, independent of everything that ran before."""
    return torch.Generator().manual_seed(((seed * 1_000_003 + step) * 1_009 + process) % 2**63)


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """Return the context in which ``device`` computes with ``precision`` ("fp32", "bf16" or "auto")."""
    chosen = fastest_precision(device) if precision == "auto" else precision
    return torch.autocast(device.type, torch.bfloat16, enabled=chosen == "bf16")


def fastest_precision(device: torch.device | None = None) -> str:
    """Return "bf16" where a device has instructions for it (AMX or AVX-512 on a CPU, Ampere and later GPUs).

    Args:
        device: the one that this process trains on where it is not given.
    """
    device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    able = torch.cpu.get_capabilities()
    return "bf16" if able.get("amx_bf16") or able.get("avx512_bf16") else "fp32"


def train(
    module: nn.Module,
    loss: Loss,
    plan: Plan,
    seed: int,
    state: Path,
    label: str,
    on_step: OnStep | None = None,
    bar: Bar = tqdm,
) -> list[float]:
    """Train the parameters of ``module`` that require a gradient, or finish what an earlier call began.

    Args:
        module: trained in place; afterwards it holds the averaged weights where ``plan.ema`` is set.
        loss: of (module, step, generator); must take all its randomness from the generator (on the CPU), or from
            torch's global one, which is seeded anew for each step. Called with the module that ``accelerate`` prepared.
        plan: steps and rates.
        seed: names the run.
        state: file that holds the state between calls, replaced atomically; an unfinished one is resumed.
        label: what the progress bar says.
        on_step: called with the number of steps done after each; what it returns is shown in the bar.
        bar: makes the progress bar.

    Returns:
        The loss of each step, mean over processes.

    Raises:
        ValueError: if ``state`` belongs to another plan, seed or number of processes, or the loss is not finite.
    """
    accelerator = Accelerator()
    parameters = {name: p for name, p in module.named_parameters() if p.requires_grad}
    made_by = {"plan": asdict(plan), "seed": seed, "processes": accelerator.num_processes}
    run = _Run(parameters, plan, json.dumps(made_by, sort_keys=True))
    run.load(state)
    prepared, optimizer = accelerator.prepare(module, run.optimizer)
    module.train()
    progress = bar(total=plan.steps, initial=len(run.losses), desc=label, disable=not accelerator.is_main_process)
    shown: dict[str, float] = {}
    for step in range(len(run.losses), plan.steps):
        run.record(_step(accelerator, prepared, optimizer, loss, plan, seed, step))
        shown |= (on_step(step + 1) if on_step else None) or {}
        progress.set_postfix(
            {"loss": f"{run.losses[-1]:.4f}"} | {name: f"{x:.3f}" for name, x in shown.items()}, refresh=False
        )
        progress.update()
        if accelerator.is_main_process and ((step + 1) % plan.save_every == 0 or step + 1 == plan.steps):
            run.save(state)
    progress.close()
    run.finish()
    module.eval()
    return run.losses


def _step(
    accelerator: Accelerator, module: nn.Module, optimizer: Any, loss: Loss, plan: Plan, seed: int, step: int
) -> float:
    """Take one optimizer step on a prepared module; return its loss, mean over processes."""
    generator = step_generator(seed, step, accelerator.process_index)
    torch.manual_seed(generator.initial_seed())
    for group in optimizer.param_groups:
        group["lr"] = plan.rate(step)
    with autocast(plan.precision, accelerator.device):
        value = loss(module, step, generator)
    accelerator.backward(value)
    accelerator.clip_grad_norm_([p for p in module.parameters() if p.requires_grad], plan.clip)
    optimizer.step()
    optimizer.zero_grad()
    return float(accelerator.reduce(value.detach(), "mean"))


class _Run:
    """What must survive between two steps: weights, AdamW's moments, the running average, the losses."""

    def __init__(self, parameters: Mapping[str, nn.Parameter], plan: Plan, identity: str) -> None:
        self.parameters, self.plan, self.identity = parameters, plan, identity
        self.optimizer = torch.optim.AdamW(
            parameters.values(), plan.learning_rate, weight_decay=plan.weight_decay, fused=True
        )
        self.average = {name: p.detach().clone() for name, p in parameters.items()} if plan.ema else {}
        self.losses: list[float] = []

    def record(self, loss: float) -> None:
        if not math.isfinite(loss):
            raise ValueError(
                f"the loss of step {len(self.losses)} is {loss}; lower the learning rate or check the data"
            )
        self.losses.append(loss)
        decay = min(self.plan.ema, (1 + len(self.losses)) / (10 + len(self.losses)))
        for name, mean in self.average.items():
            mean.lerp_(self.parameters[name].detach().to(mean), 1 - decay)

    def finish(self) -> None:
        for name, mean in self.average.items():
            self.parameters[name].data.copy_(mean)

    def save(self, path: Path) -> None:
        tensors = {f"weight/{name}": p.data for name, p in self.parameters.items()}
        tensors |= {f"average/{name}": mean for name, mean in self.average.items()}
        for name, p in self.parameters.items():
            tensors |= {f"{key}/{name}": value for key, value in self.optimizer.state[p].items()}
        tensors["losses"] = torch.tensor(self.losses, dtype=torch.float64)
        artifacts.write_tensors(path, tensors, {"identity": self.identity})

    def load(self, path: Path) -> None:
        if not path.exists():
            return
        if artifacts.read_metadata(path).get("identity") != self.identity:
            raise ValueError(
                f"{path} is the state of another plan, seed or number of processes; delete it or choose another folder"
            )
        tensors = artifacts.read_tensors(path)
        self.losses = tensors.pop("losses").tolist()
        for name, p in self.parameters.items():
            p.data.copy_(tensors[f"weight/{name}"])
            if name in self.average:
                self.average[name] = tensors[f"average/{name}"].to(p.device)
            moments = {
                key: tensors[f"{key}/{name}"] for key in ("step", "exp_avg", "exp_avg_sq") if f"{key}/{name}" in tensors
            }
            if moments:
                self.optimizer.state[p] = moments
