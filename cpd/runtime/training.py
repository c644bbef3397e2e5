"""The one training loop: fine-tuning, the autoencoder and the denoiser all run through it.

It knows steps, learning rates, averaging, checkpoints and the progress bar; what is learned is the caller's ``loss``.
Everything random in a step is derived from (seed, step, process), so resuming needs no random state and a run that was
killed ends with the same bytes as one that was not. The module is left on the device of ``devices``. Under ``accelerate
launch``, each of n processes draws a batch of its own and a step minimizes the mean of their losses: n times the batch.

Source: ours; AdamW is arXiv 1711.05101, averaging of weights as in arXiv 2006.11239 (appendix B), by diffusers.
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

from cpd.runtime import devices, tensor_files

Loss = Callable[[nn.Module, int, torch.Generator], Tensor]
OnStep = Callable[[int], None]


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


def train(
    module: nn.Module,
    loss: Loss,
    plan: Plan,
    seed: int,
    state: Path,
    label: str,
    on_step: OnStep | None = None,
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
        on_step: called with the number of steps done after each.

    Returns:
        The loss of each step, mean over processes.

    Raises:
        ValueError: if ``state`` belongs to another plan, seed or number of processes, or the loss is not finite.
    """
    devices.deterministic()
    accelerator = Accelerator(cpu=devices.device().type == "cpu")
    run = _begun(module.to(accelerator.device), plan, seed, accelerator.num_processes, state)
    prepared, optimizer = accelerator.prepare(module, run.optimizer)
    module.train()
    progress = tqdm(total=plan.steps, initial=len(run.losses), desc=label, disable=not accelerator.is_main_process)
    for step in range(len(run.losses), plan.steps):
        run.record(_step(accelerator, prepared, optimizer, loss, plan, seed, step))
        if on_step:
            on_step(step + 1)
        progress.set_postfix(loss=f"{run.losses[-1]:.4f}", refresh=False)
        progress.update()
        if accelerator.is_main_process and run.due():
            run.save(state)
    progress.close()
    run.finish()
    module.eval()
    return run.losses


def _begun(module: nn.Module, plan: Plan, seed: int, processes: int, state: Path) -> State:
    """Return the state of a training, new or as an earlier call left it."""
    parameters = {name: p for name, p in module.named_parameters() if p.requires_grad}
    made_by = {"plan": asdict(plan), "seed": seed, "processes": processes}
    run = State(parameters, plan, json.dumps(made_by, sort_keys=True))
    run.load(state)
    return run


def _step(
    accelerator: Accelerator, module: nn.Module, optimizer: Any, loss: Loss, plan: Plan, seed: int, step: int
) -> float:
    """Take one optimizer step on a prepared module; return its loss, mean over processes."""
    generator = step_generator(seed, step, accelerator.process_index)
    devices.seed(accelerator.device, generator.initial_seed())
    for group in optimizer.param_groups:
        group["lr"] = plan.rate(step)
    with devices.autocast(plan.precision, accelerator.device):
        value = loss(module, step, generator)
    accelerator.backward(value)
    accelerator.clip_grad_norm_([p for p in module.parameters() if p.requires_grad], plan.clip)
    optimizer.step()
    optimizer.zero_grad()
    return float(accelerator.reduce(value.detach(), "mean"))


class State:
    """What must survive between two steps: weights, AdamW's moments, the running average, the losses.

    Args:
        parameters: what is trained, by name, on its device.
        plan: steps and rates.
        identity: what is trained, as text; a saved state of another is refused.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], plan: Plan, identity: str) -> None:
        self.parameters, self.plan, self.identity = parameters, plan, identity
        self.optimizer = torch.optim.AdamW(
            parameters.values(), plan.learning_rate, weight_decay=plan.weight_decay, fused=True
        )
        self.losses: list[float] = []
        self.average: Any = None
        if plan.ema:
            from diffusers.training_utils import EMAModel  # takes seconds: only where weights are averaged

            self.average = EMAModel(parameters.values(), decay=plan.ema, foreach=True)

    def record(self, loss: float) -> None:
        """Note the loss of a step that was taken.

        Raises:
            ValueError: if it is not finite.
        """
        require_finite(loss, len(self.losses))
        self.losses.append(loss)
        if self.average:
            self.average.step(self.parameters.values())

    def due(self) -> bool:
        """Tell whether the state is to be saved now."""
        return len(self.losses) % self.plan.save_every == 0 or len(self.losses) == self.plan.steps

    def finish(self) -> None:
        """Take over the averaged weights, where they are averaged."""
        if self.average:
            self.average.copy_to(self.parameters.values())

    def save(self, path: Path) -> None:
        """Write the state, whole or not at all."""
        tensors = {f"weight/{name}": p.data for name, p in self.parameters.items()}
        if self.average:
            tensors |= {f"average/{name}": mean for name, mean in zip(self.parameters, self.average.shadow_params)}
        for name, p in self.parameters.items():
            tensors |= {f"{key}/{name}": value for key, value in self.optimizer.state[p].items()}
        tensors["losses"] = torch.tensor(self.losses, dtype=torch.float64)
        tensor_files.write_tensors(path, tensors, {"identity": self.identity})

    def load(self, path: Path) -> None:
        """Take over a saved state, where there is one.

        Raises:
            ValueError: if it is of another identity.
        """
        if not path.exists():
            return
        tensors = saved_state(path, self.identity)
        self.losses = tensors.pop("losses").tolist()
        for name, p in self.parameters.items():
            p.data.copy_(tensors[f"weight/{name}"])
            moments = {key: tensors.get(f"{key}/{name}") for key in ("step", "exp_avg", "exp_avg_sq")}
            self.optimizer.state[p] = {key: value.to(p.device) for key, value in moments.items() if value is not None}
        if self.average:
            self.average.shadow_params = [tensors[f"average/{n}"].to(p.device) for n, p in self.parameters.items()]
            self.average.optimization_step = len(self.losses)


def require_finite(loss: float, step: int) -> None:
    """Refuse a loss that is not a finite number."""
    if not math.isfinite(loss):
        raise ValueError(f"the loss of step {step} is {loss}; lower the learning rate or check the data")


def saved_state(path: Path, identity: str) -> dict[str, Tensor]:
    """Read the tensors of a training that was stopped.

    Raises:
        ValueError: if another identity wrote them.
    """
    if tensor_files.read_metadata(path).get("identity") != identity:
        raise ValueError(
            f"{path} is the state of another plan, seed or number of processes; delete it or choose another folder"
        )
    return tensor_files.read_tensors(path)
