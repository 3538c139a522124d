"""How does the site reach what lies outside of docs/, and which pages are in its navigation?

Pages are written for forges; here they become what the site takes.
Pages link to files of the repository by relative paths, as forges want them. Each such file is shown on the site as a
page below `repository/`, so that a link works in both places and nobody has to know where the repository is hosted.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
DOCS = "docs"
SHOWN = "repository"
_LINK = re.compile(r"(?<=\]\()([^()\s]+)(?=\))")
_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|[#/]", re.IGNORECASE)
_FIRST_ITEM = re.compile(r"[-*] |1\. ")
_PROSE = re.compile(r"(?![-*] |\d+\. |[#|<])\S")
_LANGUAGES = {".yaml": "yaml", ".yml": "yaml", ".json": "json", ".toml": "toml", ".py": "python", ".sh": "sh"}
_NOT_SEARCHED = "---\nsearch: {exclude: true}\n---\n\n"
_STAR = "/*"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Fill in the parts of the navigation that stand for all pages of a folder."""
    config.nav = expanded(config.nav or [], Path(config.docs_dir))
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for every file of the repository that a page links to."""
    for path in sorted(outside({DOCS + "/" + file.src_uri for file in files.documentation_pages()})):
        files.append(_shown(path, config))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point links at where the files are on the site, and lists out as the site's Markdown needs them."""
    del config, files
    source = source_of(page.file.src_uri)
    is_page = source.endswith(".md") and (ROOT / source).is_file()
    return relinked(spaced(markdown), source) if is_page else markdown


def expanded(nav: Sequence[Any], docs: Path) -> list[Any]:
    """`nav` with `folder/*` replaced by the pages of that folder that it does not name, README first."""
    named = set(_named(nav))
    return [item for item in (_expanded(each, docs, named) for each in nav) if item]


def _expanded(item: Any, docs: Path, named: set[str]) -> Any:  # noqa: ANN401  # as the YAML has it
    if not isinstance(item, dict):
        return item
    ((title, inside),) = item.items()
    if isinstance(inside, str):
        return item
    pages: list[Any] = []
    for each in inside:
        if isinstance(each, str) and each.endswith(_STAR):
            pages += [page for page in _pages(each.removesuffix(_STAR), docs) if page not in named]
        else:
            pages.append(_expanded(each, docs, named))
    return {title: pages} if any(pages) else None


def _pages(folder: str, docs: Path) -> list[str]:
    found = (path.name for path in (docs / folder).glob("*.md"))
    return [f"{folder}/{name}" for name in sorted(found, key=lambda name: (name != "README.md", name))]


def _named(nav: Sequence[Any]) -> Iterator[str]:
    for item in nav:
        inside = next(iter(item.values())) if isinstance(item, dict) else item
        if isinstance(inside, str):
            yield inside
        else:
            yield from _named(inside)


def outside(pages: set[str]) -> set[str]:
    """All paths of the repository outside of docs/ that `pages` link to, and those that these link to in turn."""
    found: set[str] = set()
    waiting = list(pages)
    while waiting:
        linked = set(_linked(waiting.pop())) - found
        found |= linked
        waiting += linked
    return found


def _linked(path: str) -> Iterator[str]:
    """What is linked to outside of docs/ by the page that shows `path`."""
    place = ROOT / path
    if place.is_dir():
        yield from (f"{path}/{name}" for name in _listed(place))
    elif path.endswith(".md") and place.is_file():
        for link in _LINK.findall(place.read_text(encoding="utf-8")):
            if (target := _target(link, path)) and not _is_in_docs(target[0]):
                yield _readme_of(target[0])


def relinked(markdown: str, source: str) -> str:
    """`markdown` of the file `source` with each link to a file of the repository led to where the site has it."""

    def led(match: re.Match[str]) -> str:
        target = _target(match[0], source)
        if target is None:
            return match[0]
        path, anchor = target
        return posixpath.relpath(uri_of(_readme_of(path)), posixpath.dirname(uri_of(source))) + anchor

    return _LINK.sub(led, markdown)


def spaced(markdown: str) -> str:
    """`markdown` with a blank line before each list that follows a paragraph, which forges do without."""
    lines: list[str] = []
    is_code = False
    for line in markdown.split("\n"):
        is_code ^= line.lstrip().startswith("```")
        if not is_code and lines and _FIRST_ITEM.match(line) and _PROSE.match(lines[-1]):
            lines.append("")
        lines.append(line)
    return "\n".join(lines)


def _target(link: str, source: str) -> tuple[str, str] | None:
    """The path of the repository that `link` in `source` means, and its anchor; None where it means none."""
    if _ELSEWHERE.match(link):
        return None
    address, hash_, anchor = link.partition("#")
    path = posixpath.normpath(posixpath.join(posixpath.dirname(source), address))
    return (path, hash_ + anchor) if not path.startswith("..") and (ROOT / path).exists() else None


def _readme_of(path: str) -> str:
    """The page of a folder is its README, where it has one."""
    readme = posixpath.join(path, "README.md")
    return readme if (ROOT / readme).is_file() else path


def _is_in_docs(path: str) -> bool:
    return path == DOCS or path.startswith(DOCS + "/")


def uri_of(path: str) -> str:
    """Where the site has the file or folder `path` of the repository, as a path below docs/."""
    if _is_in_docs(path):
        return posixpath.relpath(path, DOCS)
    place = ROOT / path
    if place.is_dir():
        return f"{SHOWN}/{path}/README.md"
    return f"{SHOWN}/{path}" if path.endswith(".md") or _text(place) is None else f"{SHOWN}/{path}.md"


def source_of(uri: str) -> str:
    """The file of the repository that the page at `uri` shows; as `uri_of`, the other way."""
    if not uri.startswith(SHOWN + "/"):
        return f"{DOCS}/{uri}"
    path = uri.removeprefix(SHOWN + "/")
    return path if (ROOT / path).is_file() else path.removesuffix(".md").removesuffix("/README")


def _shown(path: str, config: MkDocsConfig) -> File:
    place, uri = ROOT / path, uri_of(path)
    text = None if place.is_dir() else _text(place)
    if place.is_file() and text is None:
        return File.generated(config, uri, abs_src_path=str(place), inclusion=InclusionLevel.NOT_IN_NAV)
    content = _folder(path) if text is None else text if path.endswith(".md") else _code(path, text)
    return File.generated(config, uri, content=content, inclusion=InclusionLevel.NOT_IN_NAV)


def _folder(path: str) -> str:
    entries = "".join(f"- [{name}]({_beside(f'{path}/{name}', path)})\n" for name in _listed(ROOT / path))
    return f"{_NOT_SEARCHED}# {path}\n\nA folder of the repository.\n\n{entries}"


def _beside(path: str, folder: str) -> str:
    return posixpath.relpath(uri_of(path), f"{SHOWN}/{folder}")


def _code(path: str, text: str) -> str:
    shown = f"`````{_language(path)}\n{text.rstrip()}\n`````\n"
    return f"{_NOT_SEARCHED}# {posixpath.basename(path)}\n\n`{path}` of the repository.\n\n{shown}"


def _language(path: str) -> str:
    return _LANGUAGES.get(posixpath.splitext(path)[1], "docker" if path.endswith("Dockerfile") else "text")


def _listed(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith((".", "__")))


def _text(place: Path) -> str | None:
    """None where it is no text."""
    try:
        return place.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None
