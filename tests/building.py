"""What a process builds, in a module that is imported at once."""

from __future__ import annotations

import os


class Building:
    """A function that is slow to build: it counts how often it was in its process."""

    built = 0

    def __init__(self) -> None:
        type(self).built += 1

    def __reduce__(self) -> tuple[type[Building], tuple[()]]:
        return Building, ()

    def __call__(self, a: int, b: int) -> tuple[int, int, int]:
        return a - b, self.built, os.getpid()
