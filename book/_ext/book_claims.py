"""Claims and the arms they are tested with, as the code has them: verdicts, figures and names.

- ``{claim} KEY`` with a sentence as its content: verdict, sentence and figure of a claim of ``cpd.study.claims``;
- ``{verdicts}``: a line per claim of the paper with its verdict; ``{tally}``: how many of them have which;
- ``{arms}``: the table of ``cpd.study.arms``.

All numbers are those of the committed run, whatever run the rest of the book shows.

Source: ours.
"""

from __future__ import annotations

from collections import Counter
from functools import cache
from html import escape
from typing import Any

from book_page import inline
from book_results import RESULTS
from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective, SphinxRole

from cpd.study import claims, figures
from cpd.study.arms import ARMS, name
from cpd.study.claims import CLAIMS, OURS, Bounds, Claim, Verdict

SIGNS = {
    Verdict.REPRODUCED: "✓", Verdict.COPYING: "=", Verdict.PARTLY: "◐", Verdict.UNSUPPORTED: "✗", Verdict.HELD: "✓",
}  # fmt: skip


@cache
def settled() -> dict[str, Claim]:
    """Return every claim with its numbers, the paper's in its order, then ours."""
    read = claims.reader(RESULTS)
    return {key: claim(read) for key, claim in (CLAIMS | OURS).items()}


def badge(verdict: Verdict) -> nodes.raw:
    """Return a verdict as a coloured word with a sign of its own."""
    kind = verdict.name.lower()
    return nodes.raw("", f'<span class="verdict {kind}">{SIGNS[verdict]} {escape(verdict)}</span>', format="html")


def spoken(bounds: Bounds) -> str:
    """Return a mean with its interval, as an alternative text has it."""
    mean, low, high = (f"{end:.2f}".replace("-", "\N{MINUS SIGN}") for end in bounds)
    return f"{mean} ({low} to {high})" if bounds.low > -float("inf") else mean


class Shown(SphinxDirective):
    """A claim: verdict, sentence, figure."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return the verdict with the sentence, and the figure."""
        claim = settled()[self.arguments[0]]
        sentence = nodes.container()
        self.state.nested_parse(self.content, self.content_offset, sentence)
        sentence[0].insert(0, [badge(claim.verdict), nodes.Text(" ")])
        side = "right" if claim.above else "left"
        caption = f"{claim.quantity[0].upper()}{claim.quantity[1:]}. The claim asks for the {side} of the line."
        alt = "; ".join(f"{name(key)} {spoken(bounds)}" for key, bounds in claim.rows.items())
        drawing = figures.intervals(claim.rows, "", claim.needed)
        figure = nodes.figure("", inline(drawing.svg(), f"{claim.quantity}: {alt}"), nodes.caption("", caption))
        return [nodes.container("", *sentence.children, figure, classes=["claim"])]


class Verdicts(SphinxDirective):
    """The paper's claims with their verdicts."""

    def run(self) -> list[nodes.Node]:
        """Return a list of links."""
        listed = nodes.bullet_list(classes=["verdicts"])
        for key in CLAIMS:
            claim = settled()[key]
            link = pending_xref(
                "", nodes.inline(), refdomain="std", reftype="ref", reftarget=f"claim-{key}", refdoc=self.env.docname,
                refexplicit=False, refwarn=True,
            )  # fmt: skip
            listed += nodes.list_item("", nodes.paragraph("", "", badge(claim.verdict), nodes.Text(" "), link))
        return [listed]


class Tally(SphinxRole):
    """How many of the paper's claims have which verdict, as in "3 reproduced"; the content of the role is not used."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Return the numbers as badges."""
        count = Counter(settled()[key].verdict for key in CLAIMS)
        shown = [
            nodes.raw(
                "", f'<span class="verdict {each.name.lower()}">{count[each]} {escape(each)}</span> ', format="html"
            )
            for each in Verdict
            if each is not Verdict.HELD
        ]
        return list(shown), []


class Arms(SphinxDirective):
    """The table of arms."""

    def run(self) -> list[nodes.Node]:
        """Return a definition list: marker and name, meaning."""
        listed = nodes.definition_list(classes=["arms"])
        for arm in ARMS.values():
            term = nodes.term("", "", nodes.raw("", figures.swatch(arm), format="html"), nodes.Text(arm.name))
            meaning = nodes.definition("", nodes.paragraph("", arm.meaning))
            listed += nodes.definition_list_item("", term, meaning)
        return [listed]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension with Sphinx."""
    app.add_directive("claim", Shown)
    app.add_directive("verdicts", Verdicts)
    app.add_directive("arms", Arms)
    app.add_role("tally", Tally())
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
