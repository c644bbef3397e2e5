"""A stranger's regular expressions, matched in time that is linear in the text.

Source: RE2, https://github.com/google/re2; PEFT reads the patterns of a config in ``peft.utils.other.get_pattern_key``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import re2

MEMORY = 1 << 16  # bytes of a compiled pattern, enough for a hundred names; a match then takes milliseconds


@cache
def compiled(pattern: str, ending: bool = False) -> Any:
    """Return a pattern of names, compiled.

    Args:
        pattern: regular expression.
        ending: whether it also stands for the end of a name, from a dot on.

    Raises:
        ValueError: if it is no regular expression, or one whose time has no bound.
    """
    options = re2.Options()
    options.max_mem, options.log_errors = MEMORY, False
    try:
        return re2.compile(rf"(.*\.)?({pattern})$" if ending else pattern, options)
    except re2.error as error:
        raise ValueError(
            f"{pattern[:80]!r} in adapter_config.json cannot be matched in bounded time ({error.args[0].decode()}); "
            "write it shorter, without look-around and back-references"
        ) from None


def resolve(patterns: Mapping[str, Any], module: str, default: Any) -> Any:
    """Look a module up in ``rank_pattern`` or ``alpha_pattern``.

    Args:
        patterns: regular expression -> value; the first that matches the end of the name, from a dot on, wins.
        module: name in the base model.
        default: value of a module that no pattern matches.

    Raises:
        ValueError: if a pattern is no regular expression, or one whose time has no bound.
    """
    found = (value for key, value in patterns.items() if compiled(key, ending=True).match(module))
    return next(found, default)
