"""Text tasks on one base encoder: the loss of adapters on rows of their tasks, their predictions and scores.

``TextDomain`` is what the zoo, the methods and the evaluation see of text. Nothing here knows how adapters are
written.

Source: ours; batches of rows of like length as in transformers' Trainer (``group_by_length``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from peft import PeftModel
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedTokenizerBase
from transformers.trainer_pt_utils import get_length_grouped_indices

from cpd.conditions import PACKAGED, ConditionEncoder
from cpd.domains.domain import Domain, digest, model_identity
from cpd.domains.embeddings import Embeddings
from cpd.domains.settings import Finetuning
from cpd.domains.text import diagnoses, glue, packaged, telling
from cpd.domains.text.encoders import architecture, lora_model, source, tokenizer
from cpd.domains.text.tasks import Metric, Split, Splits, TextTask, splits
from cpd.domains.text.tokens import Tokens, batch, encode
from cpd.domains.told import Shape
from cpd.runtime import artifacts, devices, tensor_files

SUITES: dict[str, Callable[[], tuple[TextTask, ...]]] = {
    "packaged": lambda: packaged.TASKS,
    "glue": lambda: glue.TASKS,
    "diagnoses": diagnoses.tasks,
}
EXAMPLES = 4  # labelled rows in one few-shot condition
DRAWS = 8  # few-shot conditions per task
ROWS = 64  # of a split that go through the base encoder at a time, and how many adapters side by side
ADAPTERS = {"cpu": 1, "cuda": 64, "mps": 8}


class TextDomain(Domain):
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
        super().__init__(spec)
        table = {card.name: card for card in (SUITES[spec.suite]() if cards is None else cards)}
        if unknown := [name for name in spec.tasks if name not in table]:
            raise ValueError(f"no task {unknown[0]!r} in suite {spec.suite}; there are {', '.join(table)}")
        self.table, self.cards = table, {name: table[name] for name in spec.tasks or table}
        self.outputs = max(card.outputs for card in table.values())
        self._splits: dict[str, Splits] = {}
        self._tokens: dict[tuple[str, str], Tokens] = {}
        self._orders: dict[tuple[str, int, int], np.ndarray] = {}
        self._known: dict[tuple[str, str, str], np.ndarray] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return TextDomain, (self.spec, list(self.table.values())), {"starts": self.starts}

    @property
    def names(self) -> list[str]:
        """Names of the tasks, in the order of the table."""
        return list(self.cards)

    def made_of(self, task: str) -> dict[str, Any]:
        """Return what, beside the spec, a run depends on: base encoder, rows that it sees, head, classes and metric."""
        seen, card = self.splits(task), self._card(task)
        return {
            "base": self._identity,
            "rows": digest(seen.train.texts, seen.train.labels, seen.select.texts, seen.select.labels),
            "outputs": self.outputs,
            "definition": [list(card.classes), card.metric.__name__],
        }

    @cached_property
    def _identity(self) -> str:
        return model_identity(self.spec.base, source(self.spec.base), (".json", ".safetensors", ".txt"))

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """Tokenizer of the base encoder."""
        return tokenizer(self.spec.base)

    def model(self, training: bool = True) -> PeftModel:
        """Return the base encoder with a fresh adapter, the same one each time; the head serves every task."""
        return lora_model(self.spec, self.outputs, training)

    def shortened(self, model: nn.Module) -> nn.Module:
        """Carry only the first token on from the last attention, where the head reads no other."""
        if self.spec.pooling == "mean":
            return model
        encoder: Any = model.base_model
        encoder.encoder.layer[-1].attention.output.register_forward_pre_hook(
            lambda _, given: tuple(x[:, :1] for x in given)
        )
        return model

    @property
    def precision(self) -> str:
        """Precision of training: float32 where the encoder cannot compute in bfloat16."""
        return devices.precision() if architecture(self.spec.base).bf16 else "fp32"

    def steps(self, task: str) -> int:
        """Return the number of fine-tuning steps of a task."""
        return max(2, round(self._card(task).steps * self.spec.scale))

    def selects(self, task: str) -> bool:
        """Tell whether a task has enough rows for a selection split."""
        return len(self.splits(task).select) > 0

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

    def rows(self, task: str, seed: int, step: int) -> np.ndarray:
        """Return the (b,) training rows of a step: permutations of all rows, in batches of like length.

        The batches of an epoch are shuffled: from long to short, as the Trainer takes them, a run would end on short
        texts, and length may tell the class.
        """
        size, batches = self.spec.batch, -(-len(self.splits(task).train) // self.spec.batch)
        epoch, number = divmod(step, batches)
        if (key := (task, seed, epoch)) not in self._orders:
            random = torch.Generator().manual_seed((seed * 1_000_003 + epoch) % 2**63)
            lengths = self._encoded(task, "train").lengths.tolist()
            order = np.resize(get_length_grouped_indices(lengths, size, generator=random), (batches, size))
            self._orders[key] = order[torch.randperm(batches, generator=random).numpy()]
        return self._orders[key][number]

    @property
    def told_shape(self) -> Shape:
        """What the numbers of a condition are that a hypernetwork is told."""
        return telling.shape(self.embeddings.size, self.outputs)

    @cached_property
    def embeddings(self) -> Embeddings:
        """Embeddings of what is told."""
        return Embeddings(ConditionEncoder("description").encode, PACKAGED)

    def prepare(self) -> None:
        """Embed all that may be told of the tasks, and encode their training rows: once, and all at a time."""
        told = {text for name in self.names for text in (self.sentence(name), *self.phrasings(name))}
        shown = {telling.joined(text) for name in self.names for text in self.splits(name).train.texts}
        texts = sorted(told | shown, key=lambda text: (len(text), text))
        spec = {"encoder": self.embeddings.name, "texts": digest(texts), "device": self.device.type}
        folder = artifacts.address("embeddings", spec)
        with artifacts.making(folder, spec) as partial:
            if partial:
                tensor_files.write_tensors(partial / "embeddings.safetensors", {"embeddings": self.embeddings(texts)})
        found = tensor_files.read_tensors(folder / "embeddings.safetensors")["embeddings"]
        self.embeddings.know(texts, found)
        for name in self.names:
            self._encoded(name, "train")

    def size(self, task: str) -> int:
        """Return the number of training rows."""
        return len(self.splits(task).train)

    def sentence(self, task: str) -> str:
        """Return the sentence that a task is asked with."""
        return self._card(task).description

    def phrasings(self, task: str) -> tuple[str, ...]:
        """Return the sentences that a task is learned with."""
        return self._card(task).learned_with

    def asked(self, task: str) -> Tensor:
        """Return the (C,) condition that tells that sentence and nothing else."""
        return self.tell(task, self.sentence(task))

    def tell(self, task: str, sentence: str = "", rows: Split | None = None) -> Tensor:
        """Return the (C,) condition of a task that is told by a sentence, by labelled rows, or by both."""
        return telling.Told.of(self._card(task), sentence, rows).vector(self.embeddings, self.outputs)

    def lesson(self, task: str, count: int, random: np.random.Generator) -> tuple[Tensor, np.ndarray]:
        """Draw training rows of a task to ask about, and tell the task without them.

        Args:
            task: its name.
            count: b, of the rows.
            random: which rows, what is told.

        Returns:
            (C,) condition; (b,) rows.
        """
        train = self.splits(task).train
        rows = random.choice(len(train), count, replace=len(train) < 2 * count)
        told = telling.draw(self._card(task), train, random, rows)
        return told.vector(self.embeddings, self.outputs), rows

    def loss(
        self,
        vectors: Tensor,
        tasks: Sequence[str],
        rows: Sequence[np.ndarray],
        generators: Sequence[torch.Generator] | None,
    ) -> Tensor:
        """Return the loss of each adapter on training rows of its task: cross entropy, or squared error of a number.

        Args:
            vectors: (G, K) adapters.
            tasks: G names.
            rows: G times (b,) training rows.
            generators: G, of dropout; None is none.

        Returns:
            (G,) means over the b rows.
        """
        random = generators and [devices.generator_on(self.device, each) for each in generators]
        tokens = [self._encoded(task, "train") for task in tasks]
        labels = [self.splits(task).train.labels for task in tasks]
        found = []
        for chosen in self._by_length(tokens, rows):
            logits = self._passed(vectors, list(zip(tokens, chosen, strict=True)), random)
            own = np.stack([each[index] for each, index in zip(labels, chosen, strict=True)])
            cards = [self._card(task) for task in tasks]
            found.append(_losses(logits, torch.from_numpy(own).to(self.device), cards))
        return torch.cat(found, dim=1).mean(dim=1)

    def _by_length(self, tokens: Sequence[Tokens], rows: Sequence[np.ndarray]) -> list[list[np.ndarray]]:
        """Return the rows of all groups, in two parts where that saves padding: the shorter ones, and the longer ones.

        Where there is dropout they stay together: its masks are drawn row after row.
        """
        if self.spec.dropout or len(rows[0]) < 2:
            return [list(rows)]
        ordered = [own[np.argsort(of.lengths[own], kind="stable")] for of, own in zip(tokens, rows, strict=True)]
        half = len(rows[0]) // 2
        return [[own[:half] for own in ordered], [own[half:] for own in ordered]]

    def _passed(
        self,
        vectors: Tensor,
        parts: Sequence[tuple[Tokens, np.ndarray]],
        generators: Sequence[torch.Generator] | None,
    ) -> Tensor:
        """Return (G, b, outputs) logits of b rows of each group, for a gradient."""
        with (
            devices.autocast(self.precision, self.device),
            self.base(training=True).carrying(vectors.to(self.device), len(parts[0][1]), generators) as model,
        ):
            logits: Tensor = model(**batch(parts, self.device)).logits
        return logits.float().unflatten(0, (len(parts), -1))

    def logits(self, task: str, vectors: Tensor, split: str) -> np.ndarray:
        """Run many adapters over a split, each adapter once, in float32.

        Args:
            task: its name.
            vectors: (n, K) adapters.
            split: "select" or "report".

        Returns:
            (n, rows, outputs) float32, outputs of the task.
        """
        keys = [(task, split, hashlib.sha256(vector.cpu().numpy().tobytes()).hexdigest()) for vector in vectors]
        missing = {key: vector for key, vector in zip(keys, vectors, strict=True) if key not in self._known}
        for some in _parts(list(missing), ADAPTERS[self.device.type]):
            found = self._logits(task, torch.stack([missing[key] for key in some]), split)
            self._known |= dict(zip(some, found, strict=True))
        return np.stack([self._known[key] for key in keys])

    @torch.inference_mode()
    def _logits(self, task: str, vectors: Tensor, split: str) -> np.ndarray:
        outputs, tokens, groups = self._card(task).outputs, self._encoded(task, split), len(vectors)
        found = np.zeros((groups, len(tokens.lengths), outputs), np.float32)
        for rows in _parts(np.argsort(tokens.lengths, kind="stable"), ROWS):
            inputs = {name: x.repeat(groups, 1) for name, x in batch([(tokens, rows)], self.device).items()}
            with self.base(training=False).carrying(vectors.to(self.device), len(rows)) as model:
                logits = model(**inputs).logits.unflatten(0, (groups, -1))[..., :outputs]
            found[:, rows] = logits.cpu().numpy()
        return found

    def predict(self, task: str, vectors: Tensor, split: str) -> np.ndarray:
        """Return the (n, rows) class index of (n, K) adapters, or the number for a regression, on a split."""
        logits = self.logits(task, vectors, split)
        return np.asarray(logits.argmax(2) if self._card(task).classes else logits[..., 0])

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

    def _encoded(self, task: str, split: str) -> Tokens:
        if (task, split) not in self._tokens:
            texts = getattr(self.splits(task), split).texts
            self._tokens[task, split] = encode(self.tokenizer, texts, self.spec.max_length)
        return self._tokens[task, split]


def _losses(logits: Tensor, labels: Tensor, cards: Sequence[TextTask]) -> Tensor:
    """Return (G, b) losses of (G, b, outputs) logits; a task does not see the logits of classes that it has not got."""
    widths = torch.tensor([card.outputs for card in cards], device=logits.device)
    numbers = torch.tensor([not card.classes for card in cards], device=logits.device)
    absent = torch.arange(logits.shape[2], device=logits.device) >= widths[:, None]  # (G, outputs)
    own = logits.masked_fill(absent[:, None], float("-inf"))
    classes = torch.where(numbers[:, None], 0, labels).long()
    entropy = functional.cross_entropy(own.flatten(0, 1), classes.flatten(), reduction="none").view(labels.shape)
    square = (logits[..., 0] - labels.to(logits)) ** 2
    return torch.where(numbers[:, None], square, entropy)


def _parts(items: Any, size: int) -> list[Any]:
    return [items[i : i + size] for i in range(0, len(items), size)]
