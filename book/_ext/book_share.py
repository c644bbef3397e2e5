"""What a page says to the world: how to cite it, and, where it is published, its address, card and links.

The addresses come from ``GITHUB_REPOSITORY`` ("OWNER/NAME"), which GitHub sets where it publishes; a local build has
none. Titles, descriptions and cards are written by sphinxext-opengraph, buttons by the theme.

Source: ours.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import yaml
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).resolve().parents[2]
CARD = "_static/lead.png"
LAUNCHED = "launch"  # branch of the notebooks that install what they need (publish.yml)


def addresses(repository: str) -> tuple[str, str]:
    """Return the addresses of a repository and of its pages.

    Raises:
        ValueError: if it is not OWNER/NAME.
    """
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
        raise ValueError(f"GITHUB_REPOSITORY is {repository!r}; it has to be OWNER/NAME")
    owner, name = repository.split("/")
    site = f"https://{owner.lower()}.github.io/"
    return f"https://github.com/{repository}", site if f"https://{name.lower()}/" == site else f"{site}{name}/"


def address(app: Sphinx, config: Config) -> None:
    """Give a published book its address, its card and its links."""
    source, site = addresses(os.environ["GITHUB_REPOSITORY"])
    config.html_baseurl = config.ogp_site_url = site
    config.ogp_site_name = config.html_title
    config.ogp_image = site + CARD
    config.ogp_custom_meta_tags = [
        '<meta property="og:image:width" content="1200" />',
        '<meta property="og:image:height" content="630" />',
        '<meta name="twitter:card" content="summary_large_image" />',
    ]
    config.html_theme_options |= {
        "repository_url": source,
        "repository_branch": LAUNCHED,
        "path_to_docs": "",
        "use_repository_button": True,
        "use_issues_button": True,
        "launch_buttons": {"colab_url": "https://colab.research.google.com", "binderhub_url": "https://mybinder.org"},
    }


def launch_notebooks_only(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Leave launch buttons to the pages that have a notebook in ``notebooks/``."""
    if not page.startswith("notebooks/"):
        buttons = context.get("header_buttons", [])
        context["header_buttons"] = [each for each in buttons if each.get("label") != "launch-buttons"]


def bibtex(about: dict[str, Any]) -> str:
    """Return CITATION.cff as an entry for BibTeX."""
    authors = " and ".join(f"{{{each['name']}}}" for each in about["authors"])
    fields = {
        "author": authors,
        "title": about["title"],
        "version": str(about["version"]),
        "year": str(about["date-released"].year),
    }
    if repository := os.environ.get("GITHUB_REPOSITORY"):
        fields["url"] = addresses(repository)[0]
    return "@software{cpd,\n" + "".join(f"  {key} = {{{value}}},\n" for key, value in fields.items()) + "}"


class CiteThis(SphinxDirective):
    """How to cite this book and the paper."""

    def run(self) -> list[nodes.Node]:
        """Return a fold with an entry for BibTeX."""
        self.env.note_dependency(str(ROOT / "CITATION.cff"))
        about = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
        entry = nodes.literal_block("", bibtex(about), language="bibtex")
        opened = nodes.raw("", '<details class="cite"><summary>Cite this</summary>', format="html")
        return [opened, nodes.paragraph("", about["message"]), entry, nodes.raw("", "</details>", format="html")]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension with Sphinx."""
    app.add_directive("cite-this", CiteThis)
    if os.environ.get("GITHUB_REPOSITORY"):
        app.setup_extension("sphinxext.opengraph")
        app.connect("config-inited", address, priority=900)
        app.connect("html-page-context", launch_notebooks_only, priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
