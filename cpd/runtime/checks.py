"""Checks of settings: a value that is refused is named, with what was expected.

Source: ours.
"""

from __future__ import annotations


def one_of(choices: tuple[str, ...], **named: str) -> None:
    for name, value in named.items():
        if value not in choices:
            raise ValueError(f"{name} is one of {', '.join(choices)}, got {value!r}")


def positive(**named: float) -> None:
    for name, value in named.items():
        if isinstance(value, bool) or not value > 0:
            raise ValueError(f"{name} must be greater than 0, got {value!r}")


def not_negative(**named: float) -> None:
    for name, value in named.items():
        if not 0 <= value < float("inf"):
            raise ValueError(f"{name} must be 0 or more, got {value!r}")


def share(**named: float) -> None:
    for name, value in named.items():
        if not 0 <= value < 1:
            raise ValueError(f"{name} is a share in [0, 1), got {value!r}")
