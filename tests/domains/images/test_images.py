"""Styles on PixArt models of random weights: the zoo, controls and generator of text, and the paper's pipeline."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, DPMSolverMultistepScheduler, PixArtTransformer2DModel
from peft import PeftModel, set_peft_model_state_dict
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, T5Config, T5EncoderModel

from cpd import evaluation
from cpd.adapters.peft_files import write_adapter
from cpd.conditions import ConditionEncoder
from cpd.domains.finetune import run_spec
from cpd.domains.images import base_model, emoji, pixart, styles
from cpd.domains.images import domain as image_domain
from cpd.domains.images.albums import EMOJI, Album, EmojiAlbum, Together, album
from cpd.domains.images.domain import ImageDomain
from cpd.domains.images.folder_album import FolderAlbum
from cpd.domains.images.settings import Drawing
from cpd.domains.settings import Finetuning
from cpd.domains.text.domain import TextDomain
from cpd.evaluation import Evaluating
from cpd.methods.cond_pdiff.settings import Learning
from cpd.runtime import artifacts
from cpd.study import pipeline
from cpd.study.presets import STYLES

LEARNING = Learning(latent=8, ae_steps=6, ae_batch=8, width=32, depth=1, steps=8, batch=16, condition="images")
ALBUM = EmojiAlbum(styles.TRAINING[:3], 24)
TINY = Drawing(variants=1, steps=2, styled_steps=2, batch=4)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base") / "small"
    pixart.small(0).save_pretrained(folder)
    return folder


def domain(base: Path, album: Album = ALBUM, **changes: object) -> ImageDomain:
    spec = {
        "suite": "emoji",
        "base": str(base),
        "tasks": ("night", "sunset"),
        "rank": 1,
        "runs": 2,
        "keep": 2,
        "targets": "attention",
    }
    spec |= {"scale": 0.02, "batch": 2, "select_rows": 4, "report_rows": 4, "curve": 1}
    return ImageDomain(Finetuning(**spec | changes), album)  # type: ignore[arg-type]


def test_a_style_zoo_is_learned_generated_and_scored_like_any_other(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CPD_ARTIFACTS", str(tmp_path / "artifacts"))
    made = domain(base)
    zoo = pipeline.zoo(made, "images", 0)
    assert (zoo.tasks, len(zoo.training()), len(zoo.held_out())) == (["night", "sunset"], 8, 4)
    generator = pipeline.generator(zoo, LEARNING, 0)
    arms = evaluation.arms("night", zoo, generator, made.untrained(), Evaluating(generated=2, sampler_steps=3), 0)
    scores = evaluation.score_arms(made, {"night": {name: arms[name] for name in ("original", "generated")}})
    assert all(0 <= score <= 1 for each in scores["night"].values() for score in each)
    look = made.look("night", arms["generated"][0])
    assert look.accuracy == scores["night"]["generated"][0] and look.called in ("night", "sunset")
    assert look.frechet > 0 and look.inception is None
    shown = zoo.conditions["sunset"][0]
    assert not Path(shown).is_absolute()
    assert torch.equal(generator.generate("sunset", 1, 0), generator.generate(shown, 1, 0))


def test_an_adapter_draws_the_same_through_peft(base: Path, tmp_path: Path) -> None:
    made = domain(base)
    vector = made.untrained() + 0.05 * torch.randn(made.layout.size, generator=torch.Generator().manual_seed(0))
    write_adapter(tmp_path / "adapter", made.layout, vector)
    loaded = PeftModel.from_pretrained(pixart.from_pretrained(str(base)).transformer, str(tmp_path / "adapter")).eval()
    captions = made.captions("night", "select")[:2]
    own = made.draw("night", vector[None], "select", range(2))[0]
    assert loaded.peft_config["default"].base_model_name_or_path == base.name, "a name, not a path"
    beside = made.painter.draw(loaded, captions, 0, image_domain.SAMPLER_STEPS)
    without = made.draw("night", made.untrained()[None], "select", range(2))[0]
    merged, gone = (np.abs(own.astype(float) - other).mean() for other in (beside, without))
    assert merged < 1 and gone > 10 * merged, "an adapter in the weights draws as one beside them, up to rounding"


def test_loss_and_gradient_of_each_adapter_are_those_of_a_peft_model_that_holds_it_alone(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In float32, to 1e-5 of the largest entry."""
    monkeypatch.setattr("cpd.runtime.devices.precision", lambda *_: "fp32")
    made, tasks, rows = (
        domain(base, dropout=0.0),
        ["night", "sunset", "night"],
        [np.array([i, i + 3]) for i in range(3)],
    )
    noise = [torch.Generator().manual_seed(i) for i in range(3)]
    random = torch.Generator().manual_seed(3)
    vectors = (made.untrained() + 0.1 * torch.randn(3, made.layout.size, generator=random)).requires_grad_()
    losses = made.loss(vectors, tasks, rows, noise)
    losses.sum().backward()
    assert vectors.grad is not None
    for i, (task, own) in enumerate(zip(tasks, rows, strict=True)):
        model = made.model()
        set_peft_model_state_dict(model, made.layout.unflatten(vectors[i].detach()))
        shown, told = made.latents(task)[own], made.captions(task, "train")[own]
        (loss,) = made.painter.errors(model, shown[None], told, [torch.Generator().manual_seed(i)])
        loss.backward()
        tensors = {name.replace(".default", ""): weight.grad for name, weight in model.named_parameters()}
        gradient = torch.cat([tensors[name].flatten() for name in made.layout.names])
        assert float(losses[i].detach()) == pytest.approx(float(loss), rel=1e-5)
        assert (vectors.grad[i] - gradient).abs().max() <= 1e-5 * gradient.abs().max()


def test_a_look_is_kept_and_one_at_another_adapter_or_style_is_another(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CPD_ARTIFACTS", str(tmp_path))
    made = domain(base)
    vector = made.untrained()
    first = made.look("night", vector)
    with monkeypatch.context() as patch:
        patch.setattr(image_domain.features, "features", None)
        assert domain(base).look("night", vector) == first, "found, not looked at again"
    assert made.look("sunset", vector) != first
    assert made.look("night", vector + 0.1) != first


def test_a_picture_keeps_its_noise_whatever_is_drawn_beside_it(base: Path) -> None:
    painter = pixart.from_pretrained(str(base))
    captions = painter.encode(["red apple", "dog", "red apple"])
    three = painter.draw(painter.transformer, captions, 0, 2)
    two = painter.draw(painter.transformer, captions[:2], 0, 2)
    assert np.abs(three[:2].astype(int) - two.astype(int)).max() <= 1
    assert not np.array_equal(three[0], three[2]), "another noise for the third"
    third = painter.draw(painter.transformer, captions[:1], 0, 2, numbers=[2])
    assert np.abs(three[2:].astype(int) - third.astype(int)).max() <= 1


def test_a_pictures_number_names_its_caption_and_its_noise(base: Path) -> None:
    made = domain(base)
    count = len(made.captions("night", "select"))
    vector = made.untrained()
    drawn = made.draw("night", vector[None], "select", range(count + 2))[0]
    some = made.draw("night", vector[None], "select", range(1, count + 2, count))[0]
    assert np.abs(drawn[1::count].astype(int) - some.astype(int)).max() <= 1
    assert not np.array_equal(drawn[1], drawn[count + 1]), "the caption comes again, its noise does not"


def test_guidance_one_is_off_and_the_null_caption_is_its_own_guide(base: Path) -> None:
    painter = pixart.from_pretrained(str(base))
    null = painter.encode(["", ""])
    off, on = (painter.draw(painter.transformer, null, 0, 2, scale) for scale in (1.0, 5.0))
    assert np.abs(off.astype(int) - on.astype(int)).max() <= 1
    named = painter.encode(["red apple", "dog"])
    assert not np.array_equal(*(painter.draw(painter.transformer, named, 0, 2, scale) for scale in (1.0, 5.0)))


def test_splits_share_no_drawing_and_hold_none_that_the_base_never_saw() -> None:
    captions = {split: set(ALBUM.captions("night", split)) for split in ("train", "select", "report")}
    assert [len(captions[split]) for split in ("train", "select", "report")] == [12, 4, 8]
    assert not captions["train"] & captions["report"] and not captions["train"] & captions["select"]
    held_out = {each.caption for each in emoji.drawings() if each.held_out}
    assert len(held_out) > 100 and not held_out & set(EmojiAlbum().captions("night", "train"))


def test_an_album_of_folders_has_captions_sentences_and_squares(tmp_path: Path) -> None:
    (tmp_path / "ink_wash").mkdir()
    for i in range(6):
        Image.new("RGB", (30, 20), (40 * i, 0, 0)).save(tmp_path / "ink_wash" / f"{i}.png")
    (tmp_path / "captions.csv").write_text("file,caption\nink_wash/3.png,a bridge\n")
    own = FolderAlbum(tmp_path)
    assert own.names == ["ink_wash"] and own.sentence("ink_wash") == "ink wash"
    assert own.captions("ink_wash", "select") == ["a bridge"]
    assert own.captions("ink_wash", "train") == ["ink wash"] * 3
    assert own.pictures("ink_wash", "report", 8)[:, 0, 0].tolist() == [[160, 0, 0], [200, 0, 0]]
    assert own.pictures("ink_wash", "train", 8).shape == (3, 8, 8, 3)
    before = own.identity("ink_wash")
    (tmp_path / "captions.csv").write_text("file,caption\nink_wash/3.png,a tower\n")
    assert own.identity("ink_wash") != before
    (tmp_path / "captions.csv").write_text("file,caption\nink_wash/3.png\n")
    with pytest.raises(ValueError, match=r"captions\.csv says no caption of 'ink_wash/3\.png'"):
        own.captions("ink_wash", "train")
    (tmp_path / "captions.csv").write_text("picture,caption\n")
    with pytest.raises(ValueError, match=r"captions.csv has no column 'file'"):
        own.captions("ink_wash", "train")
    (tmp_path / "ink_wash" / "0.png").write_text("no picture")
    with pytest.raises(ValueError, match=r"0\.png is no picture"):
        own.pictures("ink_wash", "train", 8)


def test_folders_without_pictures_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="has no folder with pictures"):
        assert FolderAlbum(tmp_path).names


def test_the_classifier_knows_real_styles_it_was_not_trained_on(base: Path) -> None:
    made = domain(base, tasks=())
    found = [made.classifier.predict(made.real(name, "report").numpy()) == name for name in made.names]
    assert np.mean(found) > 0.8


def test_the_small_model_is_trained_resumes_and_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    some = emoji.known()[:64]
    monkeypatch.setattr(emoji, "known", lambda: some)
    monkeypatch.setenv("CPD_ARTIFACTS", str(tmp_path / "first"))
    first = base_model.trained(TINY, 1)
    assert base_model.trained(TINY, 1) == first
    losses = artifacts.read_json(first / "losses.json")
    assert {part: len(values) for part, values in losses.items()} == {"plain": 2, "styled": 2}
    assert sorted(path.stem for path in (first / "samples").iterdir()) == ["000001", "000002", "000003", "000004"]
    assert 0.5 < float(pixart.from_pretrained(str(first)).latents(base_model.plain_pictures()).std()) < 2
    monkeypatch.setenv("CPD_ARTIFACTS", str(tmp_path / "second"))

    def killed(*_: object) -> list[float]:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(base_model, "fit_transformer", killed)
        base_model.trained(TINY, 1)
    again = base_model.trained(TINY, 1)
    names = [path.relative_to(first) for path in first.rglob("*") if path.is_file()]
    assert not any(str(tmp_path).encode() in (first / name).read_bytes() for name in names)
    assert all((first / name).read_bytes() == (again / name).read_bytes() for name in names)


def saved_pipeline(folder: Path) -> Path:
    """Save a PixArt pipeline as diffusers lays it out: T5, autoencoder with 4 latent channels, learned variance."""
    words = {word: i for i, word in enumerate(("<pad>", "</s>", "<unk>", "red", "apple", "dog"))}
    backend = Tokenizer(models.WordLevel(words, "<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )
    tokenizer.save_pretrained(folder / "tokenizer")
    t5 = T5Config(vocab_size=6, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    T5EncoderModel(t5).save_pretrained(folder / "text_encoder")
    AutoencoderKL(block_out_channels=(8,), norm_num_groups=4, sample_size=8).save_pretrained(folder / "vae")
    PixArtTransformer2DModel(
        num_attention_heads=2,
        attention_head_dim=8,
        num_layers=1,
        cross_attention_dim=16,
        sample_size=8,
        caption_channels=16,
        use_additional_conditions=False,
    ).save_pretrained(folder / "transformer")
    DPMSolverMultistepScheduler(beta_schedule="linear").save_pretrained(folder / "scheduler")
    return folder


def test_the_papers_pipeline_is_tuned_and_draws(tmp_path: Path) -> None:
    made = domain(saved_pipeline(tmp_path / "pixart-xl"))
    vectors = made.untrained()[None].requires_grad_()
    made.loss(vectors, ["night"], [made.rows("night", 0, 0)], [torch.Generator().manual_seed(0)]).sum().backward()
    assert made.painter.prediction == "epsilon" and made.painter.betas == "linear"
    moved = {name for name, span in made.layout.spans.items() if vectors.grad[0, span].abs().sum() > 0}
    assert moved and all("lora_B" in name for name in moved), "B is 0 at first, and so is the gradient of A"
    assert made.draw("night", made.untrained()[None], "select", range(2)).shape[:2] == (1, 2)


def test_a_run_is_another_where_base_or_style_is_and_the_same_wherever_the_base_lies(
    base: Path, tmp_path: Path
) -> None:
    moved = shutil.copytree(base, tmp_path / "elsewhere" / base.name)
    here = run_spec(domain(base), "night", 0)
    assert run_spec(domain(moved), "night", 0) == here
    assert str(base.parent) not in str(here)
    wider = EmojiAlbum((replace(styles.TRAINING[0], width=3.0), *styles.TRAINING[1:3]), 24)
    assert run_spec(domain(base, wider), "night", 0) != here
    (moved / "scheduler" / "scheduler_config.json").write_text("{}")
    assert run_spec(domain(moved), "night", 0) != here


@pytest.mark.parametrize("name", ["cubist", "../night", "night/.."])
def test_an_unknown_style_is_refused(base: Path, name: str) -> None:
    with pytest.raises(ValueError, match=f"no style '{name}'; there are night, sunset, forest"):
        domain(base, tasks=(name,))


def test_a_suite_of_the_other_domain_is_refused(base: Path) -> None:
    with pytest.raises(ValueError, match="'packaged' is no suite of pictures; there are emoji, few_emoji, folder"):
        album("packaged", "training")
    with pytest.raises(ValueError, match="'emoji' is no suite of text; there are packaged, glue"):
        TextDomain(Finetuning(suite="emoji"))
    with pytest.raises(ValueError, match="targets is 'query_value'; on pictures adapters go to 'attention' only"):
        domain(base, targets="query_value")


def test_an_adapter_of_another_base_is_refused(base: Path) -> None:
    made = domain(base)
    with pytest.raises(ValueError, match=rf"this layout needs \(G, {made.layout.size}\)"):
        made.draw("night", torch.zeros(1, made.layout.size + 1), "select", range(2))


def test_all_styles_together_are_one_after_the_other() -> None:
    four = EmojiAlbum(styles.TRAINING[:4], 12)
    one = Together(four, tuple(four.names[:2]))
    both = [EmojiAlbum((style,), 12).pictures(style.name, "train", 8) for style in styles.TRAINING[:2]]
    assert np.array_equal(one.pictures("together", "train", 8), np.concatenate(both))
    assert len(one.captions("together", "train")) == 12 == len(one.pictures("together", "train", 8))
    assert one.identity("together") != Together(four, tuple(four.names[1:3])).identity("together")


def test_a_caption_that_comes_again_is_encoded_as_the_first_time(base: Path) -> None:
    twice = domain(base, Together(ALBUM, ("night", "sunset")), tasks=("together",)).captions("together", "train")
    once = domain(base).captions("night", "train")
    torch.testing.assert_close(twice.tokens, once.tokens.repeat(2, 1, 1))


def test_the_parts_of_a_suite_share_no_style_but_the_ends_of_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    training, held_out, family = (album("emoji", part) for part in ("training", "held_out", "family"))
    assert (len(training.names), len(held_out.names), len(family.names)) == (16, 8, 11)
    assert not set(training.names) & set(held_out.names)
    monkeypatch.delenv("CPD_ALBUM_DIR", raising=False)
    with pytest.raises(FileNotFoundError, match=r"CPD_ALBUM_DIR is ''; .* training/STYLE/"):
        album("folder", "training")


def test_the_few_have_all_training_styles_and_a_line_that_begins_and_ends_at_a_learned_place() -> None:
    every, few = ({part: album(suite, part).names for part in ("training", "held_out", "family")} for suite in EMOJI)
    assert few["training"] == every["training"]
    assert few["held_out"] == every["held_out"][:4] and len(few["family"]) % 2 == 1


def test_a_folder_of_ones_own_pictures_is_a_suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, base: Path) -> None:
    for style, colour in (("red", (200, 0, 0)), ("blue", (0, 0, 200))):
        (tmp_path / "training" / style).mkdir(parents=True)
        for i in range(6):
            Image.new("RGB", (20, 30), colour).save(tmp_path / "training" / style / f"{i}.jpg")
    monkeypatch.setenv("CPD_ALBUM_DIR", str(tmp_path))
    made = ImageDomain(replace(STYLES["smoke"].finetuning, suite="folder", base=str(base), tasks=()))
    assert made.names == ["blue", "red"]
    assert made.loss(made.untrained()[None], ["red"], [made.rows("red", 0, 0)], None).isfinite()
    (tmp_path / "training" / "red" / "5.jpg").unlink()
    with pytest.raises(ValueError, match=r"style 'red' has 5 pictures in .*red, 1 are missing"):
        made.album.pictures("red", "report", 8)


def test_conditions_are_of_eight_to_one_pictures_and_those_asked_with_are_not_those_learned(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CPD_ARTIFACTS", str(tmp_path))
    made = domain(base)
    learned = made.conditions("images")["night"]
    assert len(learned) == image_domain.DRAWS
    counts = [len([*(tmp_path / folder).glob("*.png")]) for folder in learned]
    assert counts[:9] == [8, 7, 6, 5, 4, 3, 2, 1, 8]
    asked = made.conditions("images", "select", 1)["night"]

    def pictures(folders: list[str]) -> set[bytes]:
        return {file.read_bytes() for folder in folders for file in (tmp_path / folder).glob("*.png")}

    assert len(pictures(asked)) == 4 and not pictures(asked) & pictures(learned)
    assert made.conditions("description", "select", 1) == {
        "night": [styles.TRAINING[0].sentence],
        "sunset": [styles.TRAINING[1].sentence],
    }


def test_a_condition_of_pictures_is_their_mean_and_bad_ones_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CPD_ARTIFACTS", str(tmp_path))
    rng = np.random.default_rng(0)
    for i in range(2):
        folder = tmp_path / "shown"
        folder.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (16, 24, 3), dtype=np.uint8)).save(folder / f"{i}.png")
    encoder = ConditionEncoder("images")
    both, first, second = encoder.encode(["shown", "shown/0.png", str(tmp_path / "shown/1.png")])
    torch.testing.assert_close(both, (first + second) / 2)
    with pytest.raises(FileNotFoundError, match="no picture or folder nowhere"):
        encoder.encode(["nowhere"])
    Image.open(tmp_path / "shown/0.png").convert("RGBA").save(tmp_path / "opaque.png")
    Image.new("P", (5, 9)).save(tmp_path / "shown/2.png")
    torch.testing.assert_close(encoder.encode(["opaque.png"])[0], first)
    assert encoder.encode(["shown"]).isfinite().all(), "pictures of several sizes and modes"
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"empty has 0 pictures .* 1 to 8 are needed"):
        encoder.encode(["empty"])
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(ValueError, match=r"text\.png is no picture"):
        encoder.encode(["text.png"])
