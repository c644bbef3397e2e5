"""Text tasks on one base encoder: the loss of a fine-tuning step, and the score of many adapters in one pass.

``TextDomain`` is what the zoo, the controls and the evaluation see of text: task names, conditions, a fresh model, a
loss, predictions and scores. Nothing here knows autoencoders or diffusion.

Source: ours; grouping rows of like length in a batch as in the transformers Trainer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
import torch
from peft import PeftModel, get_peft_model_state_dict, set_peft_model_state_dict
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedTokenizerBase

from cpd.adapters.layout import AdapterLayout
from cpd.domains.settings import Finetuning
from cpd.domains.text import glue, packaged
from cpd.domains.text.encoders import identity, lora_model, tokenizer
from cpd.domains.text.tasks import Metric, Splits, TextTask, splits
from cpd.runtime.training import autocast

SUITES: dict[str, tuple[TextTask, ...]] = {"packaged": packaged.TASKS, "glue": glue.TASKS}
WINDOW = 16  # batches; rows of a step are drawn from a stretch of this length of the rows sorted by length
EXAMPLES = 4  # labelled rows in one few-shot condition
DRAWS = 8  # few-shot conditions per task


class TextDomain:
    """The text tasks of one suite on one base encoder.

    Args:
        spec: suite, tasks, base encoder, LoRA and rows.
        cards: task table; the suite's own where it is not given.

    Raises:
        ValueError: if the suite is none of text, a task is not in it, or the encoder is unknown.
    """

    def __init__(self, spec: Finetuning, cards: Sequence[TextTask] | None = None) -> None:
        if cards is None and spec.suite not in SUITES:
            raise ValueError(f"{spec.suite!r} is no suite of text; there are {', '.join(SUITES)}")
        self.spec = spec
        table = {card.name: card for card in (SUITES[spec.suite] if cards is None else cards)}
        if unknown := [name for name in spec.tasks if name not in table]:
            raise ValueError(f"no task {unknown[0]!r} in suite {spec.suite}; there are {', '.join(table)}")
        self.table, self.cards = table, {name: table[name] for name in spec.tasks or table}
        self.outputs = max(card.outputs for card in table.values())
        self._splits: dict[str, Splits] = {}
        self._batches: dict[tuple[str, str], list[tuple[np.ndarray, dict[str, Tensor]]]] = {}
        self._tokens: dict[str, dict[str, list[list[int]]]] = {}
        self._known: dict[tuple[str, str, str], np.ndarray] = {}

    def __reduce__(self) -> tuple[type[TextDomain], tuple[Finetuning, list[TextTask]]]:
        return TextDomain, (self.spec, list(self.table.values()))

    @property
    def names(self) -> list[str]:
        """Names of the tasks, in the order of the table."""
        return list(self.cards)

    def made_of(self, task: str) -> dict[str, str]:
        """Return what, beside the spec, a run of a task depends on: the base encoder, wherever it lies, and the cut."""
        cut = {"report_rows": str(self.spec.report_rows)} if self.splits(task).cut else {}
        return {"base": self._base} | cut

    @cached_property
    def _base(self) -> str:
        return identity(self.spec.base)

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """Tokenizer of the base encoder."""
        return tokenizer(self.spec.base)

    def model(self) -> PeftModel:
        """Return the base encoder with a fresh adapter, the same one each time; the head serves every task."""
        return lora_model(self.spec, self.outputs)

    @cached_property
    def _scorer(self) -> PeftModel:
        return self.model().eval()

    @cached_property
    def layout(self) -> AdapterLayout:
        """Layout of the adapters of all tasks."""
        return AdapterLayout.of(_adapter(self._scorer), self._scorer.peft_config["default"].to_dict())

    def state(self, model: PeftModel) -> Tensor:
        """Return the adapter that ``model`` carries as a (K,) vector."""
        return self.layout.flatten(_adapter(model))

    def untrained(self) -> Tensor:
        """Return the (K,) vector of the initialization that all runs share."""
        return self.state(self.model())

    def steps(self, task: str) -> int:
        """Return the number of fine-tuning steps of a task."""
        return max(2, round(self._card(task).steps * self.spec.scale))

    def splits(self, task: str) -> Splits:
        """Return a task's training, selection and report rows."""
        if task not in self._splits:
            self._splits[task] = splits(self._card(task), self.spec.select_rows, self.spec.report_rows)
        return self._splits[task]

    def conditions(self, kind: str) -> dict[str, list[str]]:
        """Return what a generator may be told of each task.

        Args:
            kind: "examples": few-shot input/output pairs of training rows, several draws per task; else the task's
                description.

        Returns:
            Task -> texts.
        """
        if kind != "examples":
            return {name: [card.description] for name, card in self.cards.items()}
        return {name: [self._examples(name, draw) for draw in range(DRAWS)] for name in self.cards}

    def _examples(self, task: str, draw: int) -> str:
        rows = self.splits(task).train
        chosen = rows.rows(np.random.default_rng(draw).choice(len(rows), EXAMPLES, replace=False))
        classes = self.cards[task].classes
        answers = [classes[int(y)] if classes else f"{y:.2f}" for y in chosen.labels]
        return "\n".join(f"{' | '.join(text)} => {answer}" for text, answer in zip(chosen.texts, answers, strict=True))

    def loss(self, model: nn.Module, task: str, generator: torch.Generator) -> Tensor:
        """Return the loss of one batch: cross entropy, or squared error for a regression.

        Args:
            model: of the kind that :meth:`model` makes.
            task: its name.
            generator: draws the rows.
        """
        rows = self._draw(task, generator)
        labels = torch.as_tensor(self.splits(task).train.labels[rows])
        batch = self._pad(self._train_tokens(task), rows)
        device = next(model.parameters()).device
        logits = (
            model(**{name: x.to(device) for name, x in batch.items()}).logits[:, : self.cards[task].outputs].float()
        )
        if self.cards[task].classes:
            return functional.cross_entropy(logits, labels.to(device))
        return functional.mse_loss(logits[:, 0], labels.to(logits))

    def predict(self, task: str, vectors: Tensor, split: str) -> np.ndarray:
        """Run many adapters over a split: one model, tokens cached and sorted by length, each adapter once.

        Args:
            task: its name.
            vectors: (n, K) adapters.
            split: "select" or "report".

        Returns:
            (n, rows) class index, or number for a regression.
        """
        return np.stack([self._predict(task, vector, split) for vector in vectors])

    def _predict(self, task: str, vector: Tensor, split: str) -> np.ndarray:
        key = task, split, hashlib.sha256(vector.numpy().tobytes()).hexdigest()
        if key not in self._known:
            batches, model = self._cached(task, split), self._scorer
            predicted = np.zeros(len(getattr(self.splits(task), split)))
            set_peft_model_state_dict(model, self.layout.unflatten(vector))
            for rows, batch in batches:
                with torch.inference_mode(), autocast("auto", model.device):
                    logits = model(**batch).logits[:, : self.cards[task].outputs].float()
                predicted[rows] = (logits.argmax(1) if self.cards[task].classes else logits[:, 0]).numpy()
            self._known[key] = predicted
        return self._known[key]

    def score(self, task: str, vectors: Tensor, split: str, metric: Metric | None = None) -> np.ndarray:
        """Score many adapters on a split.

        Args:
            task: its name.
            vectors: (n, K) adapters.
            split: "select" or "report".
            metric: the task's own where it is not given.

        Returns:
            (n,) values of the metric.
        """
        labels = getattr(self.splits(task), split).labels
        measure = metric or self.cards[task].metric
        return np.array([measure(row, labels) for row in self.predict(task, vectors, split)])

    def wrong(self, task: str, vectors: Tensor, split: str) -> np.ndarray:
        """Say which rows each adapter gets wrong.

        Args:
            task: its name.
            vectors: (n, K) adapters.
            split: "select" or "report".

        Returns:
            (n, rows) True where the class is another one, or a number is more than a tenth of its range off.
        """
        labels = getattr(self.splits(task), split).labels
        return np.abs(self.predict(task, vectors, split) - labels) > (0.5 if self.cards[task].classes else 0.1)

    def _card(self, task: str) -> TextTask:
        if task not in self.cards:
            raise ValueError(f"no task {task!r}; there are {', '.join(self.cards)}")
        return self.cards[task]

    def _tokenize(self, texts: list[tuple[str, ...]]) -> dict[str, list[list[int]]]:
        columns = [list(column) for column in zip(*texts, strict=True)]
        return dict(self.tokenizer(*columns, truncation=True, max_length=self.spec.max_length))

    def _train_tokens(self, task: str) -> dict[str, list[list[int]]]:
        if task not in self._tokens:
            self._tokens[task] = self._tokenize(self.splits(task).train.texts)
        return self._tokens[task]

    def _draw(self, task: str, generator: torch.Generator) -> np.ndarray:
        lengths = [len(ids) for ids in self._train_tokens(task)["input_ids"]]
        order, size = np.argsort(lengths, kind="stable"), min(self.spec.batch, len(lengths))
        window = min(WINDOW * size, len(order))
        start = int(torch.randint(len(order) - window + 1, (1,), generator=generator))
        return order[start + torch.randperm(window, generator=generator)[:size].numpy()]

    def _pad(self, tokens: Mapping[str, list[list[int]]], rows: np.ndarray) -> dict[str, Tensor]:
        return dict(self.tokenizer.pad({name: [x[i] for i in rows] for name, x in tokens.items()}, return_tensors="pt"))

    def _cached(self, task: str, split: str) -> list[tuple[np.ndarray, dict[str, Tensor]]]:
        if (task, split) not in self._batches:
            tokens = self._tokenize(getattr(self.splits(task), split).texts)
            order = np.argsort([len(ids) for ids in tokens["input_ids"]], kind="stable")
            chunks = [order[i : i + 64] for i in range(0, len(order), 64)]
            self._batches[task, split] = [(rows, self._pad(tokens, rows)) for rows in chunks]
        return self._batches[task, split]


def _adapter(model: PeftModel) -> dict[str, Tensor]:
    # By default peft asks the hub, at each call, whether the vocabulary was changed.
    return get_peft_model_state_dict(model, save_embedding_layers=False)
