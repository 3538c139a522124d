"""Do the links in the repository's own pages lead somewhere, as a forge shows them?

What lies elsewhere cannot be asked for here; its addresses are only checked for being addresses.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "models/*.md", "sandbox/*.md", "charts/*/*.md", "manifests/**/*.md")
    for path in ROOT.glob(pattern)
)
_FENCE = re.compile(r"^( *)(`{3,}).*?^\1\2`*$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`\n]+`")
_LINK = re.compile(r"!?\[[^\]]*\]\(([^()\s]+(?:\([^()\s]*\))?)\)")
_HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)
_HOST = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*\.[a-z]{2,}")


@cache
def _prose(page: Path) -> str:
    """The page without what is shown as code."""
    return _CODE.sub("code", _FENCE.sub("", page.read_text(encoding="utf-8")))


def _links(page: Path) -> list[str]:
    return _LINK.findall(_prose(page))


def _is_elsewhere(link: str) -> bool:
    return bool(urlsplit(link).scheme)


@cache
def _anchors(page: Path) -> frozenset[str]:
    """The anchors that a forge gives the headings: lower case, no punctuation, dashes for blanks, numbers for more."""
    found: set[str] = set()
    for heading in _HEADING.findall(_FENCE.sub("", page.read_text(encoding="utf-8"))):
        plain = (
            re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)).strip().lower().replace(" ", "-")
        )
        found.add(next(name for name in (plain, *(f"{plain}-{more}" for more in range(1, 99))) if name not in found))
    return frozenset(found)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_into_the_repository_lead_somewhere(page: Path) -> None:
    lost = [link for link in _links(page) if not _is_elsewhere(link) and not _leads_somewhere(page, link)]
    assert lost == []


def _leads_somewhere(page: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    if not target.is_relative_to(ROOT) or not target.exists():
        return False
    return not anchor or (target.suffix == ".md" and anchor in _anchors(target))


def test_addresses_elsewhere_are_addresses() -> None:
    """That they answer cannot be known here: no test asks the network."""
    found = {link for page in PAGES for link in _links(page) if _is_elsewhere(link)}
    assert len(found) > 10
    wrong = {
        link
        for link in found
        if urlsplit(link).scheme != "https" or not _HOST.fullmatch(urlsplit(link).hostname or "") or " " in link
    }
    assert wrong == set()


def test_a_broken_link_is_seen(tmp_path: Path) -> None:
    page = ROOT / "README.md"
    assert not _leads_somewhere(page, "docs/no-such-page.md")
    assert not _leads_somewhere(page, "docs/benchmarks.md#no-such-heading")
    assert _leads_somewhere(page, "docs/benchmarks.md#decisions")
