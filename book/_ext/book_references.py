"""Label the entries of the bibliography as the text cites them: by author and year.

Source: ours; the format of an entry is pybtex's ``unsrt``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pybtex.database import Entry
from pybtex.plugin import register_plugin
from pybtex.style.formatting.unsrt import Style as Unsorted
from pybtex.style.labels import BaseLabelStyle


class Labels(BaseLabelStyle):
    """Author and year."""

    def format_labels(self, sorted_entries: Sequence[Entry]) -> Iterator[str]:
        """Return the label of each entry, in their order."""
        return map(label, sorted_entries)


class Style(Unsorted):
    """Entries by author, with these labels."""

    default_label_style = Labels
    default_sorting_style = "author_year_title"


def label(entry: Entry) -> str:
    """Return an entry's label: "A, 2024", "A and B, 2024" or "A et al., 2024"."""
    names = [" ".join(person.last_names) for person in entry.persons["author"]]
    people = f"{names[0]} et al." if len(names) > 2 else " and ".join(names)
    return f"{people}, {entry.fields['year']}"


def setup(app: Any) -> dict[str, Any]:
    """Register the style ``author_year`` with pybtex."""
    register_plugin("pybtex.style.formatting", "author_year", Style)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
