"""Sentences that say what a task is: all different, all whole, and none that is asked with."""

import numpy as np
import pytest

from cpd.domains.text.phrasings import ASKED, COUNT, FORMS, asked, phrasings

WORDS = ("gout {and} mumps", "heading", "diagnosis")


@pytest.mark.parametrize("form", FORMS)
def test_a_task_has_its_own_sentences_and_each_says_what_is_asked_for(form: str) -> None:
    own, other = (phrasings(form, WORDS, np.random.default_rng(seed)) for seed in (0, 1))
    assert own == phrasings(form, WORDS, np.random.default_rng(0))
    assert len(set(own)) == len(own) == COUNT and own[0] == other[0] == WORDS[0]
    assert all(said.count(WORDS[0]) == 1 and "{" not in said.replace(WORDS[0], "") for said in own)
    assert len(set(own) & set(other)) < COUNT / 2


@pytest.mark.parametrize("form", FORMS)
def test_what_is_asked_with_is_of_another_form_than_all_that_is_learned_with(form: str) -> None:
    random = np.random.default_rng(0)
    said = {text for _ in range(300) for text in phrasings(form, WORDS, random)}
    assert len(said) > 1000
    question = asked(form, WORDS)
    assert WORDS[0] in question and question not in said
    verb = ASKED[form].split()[0].casefold()
    assert not any(verb in text.casefold().split() for text in said)
