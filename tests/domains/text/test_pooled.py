"""An encoder whose head reads the mean: what it reads, and that PEFT computes and loads the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from peft import PeftModel, set_peft_model_state_dict
from torch import Tensor

from cpd.adapters.grouped import Grouped
from cpd.adapters.peft_files import read_adapter, write_adapter
from cpd.domains.text.bases import MINILM, source
from cpd.domains.text.domain import TextDomain
from cpd.domains.text.pooled import MeanPooled, load
from cpd.runtime import tensor_files

FAMILIES = ("bert", "roberta", "deberta")
G, B, L = 3, 4, 7


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("bases")
    return {family: tiny.encoder(root / f"tiny-{family}", family) for family in FAMILIES}


def pooled(base: Path, labels: int = 3, **more: Any) -> MeanPooled:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return MeanPooled(str(base), labels, **more).eval()


def domain(base: Path, **changes: Any) -> TextDomain:
    return TextDomain(tiny.spec(base, pooling="mean", **changes), tiny.CARDS)


def inputs(rows: int, length: int = L) -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(1)
    mask = torch.ones(rows, length, dtype=torch.long)
    mask[1::2, 5:] = 0
    return {"input_ids": torch.randint(5, 12, (rows, length), generator=random), "attention_mask": mask}


# what the head reads


@pytest.mark.parametrize("family", FAMILIES)
@torch.inference_mode()
def test_logits_are_the_head_on_the_mean_of_the_tokens_of_size_1(bases: dict[str, Path], family: str) -> None:
    model, given = pooled(bases[family]), inputs(B)
    hidden = model.encoder(**given).last_hidden_state
    for row, length in enumerate([L, 5, L, 5]):
        mean = hidden[row, :length].mean(dim=0)
        expected = model.classifier(mean / mean.square().mean().sqrt())
        torch.testing.assert_close(model(**given).logits[row], expected)


@pytest.mark.parametrize("family", FAMILIES)
@torch.inference_mode()
def test_padding_changes_nothing_and_a_token_does(bases: dict[str, Path], family: str) -> None:
    model, given = pooled(bases[family]), inputs(B)
    before = model(**given).logits
    longer = {name: torch.nn.functional.pad(x, (0, 4)) for name, x in given.items()}
    torch.testing.assert_close(model(**longer).logits, before)
    hidden, said = (dict(given, input_ids=given["input_ids"].clone()) for _ in range(2))
    hidden["input_ids"][1, 5:] = 12
    torch.testing.assert_close(model(**hidden).logits, before)
    said["input_ids"][1, 4] = 12
    changed = (model(**said).logits - before).abs().amax(dim=1)
    assert changed[1] > 1e-4 and changed[[0, 2, 3]].max() < 1e-6


@torch.inference_mode()
def test_every_token_counts_and_the_first_one_no_more_than_others(bases: dict[str, Path]) -> None:
    """Of an encoder that hands its tokens through, in whatever order they are."""
    model, given = pooled(bases["bert"]), {"input_ids": None, "attention_mask": torch.ones(1, L, dtype=torch.long)}
    hidden = torch.randn(1, L, model.config.hidden_size, generator=torch.Generator().manual_seed(2))
    for shown, same in ((hidden.flip(1), True), (hidden.roll(1, 1), True), (hidden[:, :1].expand_as(hidden), False)):
        found = []
        for x in (hidden, shown):
            model.encoder.forward = lambda x=x, **_: type("Out", (), {"last_hidden_state": x})
            found.append(model(**given).logits)
        assert torch.allclose(*found, atol=1e-5) == same


@torch.inference_mode()
def test_the_length_of_the_mean_does_not_count(bases: dict[str, Path]) -> None:
    model, given = pooled(bases["bert"]), inputs(B)
    hidden = model.encoder(**given).last_hidden_state
    before = model(**given).logits
    model.encoder.forward = lambda **_: type("Out", (), {"last_hidden_state": 7 * hidden})
    torch.testing.assert_close(model(**given).logits, before)


def test_the_base_models_own_dropout_is_off_and_there_is_no_pooler(bases: dict[str, Path]) -> None:
    model, given = pooled(bases["bert"]).train(), inputs(B)
    assert torch.equal(model(**given).logits, model(**given).logits)
    assert not any("pooler" in name for name, _ in model.named_parameters())


def test_an_encoder_without_its_weights_is_refused(bases: dict[str, Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    tiny.encoder(broken)
    tensors = tensor_files.read_tensors(broken / "model.safetensors")
    for gone in ("layer.1.", "pooler."):
        kept = {name: tensor for name, tensor in tensors.items() if gone not in name}
        assert len(kept) < len(tensors)
        tensor_files.write_tensors(broken / "model.safetensors", kept, {"format": "pt"})
        if gone == "pooler.":
            assert domain(broken).layout.size == domain(bases["bert"]).layout.size, "which nothing reads"
        else:
            with pytest.raises(ValueError, match="broken holds no weights of encoder"):
                _ = domain(broken).layout


# adapters


def adapters(made: TextDomain, n: int = G) -> Tensor:
    random = torch.Generator().manual_seed(0)
    return made.untrained() + 0.3 * torch.randn(n, made.layout.size, generator=random)


def through_peft(made: TextDomain, vector: Tensor, given: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Return the loss of an adapter alone, and its gradient, from a PEFT model that holds it."""
    model: Any = made.model().eval()
    set_peft_model_state_dict(model, made.layout.unflatten(vector))
    loss = model(**given).logits.square().mean()
    loss.backward()
    named = {name.replace(".default", "").replace(".modules_to_save", ""): p for name, p in model.named_parameters()}
    return loss.detach(), torch.cat([named[name].grad.flatten() for name in made.layout.names])


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("targets", ["query_value", "attention"])
def test_loss_and_gradient_of_each_are_those_of_a_peft_model_that_holds_it_alone(
    bases: dict[str, Path], family: str, targets: str
) -> None:
    """In float32, to 1e-5 of the largest entry."""
    made = domain(bases[family], rank=2, targets=targets)
    grouped, given = Grouped(made.model().unload(), made.layout), inputs(G * B)
    vectors = adapters(made).requires_grad_()
    with grouped.carrying(vectors, B) as model:
        losses = model(**given).logits.square().unflatten(0, (G, B)).mean(dim=(1, 2))
    losses.sum().backward()
    assert vectors.grad is not None
    for i in range(G):
        own = {name: x[i * B : (i + 1) * B] for name, x in given.items()}
        loss, gradient = through_peft(made, vectors[i].detach(), own)
        assert float(losses[i].detach()) == pytest.approx(float(loss), rel=1e-5)
        assert (vectors.grad[i] - gradient).abs().max() <= 1e-5 * gradient.abs().max()


@pytest.mark.parametrize("family", FAMILIES)
def test_adapter_and_head_are_trained_and_everything_starts_the_same(bases: dict[str, Path], family: str) -> None:
    made = domain(bases[family])
    state = torch.get_rng_state()
    assert torch.equal(made.untrained(), domain(bases[family]).untrained())
    assert torch.equal(torch.get_rng_state(), state)
    assert bool(made.trained.all())
    heads = [name for name in made.layout.names if "lora_" not in name]
    assert [(name.rpartition(".")[2], made.layout.shapes[made.layout.names.index(name)]) for name in heads] == [
        ("bias", (2,)), ("weight", (2, 16)),
    ]  # fmt: skip
    assert made.layout.config["base_model_name_or_path"] == f"tiny-{family}", "a name, not a path"


@pytest.mark.parametrize("family", FAMILIES)
def test_an_adapter_that_is_written_loads_onto_a_fresh_encoder(
    bases: dict[str, Path], family: str, tmp_path: Path
) -> None:
    made = domain(bases[family], rank=2)
    (vector,) = adapters(made, 1)
    folder = write_adapter(tmp_path / "adapter", made.layout, vector)
    assert torch.equal(read_adapter(folder)[1], vector)
    torch.manual_seed(9)
    fresh = MeanPooled(str(bases[family]), made.outputs)
    loaded = PeftModel.from_pretrained(fresh, str(folder)).eval()
    given = inputs(B)
    with torch.inference_mode(), made.base(training=False).carrying(vector[None], B) as model:
        own = model(**given).logits
        torch.testing.assert_close(loaded(**given).logits, own, rtol=1e-5, atol=1e-5)
    with torch.inference_mode(), made.base(training=False).carrying(made.untrained()[None], B) as model:
        assert (model(**given).logits - own).abs().max() > 0.01


def test_a_domain_scores_the_same_through_peft(bases: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    made = domain(bases["bert"], rank=2)
    (vector,) = adapters(made, 1)
    report = made.splits("reviews").report
    model = made.model().eval()
    set_peft_model_state_dict(model, made.layout.unflatten(vector))
    texts = [text for (text,) in report.texts]
    given = made.tokenizer(texts, padding=True, truncation=True, max_length=24, return_tensors="pt")
    with torch.inference_mode():
        alone = model(**given).logits
    found = torch.from_numpy(made.logits("reviews", vector[None], "report")[0])
    torch.testing.assert_close(found, alone, rtol=1e-4, atol=1e-5)


# loaded in one call


def written(made: TextDomain, folder: Path) -> tuple[Tensor, Path]:
    (vector,) = adapters(made, 1)
    return vector, write_adapter(folder, made.layout, vector)


@pytest.mark.parametrize("family", FAMILIES)
def test_load_gives_the_model_that_the_adapter_was_written_for(
    bases: dict[str, Path], family: str, tmp_path: Path
) -> None:
    made = domain(bases[family], rank=2)
    vector, folder = written(made, tmp_path / "adapter")
    loaded, given = load(bases[family], folder), inputs(B)
    assert not loaded.training and loaded.base_model.model.name_or_path == str(bases[family])
    with torch.inference_mode(), made.base(training=False).carrying(vector[None], B) as model:
        torch.testing.assert_close(loaded(**given).logits, model(**given).logits, rtol=1e-5, atol=1e-5)


def test_load_says_which_base_is_missing_or_does_not_fit(bases: dict[str, Path], tmp_path: Path) -> None:
    made = domain(bases["bert"], rank=2)
    _, folder = written(made, tmp_path / "adapter")
    with pytest.raises(ValueError, match="no encoder 'nowhere'; there are minilm, bert-base-uncased"):
        load("nowhere", folder)
    for other in (bases["deberta"], Path("minilm")):
        with pytest.raises(
            ValueError, match="adapter does not fit .*; load it onto tiny-bert, for which it was written"
        ):
            load(other, folder)
    with pytest.raises(FileNotFoundError, match="none"):
        load(bases["bert"], tmp_path / "none")
    tiny.lora(bases["roberta"], modules_to_save=None, task_type="FEATURE_EXTRACTION").save_pretrained(tmp_path / "bare")
    with pytest.raises(ValueError, match="has no head of one linear layer named classifier"):
        load(bases["bert"], tmp_path / "bare")


def test_the_public_name_of_the_packaged_encoder_is_that_encoder() -> None:
    assert source(MINILM) == source("minilm") and Path(source(MINILM)).is_dir()
