"""The network: from a condition to an adapter, which at the start is the same for all conditions and does nothing.

A sentence says what a task is, and says it in one of many ways; when an adapter is written, the way is taken out of its
embedding by a linear map (`Gist`).

Symbols: n conditions of C numbers, K parameters, E numbers of an embedding, O outputs of a head, r rank.

The LoRA begins at the initialization that all runs share, with B = 0; what is added to it is a learned part that all
conditions share, and one that the condition decides. A head begins at zero-shot: the row of a class is the embedding of
its words and of its examples, so that whatever is better than that was learned.

Source: arXiv 1609.09106 (hypernetworks) and 2506.06105 (Text-to-LoRA); classes as a set, arXiv 1703.06114; the start,
and what is written, are ours.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from cpd.adapters.layout import AdapterLayout
from cpd.domains.told import FLAGS, Shape
from cpd.methods.hypernetwork.settings import Writing

SHARPNESS = 20.0  # of a zero-shot head: logits are so many times a cosine
WRITTEN = {  # of an A and a B, those that depend on the condition
    "all": lambda pair: pair,
    "b": lambda pair: pair[1:],
    "core": lambda pair: pair[1:],
    "head": lambda pair: (),
}
THRESHOLD = 0.3  # cosine above which a text belongs to a class that one sentence describes


class Gist(nn.Module):
    """From the embedding of any sentence of a task to that of its first, plainest one; begins by changing nothing.

    In training sentences stay as they are, so that a network meets many of a task. Lengths are kept: what is not told
    stays zero.

    Args:
        size: E.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.eye(size))
        self.register_buffer("bias", torch.zeros(size))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            return x
        return functional.normalize(functional.linear(x, self.weight, self.bias), dim=-1) * x.norm(dim=-1, keepdim=True)


class Block(nn.Module):
    """A residual block of a layer that widens and one that narrows."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width)
        )

    def forward(self, h: Tensor) -> Tensor:
        return h + self.layers(h)


def trunk(given: int, how: Writing) -> nn.Sequential:
    """Return layers from so many numbers to ``width`` numbers."""
    return nn.Sequential(nn.Linear(given, how.width), *(Block(how.width) for _ in range(how.depth)))


def last(width: int, written: int) -> nn.Linear:
    """Return a layer that begins by writing zeros."""
    layer = nn.Linear(width, written, bias=False)
    nn.init.zeros_(layer.weight)
    return layer


class Head(nn.Module):
    """The rows of a head, from what is told of the classes.

    Args:
        shape: of the conditions.
        how: sizes.
    """

    def __init__(self, shape: Shape, how: Writing) -> None:
        super().__init__()
        self.each, self.reach = shape.each, how.reach
        self.layers = trunk(how.width + 2 * shape.each + FLAGS, how)
        self.last = last(how.width, shape.each + 1)
        self.mixing = nn.Linear(FLAGS, 2)
        nn.init.zeros_(self.mixing.weight)
        nn.init.ones_(self.mixing.bias)
        self.threshold = nn.Parameter(torch.tensor(THRESHOLD))
        self.sharpness = nn.Parameter(torch.tensor(math.log(SHARPNESS)))

    def forward(self, h: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        """Return (n, O, E) weights and (n, O) biases of (n, width) tasks and (n, O, 2 E + FLAGS) classes."""
        words, examples, flags = classes.split([self.each, self.each, FLAGS], dim=2)
        mix = self.mixing(flags)[..., None]  # (n, O, 2, 1)
        sharpness = self.sharpness.exp()
        rows = mix[:, :, 0] * words + mix[:, :, 1] * examples
        nearest = (mix[:, :, 1] * examples.square().sum(dim=2, keepdim=True) / 2).squeeze(2)  # of the means, as a bias
        bias = -nearest - self.threshold * flags[..., 1]
        seen = torch.cat([h[:, None].expand(-1, classes.shape[1], -1), _spread(classes, self.each)], dim=2)
        added = self.reach * self.last(functional.normalize(self.layers(seen), dim=2))  # (n, O, E + 1)
        return sharpness * rows / self.each**0.5 + added[..., :-1], sharpness * bias + added[..., -1]


class Hypernetwork(nn.Module):
    """From conditions to adapters.

    Args:
        layout: of the adapters.
        start: (K,) what all runs begin with.
        shape: of the conditions.
        how: sizes, and what is written.

    Raises:
        ValueError: if classes are told, and the adapters' head is not one row of an embedding's numbers for each.
    """

    start: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, layout: AdapterLayout, start: Tensor, shape: Shape, how: Writing) -> None:
        super().__init__()
        self.layout, self.shape, self.how = layout, shape, how
        self.register_buffer("start", start)
        self.register_buffer("mean", torch.zeros(shape.task))
        self.register_buffer("std", torch.ones(shape.task))
        self.gist = Gist(shape.embedded[-1])
        pairs = layout.pairs.values()
        own = [] if shape.classes else list(layout.whole)  # where there are classes, a head is made of these
        moved = [name for pair in pairs for name in pair] + own
        self.shared = nn.ParameterDict({_key(name): torch.zeros(self._shape(name)) for name in moved})
        self.classes = trunk(2 * shape.each + FLAGS, how) if shape.classes else None
        self.task = trunk(shape.task + (how.width if shape.classes else 0), how)
        of_pairs = [name for pair in pairs for name in WRITTEN[how.writes](pair)]
        self.basis = nn.ParameterDict(
            {_key(name): _columns(self._shape(name)) for name in of_pairs} if how.writes == "core" else {}
        )
        self.written = {name: self._numbers(name) for name in [*of_pairs, *own]}
        self.last = last(how.width, sum(self.written.values()))
        self.head = Head(shape, how) if shape.classes else None
        if shape.classes:
            _require_head(layout, shape)

    def forward(self, conditions: Tensor) -> Tensor:
        """Return (n, K) adapters for (n, C) conditions."""
        about, classes = self._understood(conditions)
        about = (about - self.mean) / self.std
        if self.classes is not None:
            there = classes[..., -FLAGS, None]
            about = torch.cat([about, (there * self.classes(_spread(classes, self.shape.each))).mean(dim=1)], dim=1)
        h = functional.normalize(self.task(about), dim=1)  # (n, width)
        tensors = self._tensors(self.how.reach * self.last(h))
        if self.head is not None:
            weight, bias = _head_names(self.layout)
            tensors[weight], tensors[bias] = self.head(h, classes)
        start = self.start.expand(len(h), -1)
        return torch.cat(
            [
                tensors[name].flatten(1) if name in tensors else start[:, span]
                for name, span in self.layout.spans.items()
            ],
            dim=1,
        )

    def _understood(self, conditions: Tensor) -> tuple[Tensor, Tensor]:
        """Return what `Shape.cut` does, with the gist of every sentence in its place."""
        about, classes = self.shape.cut(conditions)
        before, sentence, flags = about.split(self.shape.parts, dim=1)
        about = torch.cat([before, self.gist(sentence), flags], dim=1)
        if not self.shape.classes:
            return about, classes
        words, others = classes.split([self.shape.each, self.shape.each + FLAGS], dim=2)
        return about, torch.cat([self.gist(words), others], dim=2)

    def _tensors(self, written: Tensor) -> dict[str, Tensor]:
        """Return every tensor that is learned, (n, ...), from the (n, P) numbers that depend on the condition."""
        parts = dict(zip(self.written, written.split([*self.written.values()], dim=1), strict=True))
        found = {}
        for name, span in self.layout.spans.items():
            if _key(name) not in self.shared:
                continue
            shared = self.start[span].view(self._shape(name)) + self.shared[_key(name)]
            found[name] = shared.expand(len(written), *shared.shape)
            if name in parts and _key(name) in self.basis:
                core = parts[name].unflatten(1, (shared.shape[1],) * 2)  # (n, r, r)
                found[name] = found[name] + self.basis[_key(name)] @ core
            elif name in parts:
                found[name] = found[name] + parts[name].view_as(found[name])
        return found

    def _numbers(self, name: str) -> int:
        shape = self._shape(name)
        return shape[1] ** 2 if _key(name) in self.basis else shape.numel()

    def _shape(self, name: str) -> torch.Size:
        return torch.Size(self.layout.shapes[self.layout.names.index(name)])


def _columns(shape: torch.Size) -> Tensor:
    """Return r columns of length 1."""
    return functional.normalize(torch.randn(shape), dim=0)


def _key(name: str) -> str:
    return name.replace(".", "/")


def _head_names(layout: AdapterLayout) -> tuple[str, str]:
    (bias,) = [name for name in layout.whole if name.endswith("bias")]
    (weight,) = [name for name in layout.whole if name.endswith("weight")]
    return weight, bias


def _require_head(layout: AdapterLayout, shape: Shape) -> None:
    found = layout.whole
    if sorted(found.values()) != [(shape.classes,), (shape.classes, shape.each)]:
        said = ", ".join(f"{name} {list(own)}" for name, own in found.items()) or "none"
        raise ValueError(
            f"the head of the adapters is {said}; what is told needs one linear layer, {shape.classes} rows of "
            f"{shape.each} numbers and a bias: take pooling 'mean' and an encoder as wide as the embeddings"
        )


def _spread(classes: Tensor, each: int) -> Tensor:
    """Give embeddings of length 1 coordinates of size 1."""
    return torch.cat([classes[..., : 2 * each] * each**0.5, classes[..., 2 * each :]], dim=-1)
