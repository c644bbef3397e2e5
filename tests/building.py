"""What other processes are asked to do, in a module that is imported at once."""

from __future__ import annotations

import os
import time


class Building:
    """A function that is slow to build: it counts how often it was in its process."""

    built = 0

    def __init__(self) -> None:
        type(self).built += 1

    def __reduce__(self) -> tuple[type[Building], tuple[()]]:
        return Building, ()

    def __call__(self, a: int, b: int) -> tuple[int, int, int]:
        return a - b, self.built, os.getpid()


KEPT: list[bytes] = []


def hold_and_free(pieces: int, seconds: float) -> int:
    """Fill pieces of 100 kB and free all but the last, at the end of the heap; return the process."""
    held = [b"x" * 100_000 for _ in range(pieces)]
    KEPT.append(held.pop())
    del held
    time.sleep(seconds)
    return os.getpid()
