"""Many adapters side by side compute, each for itself, what PEFT computes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from peft import set_peft_model_state_dict
from torch import Tensor

from cpd.adapters.grouped import Grouped
from cpd.domains.text.domain import TextDomain

FAMILIES = ("bert", "roberta", "deberta")
G, B, L = 3, 4, 7


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("bases")
    return {family: tiny.encoder(root / family, family) for family in FAMILIES}


def adapters(domain: TextDomain, n: int = G, seed: int = 0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return domain.untrained() + 0.3 * torch.randn(n, domain.layout.size, generator=random)


def inputs(rows: int) -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(1)
    mask = torch.ones(rows, L, dtype=torch.long)
    mask[1::2, 5:] = 0
    return {"input_ids": torch.randint(5, 12, (rows, L), generator=random), "attention_mask": mask}


def through_peft(domain: TextDomain, vector: Tensor, given: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Return the loss of an adapter alone, and its gradient, from a PEFT model that holds it."""
    model: Any = domain.model().eval()
    set_peft_model_state_dict(model, domain.layout.unflatten(vector))
    loss = model(**given).logits.square().mean()
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    model(**given).logits.square().mean().backward()
    plain = {name.replace(".default", ""): p.grad for name, p in model.named_parameters()}
    gradients = {name.replace(".modules_to_save", ""): gradient for name, gradient in plain.items()}
    return loss.detach(), torch.cat([gradients[name].flatten() for name in domain.layout.names])


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("targets", ["query_value", "attention"])
def test_loss_and_gradient_of_each_are_those_of_a_peft_model_that_holds_it_alone(
    bases: dict[str, Path], family: str, targets: str
) -> None:
    """In float32, to 1e-5 of the largest entry."""
    domain = TextDomain(tiny.spec(bases[family], rank=2, targets=targets), tiny.CARDS)
    grouped, given = Grouped(domain.model().unload(), domain.layout), inputs(G * B)
    vectors = adapters(domain).requires_grad_()
    with grouped.carrying(vectors, B) as model:
        losses = model(**given).logits.square().unflatten(0, (G, B)).mean(dim=(1, 2))
    losses.sum().backward()
    assert vectors.grad is not None
    for i in range(G):
        own = {name: x[i * B : (i + 1) * B] for name, x in given.items()}
        loss, gradient = through_peft(domain, vectors[i].detach(), own)
        assert float(losses[i].detach()) == pytest.approx(float(loss), rel=1e-5)
        assert (vectors.grad[i] - gradient).abs().max() <= 1e-5 * gradient.abs().max()


def test_no_adapter_no_change_and_none_is_left_behind(bases: dict[str, Path]) -> None:
    domain = TextDomain(tiny.spec(bases["bert"]), tiny.CARDS)
    plain, given = domain.model().unload().eval(), inputs(B)
    before = plain(**given).logits
    grouped = Grouped(plain, domain.layout)
    with pytest.raises(RuntimeError, match="stop"), grouped.carrying(adapters(domain, 1), B):
        raise RuntimeError("stop")
    assert torch.equal(grouped.model(**given).logits, before)
    with grouped.carrying(domain.untrained()[None], B) as model:
        torch.testing.assert_close(model(**given).logits, before)


def test_dropout_is_each_groups_own_and_of_no_other(bases: dict[str, Path]) -> None:
    """The masks of a run follow its generator: not who else is there, nor how long other texts are."""
    domain = TextDomain(tiny.spec(bases["bert"], dropout=0.5), tiny.CARDS)
    grouped, vectors, given = Grouped(domain.model().unload(), domain.layout, 0.5), adapters(domain, 2), inputs(2 * B)
    longer = {name: torch.nn.functional.pad(x, (0, 3)) for name, x in given.items()}

    def logits(these: Tensor, asked: dict[str, Tensor], *seeds: int) -> Tensor:
        random = [torch.Generator().manual_seed(seed) for seed in seeds]
        with grouped.carrying(these, B, random) as model:
            return model(**asked).logits.unflatten(0, (len(these), B))

    both = logits(vectors, given, 1, 2)
    alone = logits(vectors[1:], {name: x[B:] for name, x in given.items()}, 2)
    torch.testing.assert_close(both[1:], alone)
    torch.testing.assert_close(logits(vectors, longer, 1, 2), both)
    assert not torch.allclose(logits(vectors, given, 1, 3)[1], both[1])
    assert not torch.allclose(logits(vectors[:1].expand(2, -1), given, 1, 2)[0], logits(vectors, given, 3, 2)[0])


def test_layers_that_are_not_linear_are_refused(bases: dict[str, Path]) -> None:
    domain = TextDomain(tiny.spec(bases["bert"]), tiny.CARDS)
    model = domain.model().unload()
    model.bert.encoder.layer[0].attention.self.query = torch.nn.Identity()
    with pytest.raises(ValueError, match=r"layer.0.attention.self.query is a Identity; adapters enter linear layers"):
        Grouped(model, domain.layout)
