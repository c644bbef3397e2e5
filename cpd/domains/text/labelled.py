"""Labelled texts in a CSV file, read row by row, and refused in one sentence where a row cannot be meant.

Source: ours; CSV as in RFC 4180, read by Python's ``csv``.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

COLUMNS = ("text", "label")  # others may be there, and are not read
NAMED = " and ".join(COLUMNS)


@dataclass(frozen=True)
class Row:
    """A row of a table: the line that it begins in, its text and its label."""

    line: int
    text: str
    label: str


def rows(path: Path) -> list[Row]:
    """Read a table with the columns ``text`` and ``label``.

    Args:
        path: UTF-8, with or without a mark of it at the start.

    Returns:
        Its rows, one or more.

    Raises:
        ValueError: if it is in another encoding, a column is missing, or a line has other columns than the first or an
            empty text or label; says which line, and what to do.
    """
    lines = _records(path, _text(path))
    _, header = next(lines, (0, []))
    names = [name.strip() for name in header]
    for column in COLUMNS:
        if names.count(column) != 1:
            found = ", ".join(repr(name) for name in names) or "nothing"
            raise ValueError(
                f"the first line of {path} names {names.count(column) or 'no'} column {column!r} (it names {found}); "
                f"name the columns {NAMED}, separated by a comma"
            )
    text, label = (names.index(column) for column in COLUMNS)
    read = [_row(path, line, record, len(names), text, label) for line, record in lines]
    if not read:
        raise ValueError(f"{path} has no row below its first line; add rows of {NAMED}")
    return read


def _text(path: Path) -> str:
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"{path} is not UTF-8 (line {line} has the byte 0x{data[error.start]:02x}); save it as UTF-8"
        ) from None
    if (place := text.find("\0")) >= 0:
        line = text.count("\n", 0, place) + 1
        raise ValueError(f"line {line} of {path} has a NUL byte, as UTF-16 has; save it as UTF-8, without NUL bytes")
    return text.rstrip("\r\n")


def _records(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield each record with the line that it begins in."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    while True:
        line = reader.line_num + 1
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise ValueError(
                f"line {line} of {path} cannot be read ({error}); put a text with quotes or line breaks in double "
                "quotes, and double those within it"
            ) from None
        yield line, record


def _row(path: Path, line: int, record: Sequence[str], columns: int, text: int, label: int) -> Row:
    if not any(part.strip() for part in record):
        raise ValueError(f"line {line} of {path} is empty; remove it")
    if len(record) != columns:
        raise ValueError(
            f"line {line} of {path} has {len(record)} columns, its first line has {columns}; put a text with commas in "
            "double quotes"
        )
    row = Row(line, record[text].strip(), record[label].strip())
    for column, value in (("text", row.text), ("label", row.label)):
        if not value:
            raise ValueError(f"line {line} of {path} has no {column}; fill it in or remove the line")
    return row
