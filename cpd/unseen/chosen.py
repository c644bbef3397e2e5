"""Which of people's tasks or styles a generator is asked for: only those that it never learned.

Source: ours.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence


def chosen(names: Sequence[str], there: Collection[str], learned: Collection[str], kind: str) -> list[str]:
    """Return the names that are asked for.

    Args:
        names: of those that are meant; empty means all that were not learned.
        there: all that there are.
        learned: by the generator.
        kind: "task" or "style".

    Raises:
        ValueError: if one is not there or was learned, or none is left.
    """
    for name in names:
        if name not in there:
            raise ValueError(f"there is no {kind} {name!r}; there are {', '.join(there)}")
        if name in learned:
            raise ValueError(
                f"{kind} {name!r} was learned, so that it says nothing of a {kind} that was not; fit again with "
                f"--held-out {name}, or name another"
            )
    found = list(names) or [name for name in there if name not in learned]
    if not found:
        raise ValueError(
            f"every {kind} was learned, and none is left to ask for; fit again with --held-out {kind.upper()}"
        )
    return found
