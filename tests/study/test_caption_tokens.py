"""Adapters that are a LoRA and tokens: each adapter's captions end in its own tokens, and what they say matters."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cpd.domains.images import pixart, styles
from cpd.domains.images.albums import EmojiAlbum
from cpd.domains.images.captions import Captions
from cpd.domains.images.domain import ImageDomain
from cpd.domains.settings import Finetuning
from cpd.methods.hypernetwork import fitting
from cpd.methods.hypernetwork.settings import Writing
from cpd.study.unseen.caption_tokens import NAME, TOKENS, CaptionTokens

SPEC = Finetuning(suite="emoji", tasks=("night", "sunset"), rank=1, targets="attention", dropout=0.0)
ALBUM = EmojiAlbum(styles.TRAINING[:3], 48)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("base") / "small"
    pixart.small(0).save_pretrained(folder)
    return str(folder)


@pytest.fixture
def domain(base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CaptionTokens:
    monkeypatch.setenv("CPD_ARTIFACTS", str(tmp_path / "artifacts"))
    return CaptionTokens(replace(SPEC, base=base), ALBUM)


def saying(domain: CaptionTokens, *sizes: float) -> torch.Tensor:
    """Return adapters without an update, whose tokens are random and of some size."""
    vectors = domain.untrained().repeat(len(sizes), 1)
    random = torch.Generator().manual_seed(0)
    for vector, size in zip(vectors, sizes, strict=True):
        span = domain.layout.spans[NAME]
        vector[span] = size * torch.randn(span.stop - span.start, generator=random)
    return vectors


def test_captions_end_in_the_tokens_of_their_own_adapter(domain: CaptionTokens) -> None:
    lora = super(CaptionTokens, domain).layout
    assert domain.layout.size == lora.size + TOKENS * domain.size_of_token
    vectors = saying(domain, 1.0, 2.0)
    few = domain.captions("night", "train")[:3]
    twice = Captions(few.tokens.repeat(2, 1, 1), few.mask.repeat(2, 1))
    heard, loras = domain.heard(twice, vectors)
    assert torch.equal(heard.tokens[:, :-TOKENS], twice.tokens) and torch.equal(heard.mask[:, :-TOKENS], twice.mask)
    said = vectors[:, lora.size :].unflatten(1, (TOKENS, -1))
    for row, tokens in enumerate(heard.tokens[:, -TOKENS:]):
        assert torch.equal(tokens, said[row // 3])
    assert heard.mask[:, -TOKENS:].all() and torch.equal(loras, vectors[:, : lora.size])


def test_adapters_do_not_hear_each_others_tokens_and_are_taught_by_their_own(domain: CaptionTokens) -> None:
    vectors = saying(domain, 1.0, 3.0).requires_grad_()
    rows = [np.arange(4)] * 2
    together = domain.loss(vectors, ["night", "night"], rows, None)
    alone = torch.cat([domain.loss(vector[None], ["night"], rows[:1], None) for vector in vectors])
    torch.testing.assert_close(together, alone, rtol=1e-3, atol=1e-4)
    assert abs(float((together[0] - together[1]).detach())) > 1e-3
    (slope,) = torch.autograd.grad(together[0], vectors)
    tokens = slope[:, domain.layout.spans[NAME]]
    assert tokens[0].any() and not slope[1].any()


def test_what_is_drawn_depends_on_the_tokens(domain: CaptionTokens) -> None:
    first, same, other = domain.draw("night", saying(domain, 1.0, 1.0, 3.0)[[0, 0, 2]], "report", range(2))
    assert np.array_equal(first, same) and not np.array_equal(first, other)


def test_one_lora_is_learned_for_all_styles_and_only_tokens_are_written(domain: CaptionTokens, tmp_path: Path) -> None:
    how = Writing(writes="head", width=16, depth=1, steps=3, tasks=2, rows=2)
    network, _ = fitting.fit(domain, how, 0, tmp_path)
    with torch.no_grad():
        night, sunset = network(torch.stack([domain.asked(name) for name in domain.names]))
    span = domain.layout.spans[NAME]
    assert torch.equal(night[: span.start], sunset[: span.start]) and not torch.equal(night, sunset)
    assert not torch.equal(night[: span.start], domain.untrained()[: span.start])


def test_its_networks_are_not_those_of_the_same_styles_without_tokens(domain: CaptionTokens) -> None:
    assert fitting.identity(domain) != fitting.identity(ImageDomain(domain.spec, ALBUM))
