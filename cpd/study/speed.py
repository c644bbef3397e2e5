"""How fast adapters are fine-tuned and drawn with, beside what people would do instead: ``python -m cpd.study.speed``.

The comparison is PEFT with the Trainer of transformers, one adapter after the other, on the same rows, steps, batch and
learning rate, and nothing is scored. Everything is measured in one run on one machine, alone on it; nothing is kept.

Source: ours.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from cpd.domains.domain import Domain
from cpd.domains.finetune import Job, finetune_all, run_folder
from cpd.domains.images.domain import ImageDomain
from cpd.domains.text.domain import TextDomain
from cpd.runtime import devices
from cpd.runtime.training import step_generator
from cpd.study.presets import STYLES, preset

STEPS = 100  # of each adapter that is compared
NUMBERS = 512  # pictures of each adapter
TOKENS = 720  # of a batch: 32 rows of the two tasks
PRODUCTS = 1000  # that are timed


def trainers(domain: TextDomain, jobs: list[Job], folder: Path) -> float:
    """Return the seconds that PEFT and transformers' Trainer take for adapters one after the other.

    Args:
        domain: tasks, base encoder, LoRA.
        jobs: task and seed of each adapter.
        folder: for what the Trainer writes.
    """
    from transformers import DataCollatorWithPadding, Trainer, TrainingArguments

    spec, start = domain.spec, time.monotonic()
    for task, seed in jobs:
        rows = domain.splits(task).train
        columns = [list(column) for column in zip(*rows.texts, strict=True)]
        encoded = domain.tokenizer(*columns, truncation=True, max_length=spec.max_length)
        data = [
            {name: values[i] for name, values in encoded.items()} | {"labels": int(label)}
            for i, label in enumerate(rows.labels)
        ]
        how = TrainingArguments(
            str(folder), max_steps=domain.steps(task), per_device_train_batch_size=spec.batch, seed=seed,
            learning_rate=spec.learning_rate, train_sampling_strategy="group_by_length", save_strategy="no",
            report_to=[], disable_tqdm=True, logging_strategy="no", bf16=devices.precision() == "bf16",
            use_cpu=devices.device().type == "cpu",
        )  # fmt: skip
        collate = DataCollatorWithPadding(domain.tokenizer)
        Trainer(domain.model(), how, train_dataset=data, data_collator=collate).train()
    return time.monotonic() - start


def ours(domain: Domain, jobs: list[Job]) -> float:
    """Return the seconds that the same adapters take here, side by side; the runs are made anew and not kept."""
    for folder in [run_folder(domain, *job) for job in jobs]:
        shutil.rmtree(folder, ignore_errors=True)
    start = time.monotonic()
    made = finetune_all(domain, jobs)
    seconds = time.monotonic() - start
    for folder in made:
        shutil.rmtree(folder)
    return seconds


def take_steps(domain: TextDomain, job: Job, count: int) -> None:
    """Compute loss and gradient of the first rows of an adapter, as its fine-tuning does.

    Args:
        domain: tasks, base encoder, LoRA.
        job: task and seed of the adapter.
        count: of steps.
    """
    task, seed = job
    vectors = domain.untrained()[None].requires_grad_()
    for step in range(count):
        rows = domain.rows(task, seed, step)
        domain.loss(vectors, [task], [rows], [step_generator(seed, step)]).sum().backward()


def operations(domain: TextDomain, job: Job) -> float:
    """Return the floating-point operations of a step of an adapter, forward and backward, mean of the first ten."""
    with FlopCounterMode(display=False) as counter:
        take_steps(domain, job, 10)
    return counter.get_total_flops() / 10


def bare_products(width: int) -> float:
    """Return the floating-point operations a second of nothing but products: a batch by a feed-forward layer's weight.

    Args:
        width: of the base encoder; the layer is four times as wide.
    """
    kind = torch.bfloat16 if devices.precision() == "bf16" else torch.float32
    batch = torch.randn(TOKENS, width, device=devices.device(), dtype=kind)
    weight = torch.randn(width, 4 * width, device=devices.device(), dtype=kind)
    (batch @ weight).sum().item()
    start = time.monotonic()
    for _ in range(PRODUCTS):
        product = batch @ weight
    product.sum().item()
    return 2 * PRODUCTS * TOKENS * 4 * width**2 / (time.monotonic() - start)


def pictures(domain: ImageDomain, adapters: int) -> float:
    """Return the pictures a second that many adapters draw side by side."""
    vectors = domain.untrained().expand(adapters, -1)
    task = domain.names[0]
    domain.draw(task, vectors, "report", range(8))
    start = time.monotonic()
    domain.draw(task, vectors, "report", range(NUMBERS))
    return adapters * NUMBERS / (time.monotonic() - start)


def report(say: Callable[[str], Any], adapters: int) -> None:
    """Measure, and say what was found.

    Args:
        say: takes one line at a time.
        adapters: how many are compared.
    """
    gpu = devices.device().type != "cpu"
    say(f"{devices.device()}, {devices.precision()}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    scale = STEPS / 70  # of `products` and `tweets`
    spec = replace(
        preset("laptop").finetuning, tasks=("products", "tweets"), scale=scale, curve=1, keep=1, select_rows=1
    )
    domain = TextDomain(spec)
    jobs = [(task, seed) for seed in range(adapters // 2) for task in domain.names]
    with tempfile.TemporaryDirectory() as folder:
        seconds = ours(domain, jobs)
        say(f"{len(jobs)} adapters of MiniLM, {domain.layout.size:,} parameters, {STEPS} steps: {seconds:.1f} s")
        some = jobs[:12]
        instead = trainers(domain, some, Path(folder)) * len(jobs) / len(some)
        say(f"PEFT and the Trainer, one after the other: {instead:.1f} s, {instead / seconds:.1f} times as long")
        work = sum(operations(domain, job) for job in jobs[:2]) / 2 * STEPS * len(jobs)  # one of each task
        encoder: Any = domain.model().base_model
        bare = bare_products(encoder.config.hidden_size)
        say(
            f"10^9 operations a second: {work / seconds / 1e9:.0f} here, {work / instead / 1e9:.0f} with the Trainer, "
            f"{bare / 1e9:.0f} in bare products of their size"
        )
        if gpu:
            long = TextDomain(replace(spec, scale=2 * scale, runs=1000))
            many = [(task, 1000 + seed) for seed in range(64) for task in long.names]
            seconds = ours(long, many)
            say(f"{len(many)} adapters, {2 * STEPS} steps: {60 * len(many) / seconds:.0f} a minute")
        styles = ImageDomain(STYLES["laptop"].finetuning)
        say(f"pictures of the small PixArt: {pictures(styles, 32 if gpu else 1):.0f} a second")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser("python -m cpd.study.speed", description="Adapters and pictures a second.")
    parser.add_argument("--adapters", type=int, default=12, help="how many are compared (default: %(default)s)")
    report(lambda line: print(line, flush=True), parser.parse_args().adapters)


if __name__ == "__main__":
    main()
