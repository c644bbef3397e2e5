from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import tiny
import torch
from peft import IA3Config, LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from peft.utils.other import get_pattern_key
from transformers import AutoConfig, AutoModelForSequenceClassification

from cpd.adapters import patterns
from cpd.adapters.layout import AdapterLayout, delta
from cpd.adapters.names import natural
from cpd.adapters.peft_files import CONFIG, WEIGHTS, read_adapter, write_adapter
from cpd.runtime import tensor_files

QUERY = "bert.encoder.layer.0.attention.self.query"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.encoder(tmp_path_factory.mktemp("base") / "tiny-bert")


@pytest.fixture
def saved(base: Path, tmp_path: Path) -> Path:
    tiny.lora(base).save_pretrained(tmp_path / "saved")
    return tmp_path / "saved"


def fresh(base: Path, dtype: torch.dtype = torch.float32) -> torch.nn.Module:
    torch.manual_seed(7)
    config = AutoConfig.from_pretrained(base, num_labels=3)
    return AutoModelForSequenceClassification.from_pretrained(base, config=config).to(dtype).eval()


def change_config(folder: Path, **fields: object) -> None:
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps(config | fields))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_round_trip_is_exact_in_every_dtype(base: Path, tmp_path: Path, dtype: torch.dtype) -> None:
    model = tiny.lora(base, dtype=dtype)
    model.save_pretrained(tmp_path / "given")
    layout, vector = read_adapter(tmp_path / "given")
    expected = tensor_files.read_tensors(tmp_path / "given" / WEIGHTS)
    assert any("classifier" in name for name in expected), "the head must be part of the adapter"
    assert vector.dtype == torch.float32 and len(vector) == sum(t.numel() for t in expected.values())
    again = tensor_files.read_tensors(write_adapter(tmp_path / "again", layout, vector) / WEIGHTS)
    assert set(again) == set(expected)
    for name, tensor in expected.items():
        assert again[name].dtype == tensor.dtype == dtype
        assert torch.equal(again[name], tensor), name


def test_layout_survives_json_and_orders_layers_naturally(saved: Path) -> None:
    layout, _ = read_adapter(saved)
    assert AdapterLayout.from_json(json.loads(json.dumps(layout.to_json()))) == layout
    assert sorted(["layer.10.x", "layer.2.x"], key=natural) == ["layer.2.x", "layer.10.x"]


def test_vector_knows_where_each_tensor_lies(saved: Path) -> None:
    layout, vector = read_adapter(saved)
    for name, tensor in tensor_files.read_tensors(saved / WEIGHTS).items():
        assert torch.equal(vector[layout.spans[name]], tensor.reshape(-1)), name


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_peft_loads_what_is_written_and_computes_the_same(base: Path, tmp_path: Path, dtype: torch.dtype) -> None:
    model = tiny.lora(base, dtype=dtype)
    model.save_pretrained(tmp_path / "given")
    layout, vector = read_adapter(tmp_path / "given")
    folder = write_adapter(tmp_path / "written", layout, vector)
    loaded = PeftModel.from_pretrained(fresh(base, dtype), folder, autocast_adapter_dtype=False).eval()
    assert torch.equal(tiny.logits(loaded), tiny.logits(model))
    assert not torch.equal(tiny.logits(loaded), tiny.logits(tiny.lora(base, seed=1, dtype=dtype)))


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"use_rslora": True},
        {"r": 4, "lora_alpha": 16},
        {"rank_pattern": {"layer.0.attention.self.query": 3}, "alpha_pattern": {"value": 5, "layer.1.*query": 2}},
        {"rank_pattern": {"query": 1}, "alpha_pattern": {"query": 32}, "use_rslora": True},
    ],
)
def test_delta_is_what_peft_merges(base: Path, config: dict[str, object]) -> None:
    model = tiny.lora(base, **config)
    layout = AdapterLayout.of(get_peft_model_state_dict(model), model.peft_config["default"].to_dict())
    products = delta(layout, layout.flatten(get_peft_model_state_dict(model)))
    before = {name: weight.clone() for name, weight in fresh(base).named_parameters()}
    after = dict(model.merge_and_unload().named_parameters())
    assert set(products) == {
        f"bert.encoder.layer.{i}.attention.self.{target}" for i in range(2) for target in ("query", "value")
    }
    for module, product in products.items():
        merged = after[f"{module}.weight"] - before[f"{module}.weight"]
        torch.testing.assert_close(product, merged, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+b", "(.*)*b", ".*" * 25 + "b", "(a?){100}a{100}b"])
def test_a_strangers_pattern_takes_no_time(pattern: str) -> None:
    """Python's own ``re`` needs time that is exponential in the length of the name."""
    begin = time.process_time()
    assert patterns.resolve({pattern: 3, "other": 4}, "a" * 100 + "c", 8) == 8
    assert time.process_time() - begin < 0.5


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("query(", "missing"),
        (r"(.)\1", "invalid escape sequence"),
        ("(?!key)query", "invalid perl operator"),
        ("((a{1000}){1000}){1000}", "invalid repetition size"),
        ("(a?){500}" * 100, "pattern too large"),
    ],
)
def test_a_pattern_that_has_no_bound_is_refused_in_a_sentence(pattern: str, reason: str) -> None:
    with pytest.raises(ValueError, match=rf"in adapter_config.json cannot be matched .*{reason}.*; write it"):
        patterns.resolve({pattern: 3}, "a" * 100, 8)


def test_patterns_are_read_as_peft_reads_them() -> None:
    names = [f"model.layers.{i}.self_attn.{kind}_proj" for i in (0, 7, 10) for kind in "qkvo"]
    keys = [
        "q_proj",
        "proj",
        r"layers\.\d\..*",
        "^model.layers.7.self_attn.(q|k)_proj",
        "layers.[01]+.self_attn.[vo]_proj",
    ]
    for key in keys:
        expected = [3 if get_pattern_key([key], name) == key else 8 for name in names]
        assert [patterns.resolve({key: 3}, name, 8) for name in names] == expected
    everything = "|".join(f"model.layers.{i}.self_attn.q_proj" for i in range(100))
    assert patterns.resolve({everything: 3}, "base.model.layers.99.self_attn.q_proj", 8) == 3


def test_delta_of_several_vectors_is_each_ones_delta(saved: Path) -> None:
    layout, vector = read_adapter(saved)
    both = delta(layout, torch.stack([vector, 2 * vector]))[QUERY]
    torch.testing.assert_close(both[0], delta(layout, vector)[QUERY])
    torch.testing.assert_close(both[1], 4 * both[0])
    with pytest.raises(ValueError, match=f"needs {layout.size}"):
        delta(layout, vector[:-1])


def test_gauge_changes_the_vector_but_not_the_delta(saved: Path) -> None:
    layout, vector = read_adapter(saved)
    a, b = layout.pairs[QUERY]
    gauge = torch.tensor([[2.0, 1.0], [0.5, -1.0]])
    state = layout.unflatten(vector)
    state[a], state[b] = gauge @ state[a], state[b] @ gauge.inverse()
    moved = layout.flatten(state)
    assert (moved - vector).norm() > 0.1
    torch.testing.assert_close(delta(layout, moved)[QUERY], delta(layout, vector)[QUERY], rtol=1e-4, atol=1e-5)


def test_written_bytes_are_deterministic_and_name_no_path(base: Path, saved: Path, tmp_path: Path) -> None:
    layout, vector = read_adapter(saved)
    first, second = (write_adapter(tmp_path / name, layout, vector) for name in ("one", "two"))
    for name in (CONFIG, WEIGHTS):
        assert (first / name).read_bytes() == (second / name).read_bytes()
    assert str(base.parent) in (saved / CONFIG).read_text(), "PEFT writes the path, so that this test can fail"
    text = (first / CONFIG).read_text()
    assert str(base.parent) not in text and json.loads(text)["base_model_name_or_path"] == "tiny-bert"


def test_an_adapter_is_replaced_but_nothing_else_is(saved: Path, tmp_path: Path) -> None:
    layout, vector = read_adapter(saved)
    write_adapter(tmp_path / "mine", layout, vector)
    write_adapter(tmp_path / "mine", layout, 2 * vector)
    assert torch.equal(read_adapter(tmp_path / "mine")[1], 2 * vector)
    (tmp_path / "mine" / "notes.txt").write_text("precious")
    with pytest.raises(FileExistsError, match="choose another folder"):
        write_adapter(tmp_path / "mine", layout, vector)
    assert (tmp_path / "mine" / "notes.txt").read_text() == "precious"


@pytest.mark.parametrize(
    ("config", "named"),
    [
        (LoraConfig(task_type="SEQ_CLS", target_modules=["query"], use_dora=True), "use_dora"),
        (IA3Config(task_type="SEQ_CLS", target_modules=["query"], feedforward_modules=[]), "IA3"),
        (LoraConfig(task_type="SEQ_CLS", target_modules=["query"], bias="lora_only"), "bias"),
        (LoraConfig(task_type="SEQ_CLS", target_modules=["query"], init_lora_weights="pissa"), "pissa"),
    ],
)
def test_other_methods_are_refused_by_name(base: Path, tmp_path: Path, config: LoraConfig, named: str) -> None:
    get_peft_model(fresh(base), config).save_pretrained(tmp_path / "other")
    with pytest.raises(ValueError, match=named):
        read_adapter(tmp_path / "other")


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_nan_and_infinity_are_refused_when_read_and_when_written(saved: Path, tmp_path: Path, bad: float) -> None:
    layout, vector = read_adapter(saved)
    state = tensor_files.read_tensors(saved / WEIGHTS)
    name = layout.names[1]
    state[name].view(-1)[0] = bad
    tensor_files.write_tensors(saved / WEIGHTS, state)
    with pytest.raises(ValueError, match=f"NaN or infinite weight in {name}"):
        read_adapter(saved)
    vector[3] = bad
    with pytest.raises(ValueError, match="NaN or infinite"):
        write_adapter(tmp_path / "out", layout, vector)
    assert not (tmp_path / "out").exists()


def test_value_too_large_for_half_precision_is_refused(base: Path, tmp_path: Path) -> None:
    tiny.lora(base, dtype=torch.float16).save_pretrained(tmp_path / "half")
    layout, vector = read_adapter(tmp_path / "half")
    vector[0] = 1e6
    with pytest.raises(ValueError, match="as float16"):
        layout.unflatten(vector)


@pytest.mark.parametrize("size", [0, 7, 500])
def test_truncated_weights_are_refused(saved: Path, size: int) -> None:
    data = (saved / WEIGHTS).read_bytes()
    (saved / WEIGHTS).write_bytes(data[:size])
    with pytest.raises(ValueError, match="not a whole safetensors file") as raised:
        read_adapter(saved)
    assert str(saved / WEIGHTS) in str(raised.value) and "\n" not in str(raised.value)


def test_pickles_are_never_opened_whatever_their_name(saved: Path, tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[Path, ...]]:
            return Path.touch, (tmp_path / "exploded",)

    torch.save(Bomb(), saved / WEIGHTS)
    with pytest.raises(ValueError, match="pickles are never opened"):
        read_adapter(saved)
    (saved / WEIGHTS).rename(saved / "adapter_model.bin")
    with pytest.raises(ValueError, match="may be a pickle"):
        read_adapter(saved)
    assert not (tmp_path / "exploded").exists()


def test_a_link_to_weights_that_are_gone_is_a_missing_file_and_no_pickle(saved: Path) -> None:
    (saved / WEIGHTS).unlink()
    (saved / WEIGHTS).symlink_to(saved / "gone")
    with pytest.raises(FileNotFoundError, match="there is no file"):
        read_adapter(saved)


def test_missing_files_and_unreadable_configs_are_named(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=WEIGHTS):
        read_adapter(tmp_path / "empty")
    (saved / CONFIG).write_text('{"peft_type": "LO')
    with pytest.raises(ValueError, match="not readable JSON"):
        read_adapter(saved)
    (saved / CONFIG).write_text("[1]")
    with pytest.raises(ValueError, match="holds list"):
        read_adapter(saved)
    (saved / CONFIG).unlink()
    with pytest.raises(FileNotFoundError, match=CONFIG):
        read_adapter(saved)


def test_config_that_contradicts_the_weights_is_refused(saved: Path) -> None:
    change_config(saved, r=5)
    with pytest.raises(ValueError, match="says rank 5"):
        read_adapter(saved)


def test_integers_strangers_and_halves_are_refused(saved: Path) -> None:
    layout, vector = read_adapter(saved)
    state, config = layout.unflatten(vector), layout.config | {"peft_type": "LORA"}
    a, _ = layout.pairs[QUERY]
    with pytest.raises(ValueError, match="int64"):
        AdapterLayout.of(state | {a: state[a].long()}, config)
    with pytest.raises(ValueError, match="stranger"):
        AdapterLayout.of(state | {"base_model.model.stranger.weight": torch.zeros(2)}, config)
    with pytest.raises(ValueError, match="not its partner"):
        AdapterLayout.of({name: t for name, t in state.items() if name != a}, config)


@pytest.mark.parametrize(
    ("change", "named"),
    [({"r": 3}, "r is 3"), ({"target_modules": ["query"]}, "target_modules"), ({"lora_alpha": 9}, "lora_alpha is 9")],
)
def test_layouts_say_how_they_differ(base: Path, change: dict[str, object], named: str) -> None:
    models = tiny.lora(base), tiny.lora(base, **change)
    first, second = (AdapterLayout.of(get_peft_model_state_dict(m), m.peft_config["default"].to_dict()) for m in models)
    first.require_same(first, "itself")
    with pytest.raises(ValueError, match=named):
        first.require_same(second, "the second")


def test_flatten_refuses_other_tensors_and_unflatten_other_lengths(saved: Path) -> None:
    layout, vector = read_adapter(saved)
    state = layout.unflatten(vector)
    state.pop(layout.names[0])
    with pytest.raises(ValueError, match="lacks"):
        layout.flatten(state)
    with pytest.raises(ValueError, match="needs"):
        layout.unflatten(vector[1:])


def test_full_disk_leaves_no_adapter(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout, vector = read_adapter(saved)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tensor_files, "write_tensors", full)
    with pytest.raises(OSError, match="No space left"):
        write_adapter(tmp_path / "out" / "mine", layout, vector)
    assert list((tmp_path / "out").iterdir()) == []
