"""Is the built site whole, and does it need nothing from anywhere else?"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from website import hook

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
_CSS_URL = re.compile(r"""url\(\s*["']?([^"')]+)|@import\s+["']([^"']+)""")
_FETCHED = {
    "script": "src",
    "img": "src",
    "source": "src",
    "iframe": "src",
    "video": "src",
    "object": "data",
    "link": "href",
}
"""What a browser fetches by itself; a link is only followed."""
_NO_LIST = re.compile(r"\s*(?:[-*] |\|)")


@dataclass(kw_only=True)
class _Page(HTMLParser):
    """What a page fetches and links to, what can be linked to in it, and the text of its paragraphs."""

    file: Path
    fetched: list[str] = field(default_factory=list)
    followed: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)
    classes: set[str] = field(default_factory=set)
    silent: list[str] = field(default_factory=list)
    paragraphs: list[str] = field(default_factory=list)
    styles: str = ""
    _open: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.file.read_text(encoding="utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.classes.update(given.get("class", "").split())
        self.anchors.update({given.get("id", ""), given.get("name", "")} - {""})
        if address := given.get(_FETCHED.get(tag, ""), ""):
            self.fetched.append(address)
        if tag == "a" and given.get("href"):
            self.followed.append(given["href"])
        if tag == "img" and not given.get("alt"):
            self.silent.append(given.get("src", ""))
        if tag in {"p", "li"}:
            self.paragraphs.append("")
        if tag in {"p", "li", "pre", "style"}:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._open and self._open[-1] == tag:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        inside = self._open[-1] if self._open else ""
        if inside in {"p", "li"}:
            self.paragraphs[-1] += data
        elif inside == "style":
            self.styles += data


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `make docs` builds it: a link, an anchor or a page in no navigation is an error."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "SITE_URL": "", "SITE_REPOSITORY": ""}
    built = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=250, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


@pytest.fixture(scope="session")
def pages(site: Path) -> dict[Path, _Page]:
    found = {file: _Page(file=file) for file in sorted(site.rglob("*.html"))}
    assert len(found) > 40
    return found


def _is_elsewhere(address: str) -> bool:
    return bool(urlsplit(address).netloc)


def _css(text: str) -> list[str]:
    return [match[1] or match[2] for match in _CSS_URL.finditer(text)]


def test_nothing_is_fetched_from_elsewhere(site: Path, pages: dict[Path, _Page]) -> None:
    asked = [(file, address) for file, page in pages.items() for address in (*page.fetched, *_css(page.styles))]
    sheets = [(file, address) for file in site.rglob("*.css") for address in _css(file.read_text(encoding="utf-8"))]
    assert len(asked) > len(pages)
    assert [(file, address) for file, address in (*asked, *sheets) if _is_elsewhere(address)] == []


def test_no_diagram_needs_a_script_from_elsewhere(pages: dict[Path, _Page]) -> None:
    """Material fetches mermaid from a CDN as soon as a page has such a diagram."""
    assert [file for file, page in pages.items() if "mermaid" in page.classes] == []


def test_every_link_leads_somewhere(site: Path, pages: dict[Path, _Page]) -> None:
    """Also those in raw HTML, which MkDocs does not look at."""
    lost = [
        f"{file.relative_to(site)}: {link}"
        for file, page in pages.items()
        if file.name != "404.html"  # which is shown at any address, so its links begin at the root
        for link in (*page.followed, *page.fetched)
        if not _is_elsewhere(link) and not _leads_somewhere(file, link, pages)
    ]
    assert lost == []


def _leads_somewhere(file: Path, link: str, pages: dict[Path, _Page]) -> bool:
    parts = urlsplit(link)
    place = (file.parent / unquote(parts.path)).resolve() if parts.path else file
    target = place / "index.html" if place.is_dir() else place
    if target not in pages:
        return target.is_file()
    return not parts.fragment or unquote(parts.fragment) in pages[target].anchors


def test_lists_and_tables_are_lists_and_tables(site: Path, pages: dict[Path, _Page]) -> None:
    """Forges take a list without a blank line before it, and the site does not."""
    broken = [
        f"{file.relative_to(site)}: {line}"
        for file, page in pages.items()
        for paragraph in page.paragraphs
        for line in paragraph.splitlines()[1:]
        if _NO_LIST.match(line)
    ]
    assert broken == []


def test_every_picture_says_what_it_shows(pages: dict[Path, _Page]) -> None:
    assert {file: page.silent for file, page in pages.items() if page.silent} == {}


def test_what_lies_outside_of_docs_is_shown(site: Path, pages: dict[Path, _Page]) -> None:
    shown = (site / "repository/manifests/examples/observe.yaml/index.html").read_text(encoding="utf-8")
    assert "A trial that changes nothing" in shown
    assert "../../repository/models/" in pages[site / "guide/doctor/index.html"].followed


@pytest.mark.parametrize(
    "path",
    ["docs/guide/aws.md", "models/README.md", "manifests/examples", "manifests/examples/observe.yaml", "Dockerfile"],
)
def test_a_page_knows_what_it_shows(path: str) -> None:
    assert hook.source_of(hook.uri_of(path)).removesuffix("/README.md") == path.removesuffix("/README.md")


@pytest.mark.parametrize(
    ("source", "link", "led"),
    [
        ("docs/guide/aws.md", "lead-time.md#of-an-auto-scaling-group", "lead-time.md#of-an-auto-scaling-group"),
        ("docs/guide/aws.md", "../../manifests/examples", "../repository/manifests/examples/README.md"),
        (
            "docs/guide/aws.md",
            "../../manifests/examples/aws-group.yaml",
            "../repository/manifests/examples/aws-group.yaml.md",
        ),
        ("docs/benchmarks.md", "../models/README.md#the-default", "repository/models/README.md#the-default"),
        ("models/README.md", "../docs/guide/model-places.md", "../../guide/model-places.md"),
        ("docs/guide/aws.md", "../../no/such/file", "../../no/such/file"),
        ("docs/guide/aws.md", "https://kubernetes.io/docs", "https://kubernetes.io/docs"),
        ("docs/guide/aws.md", "#who-asks", "#who-asks"),
    ],
)
def test_a_link_is_led(source: str, link: str, led: str) -> None:
    assert hook.relinked(f"see [it]({link}).", source) == f"see [it]({led})."


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("So:\n- one\n- two", "So:\n\n- one\n- two"),
        ("So:\n1. one\n2. two", "So:\n\n1. one\n2. two"),
        ("So:\n\n- one\n  more\n- two", "So:\n\n- one\n  more\n- two"),
        ("it was\n8. Nothing more", "it was\n8. Nothing more"),
        ("```\nSo:\n- one\n```\nSo:\n- one", "```\nSo:\n- one\n```\nSo:\n\n- one"),
        ("# So\n- one", "# So\n- one"),
    ],
)
def test_a_list_needs_no_blank_line(written: str, shown: str) -> None:
    assert hook.spaced(written) == shown


def test_a_star_is_all_that_is_not_named(tmp_path: Path) -> None:
    (tmp_path / "guide").mkdir()
    for name in ("b.md", "a.md", "README.md", "named.md"):
        (tmp_path / "guide" / name).touch()
    nav = ["index.md", {"Guide": ["guide/*", {"More": "guide/named.md"}]}, {"None": ["nothing/*"]}]

    found = hook.expanded(nav, tmp_path)

    assert found == ["index.md", {"Guide": ["guide/README.md", "guide/a.md", "guide/b.md", {"More": "guide/named.md"}]}]
