"""Tools are taken from where they are first found in a version that serves, and provided when they are nowhere."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox import toolchain
from sandbox.binaries import BinaryError, Search, cache_directory, version_of
from sandbox.processes import free_port
from sandbox.toolchain import Bundle, Checksums, Release, Tool
from tests.sandbox.release_server import serving

TOOL = Tool(name="tool", package="example.org/cmd/tool", oldest=(1, 2), too_new=(1, 4))
FAKE_GO = """#!/bin/sh
PATH=/usr/bin:/bin
[ "$1" = version ] && { echo "go version go1.26.1 linux/amd64"; exit; }
while [ "$1" != -o ]; do shift; done
printf '#!/bin/sh\\necho v1.3.0 built' > "$2/tool" && chmod +x "$2/tool"
"""
FAILING_GO = """#!/bin/sh
[ "$1" = version ] && { echo "go version go1.26.1 linux/amd64"; exit; }
echo "package example.org/cmd/tool: cannot find module"; exit 1
"""


def executable(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(script, encoding="utf-8")
    path.chmod(0o755)
    return path


def tool_at(directory: Path, version: str = "v1.2.9") -> Path:
    return executable(directory / "tool", f"#!/bin/sh\necho tool {version}\n")


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    """A bundle of one tool that nobody publishes."""
    monkeypatch.setattr(toolchain, "MODULES", tmp_path / "modules")
    made = Bundle(name="made", version="1.3.0", tools=(TOOL,), releases=(), usual_build=1)
    made.module.mkdir(parents=True)
    (made.module / "go.mod").write_text("module example.org\n\ngo 1.26.0\n", encoding="utf-8")
    return made


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def search(tmp_path: Path, bundle: Bundle, said: list[str]) -> Search:
    """Looks into `assets`, then `path`, then `cache`."""
    places = [tmp_path / "assets", tmp_path / "path"]
    return Search(cache=tmp_path / "cache", places=places, bundles=(bundle,), report=said.append)


@pytest.fixture
def go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH on which there is nothing but a Go that builds at once."""
    program = executable(tmp_path / "go" / "go", FAKE_GO)
    monkeypatch.setenv("PATH", str(program.parent))
    return program


@pytest.mark.parametrize(
    ("present", "taken"),
    [
        (["assets", "path", "cache/made-v1.3.0"], "assets"),
        (["path", "cache/made-v1.3.0"], "path"),
        (["cache/made-v1.3.0"], "cache/made-v1.3.0"),
    ],
)
def test_the_first_place_wins(tmp_path: Path, search: Search, present: list[str], taken: str) -> None:
    for place in present:
        tool_at(tmp_path / place)
    assert search.all() == {"tool": tmp_path / taken / "tool"}


@pytest.mark.parametrize("version", ["v1.1.9", "v1.4.0", "v2.2.0", "unknown"])
def test_a_version_that_does_not_serve_is_passed_by(tmp_path: Path, search: Search, version: str) -> None:
    tool_at(tmp_path / "assets", version)
    tool_at(tmp_path / "path", "v1.3.0")
    assert search.all() == {"tool": tmp_path / "path" / "tool"}


@pytest.mark.usefixtures("go")
def test_what_is_nowhere_is_built_into_the_cache(tmp_path: Path, search: Search) -> None:
    assert version_of(TOOL, search.all()["tool"]) == (1, 3)
    assert [entry.name for entry in (tmp_path / "cache" / "made-v1.3.0").iterdir()] == ["tool"]


@pytest.mark.usefixtures("go")
def test_a_build_says_what_it_builds_and_how_long_that_takes(search: Search, said: list[str]) -> None:
    search.all()
    assert said[0] == "building tool 1.3.0 from Go modules (usually 1 minutes, once)"


def test_what_was_built_once_is_not_built_again(search: Search, go: Path) -> None:
    first = search.all()
    go.unlink()
    assert search.all() == first


def test_two_at_once_build_once(tmp_path: Path, search: Search, go: Path) -> None:
    executable(go, FAKE_GO.replace("while", f"echo built >> {tmp_path}/builds; sleep 0.3; while", 1))
    with ThreadPoolExecutor() as both:
        first, second = both.map(lambda _: search.all(), range(2))
    assert first == second
    assert (tmp_path / "builds").read_text(encoding="utf-8") == "built\n"


@pytest.mark.usefixtures("go")
def test_what_a_killed_build_left_is_removed(tmp_path: Path, search: Search) -> None:
    (tmp_path / "cache" / "made-v1.3.0" / ".build-x").mkdir(parents=True)
    search.all()
    assert [entry.name for entry in (tmp_path / "cache" / "made-v1.3.0").iterdir()] == ["tool"]


def test_a_failed_build_quotes_its_log(search: Search, go: Path) -> None:
    executable(go, FAILING_GO)
    with pytest.raises(BinaryError, match=r"made-v1.3.0.build.log:\npackage example.org/cmd/tool: cannot find module"):
        search.all()


def test_without_go_the_error_says_which_go_to_install(search: Search, go: Path) -> None:
    go.unlink()
    with pytest.raises(
        BinaryError, match=r"tool: not in KUBEBUILDER_ASSETS, PATH or .* there is no Go: install Go 1.26"
    ):
        search.all()


def test_a_go_that_cannot_fetch_a_newer_one_is_refused(search: Search, go: Path) -> None:
    executable(go, "#!/bin/sh\necho go version go1.19.8 linux/amd64\n")
    with pytest.raises(BinaryError, match=r"go1.19.8 .* install Go 1.26"):
        search.all()


def published(address: str, bundle: Bundle) -> Bundle:
    url = f"{address}/tool"
    release = Release(tools=("tool",), url=url, checksum_url=f"{url}.sha256", checksums=Checksums.DIGEST)
    return replace(bundle, releases=(release,))


def search_among(search: Search, bundle: Bundle) -> Search:
    return replace(search, bundles=(bundle,), answering={})


@pytest.mark.usefixtures("go")
@pytest.mark.parametrize(("checksum_of", "outcome"), [(b"right", b"right"), (b"wrong", b"built")])
def test_a_release_is_preferred_to_a_build_when_its_checksum_is_right(
    search: Search, bundle: Bundle, checksum_of: bytes, outcome: bytes
) -> None:
    files = {"/tool": b"right", "/tool.sha256": hashlib.sha256(checksum_of).hexdigest().encode()}
    with serving(files) as address:
        found = search_among(search, published(address, bundle)).all()
    assert found["tool"].read_bytes().endswith(outcome)


@pytest.mark.usefixtures("go")
def test_without_a_network_one_line_says_so_and_the_build_follows(
    search: Search, bundle: Bundle, said: list[str]
) -> None:
    silent = f"http://127.0.0.1:{free_port()}"
    search_among(search, published(silent, bundle)).all()
    assert said[0] == f"no answer from {silent}: what they publish is built from source"


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"PREDICTIVE_SCALER_CACHE": "/c", "XDG_CACHE_HOME": "/x", "HOME": "/h"}, "/c/toolchain"),
        ({"XDG_CACHE_HOME": "/x", "HOME": "/h"}, "/x/predictive-scaler/toolchain"),
        ({"HOME": "/h"}, "/h/.cache/predictive-scaler/toolchain"),
    ],
)
def test_the_cache_is_where_the_user_keeps_caches(environment: dict[str, str], expected: str) -> None:
    assert cache_directory(environment) == Path(expected)


def test_kubebuilder_assets_come_before_path() -> None:
    search = Search.from_environment({"KUBEBUILDER_ASSETS": "/k", "PATH": "/a:/b", "HOME": "/h"})
    assert search.places == [Path("/k"), Path("/a"), Path("/b")]
