"""LoRA files of diffusers become PEFT adapters that do the same; what cannot is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import PixArtTransformer2DModel, UNet2DConditionModel
from diffusers.loaders import StableDiffusionLoraLoaderMixin
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from safetensors.torch import load_file, save_file

from cpd.adapters.diffusers_files import WEIGHTS
from cpd.adapters.layout import AdapterLayout, delta
from cpd.adapters.peft_files import read_adapter, write_adapter, write_diffusers
from cpd.zoo.folders import from_folders


def transformer() -> PixArtTransformer2DModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return PixArtTransformer2DModel(
            num_attention_heads=2,
            attention_head_dim=8,
            in_channels=4,
            out_channels=4,
            num_layers=1,
            cross_attention_dim=16,
            sample_size=4,
            patch_size=1,
            caption_channels=8,
            use_additional_conditions=False,
        ).eval()


def output(model: torch.nn.Module) -> torch.Tensor:
    g = torch.Generator().manual_seed(0)
    with torch.no_grad():
        return model(
            torch.randn(1, 4, 4, 4, generator=g),
            encoder_hidden_states=torch.randn(1, 3, 8, generator=g),
            timestep=torch.tensor([5]),
            added_cond_kwargs={"resolution": None, "aspect_ratio": None},
            return_dict=False,
        )[0]


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """An adapter of alpha 6 and rank 2, as diffusers' ``save_lora_weights`` writes it, and what it computes."""
    config = LoraConfig(r=2, lora_alpha=6, target_modules=["to_q", "to_out.0"], init_lora_weights=False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = get_peft_model(transformer(), config)
    state = {name.removeprefix("base_model.model."): x for name, x in get_peft_model_state_dict(model).items()}
    about = {key: sorted(x) if isinstance(x, set) else x for key, x in config.to_dict().items()}
    StableDiffusionLoraLoaderMixin.save_lora_weights(
        tmp_path / "diffusers", unet_lora_layers=state, unet_lora_adapter_metadata=about
    )
    save_file({"expected": output(model).contiguous()}, tmp_path / "expected.safetensors")
    return tmp_path


def plain(folder: Path, rename: dict[str, str], alpha: float | None = None, prefix: str = "") -> None:
    """Write a file again without its metadata, under other names."""
    tensors = {}
    for name, tensor in load_file(folder / WEIGHTS).items():
        name = name.removeprefix("unet.")
        for old, new in rename.items():
            name = name.replace(old, new)
        tensors[prefix + name] = tensor
    if alpha is not None:
        modules = {name.split(".lora")[0] for name in tensors}
        tensors |= {f"{module}.alpha": torch.tensor(alpha) for module in modules}
    save_file(tensors, folder / WEIGHTS)


@pytest.mark.parametrize(
    ("rename", "prefix"),
    [
        ({}, "transformer."),
        ({".lora_A.": ".lora.down.", ".lora_B.": ".lora.up."}, "unet."),
        ({".lora_A.": ".lora_down.", ".lora_B.": ".lora_up."}, ""),
    ],
)
def test_every_naming_computes_the_same_through_peft(saved: Path, rename: dict[str, str], prefix: str) -> None:
    expected = load_file(saved / "expected.safetensors")["expected"]
    layout, vector = read_adapter(saved / "diffusers")
    plain(saved / "diffusers", rename, 6.0, prefix)
    other, same = read_adapter(saved / "diffusers")
    assert torch.equal(vector, same) and layout.names == other.names
    assert all(torch.equal(delta(layout, vector)[module], d) for module, d in delta(other, same).items())
    write_adapter(saved / "peft", other, same)
    loaded = PeftModel.from_pretrained(transformer(), str(saved / "peft")).eval()
    torch.testing.assert_close(output(loaded), expected)
    assert not torch.allclose(output(transformer()), expected, atol=1e-3)


def test_without_alpha_it_is_the_rank(saved: Path) -> None:
    layout, vector = read_adapter(saved / "diffusers")
    plain(saved / "diffusers", {}, None, "transformer.")
    other, _ = read_adapter(saved / "diffusers")
    module = next(iter(delta(layout, vector)))
    assert (layout.scaling(module), other.scaling(module)) == (3.0, 1.0)


def test_modules_of_another_rank_and_alpha_keep_theirs(tmp_path: Path) -> None:
    tensors = {}
    for module, rank in (("a.to_q", 2), ("b.to_q", 2), ("c.to_q", 3)):
        tensors |= {f"{module}.lora_A.weight": torch.ones(rank, 4), f"{module}.lora_B.weight": torch.ones(4, rank)}
    tensors["c.to_q.alpha"] = torch.tensor(6.0)
    save_file({f"unet.{name}": tensor for name, tensor in tensors.items()}, tmp_path / WEIGHTS)
    layout, vector = read_adapter(tmp_path)
    assert [layout.scaling(module) for module in ("a.to_q", "b.to_q", "c.to_q")] == [1.0, 1.0, 2.0]
    assert float(delta(layout, vector)["c.to_q"][0, 0]) == 6.0


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "text_encoder.q.lora_A.weight",
            "also holds text_encoder.q.lora_A.weight; save the adapter",
        ),
        ("unet.down_blocks.0.hada_w1_a", "neither A nor B of a LoRA under diffusers' names"),
    ],
)
def test_what_is_no_lora_of_the_denoiser_is_refused_by_name(tmp_path: Path, name: str, message: str) -> None:
    save_file({"unet.a.lora_A.weight": torch.ones(1, 2), name: torch.ones(1, 2)}, tmp_path / WEIGHTS)
    with pytest.raises(ValueError, match=message):
        read_adapter(tmp_path)


def test_a_zoo_is_made_of_such_folders(saved: Path) -> None:
    root = saved / "root"
    for step in (1, 2):
        folder = root / "ink" / f"checkpoint-{step}"
        folder.mkdir(parents=True)
        (folder / WEIGHTS).write_bytes((saved / "diffusers" / WEIGHTS).read_bytes())
    (root / "conditions.yaml").write_text("ink: A drawing in ink.\n")
    zoo = from_folders(root, saved / "zoo")
    assert [row.step for row in zoo.rows] == [1, 2]


def test_what_was_read_is_written_as_diffusers_reads_it_alpha_included(tmp_path: Path) -> None:
    """A UNet that diffusers' own loader gives the written file does what one with the first file does."""
    unet = UNet2DConditionModel(
        sample_size=4, in_channels=4, out_channels=4, layers_per_block=1, block_out_channels=(8, 8), norm_num_groups=4,
        cross_attention_dim=8, attention_head_dim=4, down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    ).eval()  # fmt: skip
    random = torch.Generator().manual_seed(0)
    given = [torch.randn(1, 4, 4, 4, generator=random), torch.tensor([5]), torch.randn(1, 3, 8, generator=random)]
    ranks = {"r": 2, "lora_alpha": 6, "rank_pattern": {"attn2.to_q": 3}, "alpha_pattern": {"attn2.to_q": 1}}
    unet.add_adapter(LoraConfig(target_modules=["to_q", "to_v"], init_lora_weights=False, **ranks))
    state, about = get_peft_model_state_dict(unet), unet.peft_config["default"].to_dict()
    about = {key: sorted(x) if isinstance(x, set) else x for key, x in about.items()}
    with torch.no_grad():
        expected = unet(*given).sample
        unet.delete_adapters("default")
        plain = unet(*given).sample
    StableDiffusionLoraLoaderMixin.save_lora_weights(tmp_path / "a", state, unet_lora_adapter_metadata=about)
    layout, vector = read_adapter(tmp_path / "a")
    write_diffusers(tmp_path / "b", layout, vector)
    again, same = read_adapter(tmp_path / "b")
    assert again == layout and torch.equal(same, vector)
    written, metadata = StableDiffusionLoraLoaderMixin.lora_state_dict(tmp_path / "b", return_lora_metadata=True)[::2]
    StableDiffusionLoraLoaderMixin.load_lora_into_unet(written, None, unet, metadata=metadata)
    with torch.no_grad():
        torch.testing.assert_close(unet(*given).sample, expected)
    assert not torch.allclose(plain, expected, atol=1e-3)


def test_only_what_came_from_diffusers_goes_back(tmp_path: Path) -> None:
    state = {"base_model.model.a.lora_A.weight": torch.ones(1, 2), "base_model.model.a.lora_B.weight": torch.ones(2, 1)}
    config = {"peft_type": "LORA", "r": 1, "target_modules": ["a"], "modules_to_save": ["head"]}
    layout = AdapterLayout.of(state, config)
    with pytest.raises(ValueError, match="were not read from diffusers' files"):
        write_diffusers(tmp_path / "out", layout, layout.flatten(state))
    state["base_model.model.head.weight"] = torch.ones(2, 2)
    whole = AdapterLayout.of(state, config, part="unet")
    with pytest.raises(ValueError, match="head.weight is no LoRA matrix"):
        write_diffusers(tmp_path / "out", whole, whole.flatten(state))
    assert list(tmp_path.iterdir()) == []
