"""The tabular list of ICD-10-CM: names of diagnoses, and the chapters, blocks and categories that they are in.

The list is a member of the wheel ``simple-icd-10-cm`` 1.5.0, which is under the MIT license (its METADATA says so) and
is fetched once by its sha256 and read with ``zipfile``; its code is never imported. ICD-10-CM itself is a work of the
government of the United States: the National Center for Health Statistics (NCHS) of the Centers for Disease Control and
Prevention (CDC) makes it, https://www.cdc.gov/nchs/icd/icd-10-cm/files.html, release of April 2026.

Source: the tabular list of ICD-10-CM.
"""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from xml.etree import ElementTree

import numpy as np

from cpd.runtime import wheels

WHEEL = "simple-icd-10-cm==1.5.0", "6d461d71dc26aedc530ae65f02cfb578a154e49507c32e8241e75f701d4b7e42"
MEMBER = "simple_icd_10_cm/data/icd10c-tabular-April-1-2026.xml"
ATTRIBUTION = (
    "ICD-10-CM, release of April 2026, is a work of the government of the United States (National Center for Health "
    "Statistics, Centers for Disease Control and Prevention). It is read from the Python package simple-icd-10-cm "
    "1.5.0, copyright 2021-2026 Stefano Travasci, MIT license."
)
WORDS = 2, 30  # fewest and most of a text


@dataclass(frozen=True)
class Texts:
    """Texts that questions are asked about.

    Attributes:
        texts: (n,) no two alike, case aside.
        codes: (n,) codes that each belongs to; the codes of an asked question are what it asks for.
        stems: (n,) the texts, less the visits.
    """

    texts: list[str]
    codes: list[tuple[str, ...]]
    stems: list[str]


@dataclass(frozen=True)
class Table:
    """The list.

    Attributes:
        names: names of diagnoses.
        visits: names of injuries with a visit that they are coded for, as in "..., initial encounter".
        base: (visits,) index of the name that a visit's text begins with.
        members: chapter ("chapter 1"), block ("A00-A09"), category ("A01") or subcategory ("A01.0") -> (m,) indices
            of its names, in order.
        titles: chapter, block, category or subcategory -> what it is called, without its codes.
        parents: block -> chapter; category -> block; subcategory -> category.
    """

    names: Texts
    visits: Texts
    base: np.ndarray
    members: dict[str, np.ndarray]
    titles: dict[str, str]
    parents: dict[str, str]


@cache
def table() -> Table:
    """Read the list from its wheel, once in a process."""
    with zipfile.ZipFile(wheels.fetch_wheel(*WHEEL)) as wheel:
        root = ElementTree.fromstring(wheel.read(MEMBER))
    titles, parents = _headings(root)
    places: dict[str, int] = {}  # text in small letters -> its index
    texts: list[str] = []
    codes: list[list[str]] = []
    members: dict[str, set[int]] = defaultdict(set)
    visits: dict[int, tuple[str, str]] = {}  # name -> end, code
    for category in root.iterfind("chapter/section/diag"):
        for code, own, ends in _codes(category, []):
            groups = _above(code, parents)
            for text in own:
                place = places.setdefault(text.casefold(), len(texts))
                if place == len(texts):
                    texts.append(text)
                    codes.append([])
                codes[place].append(code)
                for group in groups:
                    members[group].add(place)
            if own and ends:
                visits.setdefault(places[own[0].casefold()], (ends[int(rank(code), 16) % len(ends)], code))
    names = Texts(texts, [tuple(own) for own in codes], texts)
    seen = [(f"{texts[i]}, {end}", (code,), texts[i]) for i, (end, code) in visits.items()]
    indices = {group: np.array(sorted(members[group]), int) for group in titles}
    return Table(names, Texts(*map(list, zip(*seen, strict=True))), np.array(list(visits)), indices, titles, parents)


def _headings(root: ElementTree.Element) -> tuple[dict[str, str], dict[str, str]]:
    """Return titles and parents of chapters, blocks, categories and subcategories."""
    titles, parents = {}, {}
    for chapter in root.iter("chapter"):
        number = f"chapter {_text(chapter, 'name')}"
        titles[number] = _clean(_text(chapter, "desc"))
        for section in chapter.iter("section"):
            first, _, last = section.attrib["id"].partition("-")
            block = f"{first}-{last or first}"
            titles[block], parents[block] = _clean(_text(section, "desc")), number
            for item in section.findall("diag"):
                for group, above in [(item, block), *((x, _text(item, "name")) for x in item.findall("diag"))]:
                    code = _text(group, "name")
                    titles[code], parents[code] = _clean(_text(group, "desc")), above
    return titles, parents


def _above(code: str, parents: dict[str, str]) -> list[str]:
    """Return subcategory (where the code is in one), category, block and chapter of a code."""
    category, point, rest = code.partition(".")
    groups = [f"{category}.{rest[0]}"] if point else []
    for _ in range(3):
        groups.append(category)
        category = parents.get(category, "")
    return groups


def _codes(item: ElementTree.Element, ends: list[str]) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield code, texts and ends of visits (of codes without codes below) of a code and of those below it."""
    parts: dict[str, list[ElementTree.Element]] = defaultdict(list)
    for part in item:
        parts[part.tag].append(part)
    own = [" ".join((x.text or "").split()) for part in parts["sevenChrDef"] for x in part.iter("extension")]
    given = [parts["desc"], *(part.findall("note") for part in parts["inclusionTerm"])]
    texts = [_clean(x.text or "") for some in given for x in some]
    ends = own or ends
    yield parts["name"][0].text or "", [text for text in texts if _usable(text)], [] if parts["diag"] else ends
    for child in parts["diag"]:
        yield from _codes(child, ends)


def _usable(text: str) -> bool:
    """Say whether a text is of several words, no note, and names no code."""
    return WORDS[0] <= text.count(" ") + 1 <= WORDS[1] and not re.search(r"\b[A-Z]\d\w[.-][\dA-Z-]", text)


def _text(item: ElementTree.Element, tag: str) -> str:
    return item.findtext(tag) or ""


def _clean(text: str) -> str:
    """Drop codes at the end, "(A00-A09)", and what is there in square brackets, a synonym or an exception."""
    text = re.sub(r"\s*\([A-Z]\d\w(-[A-Z]\d\w)?\)$", "", " ".join(text.split()))
    return re.sub(r"(?<=\w)\s*\[[^\]]*\]$", "", text).strip()


def level(group: str) -> str:
    """Return what a group of codes is: chapter, block, category or subcategory."""
    if group.startswith("chapter"):
        return "chapter"
    return "block" if "-" in group else "subcategory" if "." in group else "category"


def rank(name: str) -> str:
    """Return the sha256 of a name, by which whatever is chosen of the list is chosen."""
    return hashlib.sha256(name.encode()).hexdigest()
