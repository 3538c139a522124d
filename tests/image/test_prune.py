"""Only what a rule lists goes, each package's RECORD tells what is left, and a rule that fits nothing is an error."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image.prune import RULES, PruneError, Rule, matches, prune, read

ROOT = Path(__file__).parents[2]
NAMES = st.text(alphabet="ab.", min_size=1, max_size=3)
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
RULE = Rule(of="numpy", why="Tests.", paths=("numpy/**/tests/**",))


def install(library: Path, name: str, *paths: str) -> None:
    """A package as an installer leaves it."""
    own = f"{name}-1.0.dist-info/RECORD"
    for path in paths:
        (library / path).parent.mkdir(parents=True, exist_ok=True)
        (library / path).write_text("content")
    (library / own).parent.mkdir()
    with (library / own).open("w", newline="") as lines:
        csv.writer(lines).writerows([*([path, "sha256=x", "7"] for path in paths), [own, "", ""]])


def recorded(library: Path, name: str) -> set[str]:
    with (library / f"{name}-1.0.dist-info/RECORD").open(newline="") as lines:
        return {entry[0] for entry in csv.reader(lines)}


def present(library: Path) -> set[str]:
    return {str(path.relative_to(library)) for path in library.rglob("*") if path.is_file()}


@pytest.fixture
def library(tmp_path: Path) -> Path:
    install(tmp_path, "numpy", "numpy/core.py", "numpy/a/tests/test_a.py", "numpy/tests/deep/b.py", "numpy/tests.py")
    install(tmp_path, "yaml", "yaml/tests/kept.py", "yaml/__init__.py")
    return tmp_path


def test_what_a_rule_lists_goes_and_the_rest_stays(library: Path) -> None:
    [taken] = prune(library, [RULE])

    assert (taken.files, taken.bytes) == (2, 14)
    assert {path for path in present(library) if path.startswith("numpy/")} == {"numpy/core.py", "numpy/tests.py"}
    assert "yaml/tests/kept.py" in present(library)


def test_records_tell_of_what_is_there_and_of_nothing_else(library: Path) -> None:
    prune(library, [RULE])
    assert recorded(library, "numpy") | recorded(library, "yaml") == present(library)


def test_no_empty_folder_is_left(library: Path) -> None:
    prune(library, [RULE])
    assert not (library / "numpy/tests").exists()
    assert not (library / "numpy/a").exists()


def test_a_rule_for_all_packages_takes_from_each(library: Path) -> None:
    prune(library, [Rule(of="*", why="Tests.", paths=("**/tests/**",))])
    assert not [path for path in present(library) if "/tests/" in path]


def test_what_is_kept_wins(library: Path) -> None:
    prune(library, [Rule(of="numpy", why="Tests.", paths=("numpy/**/tests/**",), keep=("**/b.py",))])
    assert "numpy/tests/deep/b.py" in present(library)


def test_two_rules_may_take_the_same_file(library: Path) -> None:
    first, second = prune(library, [RULE, Rule(of="*", why="Tests.", paths=("**/tests/**",))])
    assert (first.files, second.files) == (2, 1)


@pytest.mark.parametrize(
    "rule",
    [
        Rule(of="numpy", why="", paths=("numpy/gone/**",)),
        Rule(of="numpy", why="", paths=("numpy/core.py",), keep=("numpy/gone.py",)),
        Rule(of="gone", why="", paths=("**",)),
        Rule(of="numpy", why="", paths=("yaml/__init__.py",)),
    ],
)
def test_a_rule_that_fits_nothing_is_an_error_and_nothing_goes(library: Path, rule: Rule) -> None:
    before = present(library)
    with pytest.raises(PruneError, match=r"change image/surplus\.toml"):
        prune(library, [RULE, rule])
    assert present(library) == before


def test_a_record_that_is_linked_to_a_cache_stays_as_it_is_there(
    library: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    record = library / "numpy-1.0.dist-info/RECORD"
    cached = tmp_path_factory.mktemp("cache") / "RECORD"
    cached.hardlink_to(record)
    text = cached.read_text()

    prune(library, [RULE])

    assert cached.read_text() == text != record.read_text()


def test_a_folder_without_packages_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PruneError, match="holds no installed package"):
        prune(tmp_path, [RULE])


@pytest.mark.parametrize("text", ["", "[[surplus]]\nof = 'a'", "[[surplus]]\nof = 'a'\nwhy = 'b'\npaths = 1", "["])
def test_a_list_that_is_not_whole_is_refused(text: str) -> None:
    with pytest.raises(PruneError, match="has of, why, paths"):
        read(text)


def test_every_shipped_rule_names_a_locked_package_and_says_why() -> None:
    rules = read(RULES.read_text())
    locked = set(re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements-controller.lock").read_text(), re.MULTILINE))

    assert {rule.of for rule in rules} - {"*"} <= locked
    assert all(rule.why.endswith(".") and rule.paths for rule in rules)


def like(parts: list[str], pattern: list[str]) -> bool:
    """The oracle: `**` eats any number of folders, as the last one also the file; `*` one name, of any letters."""
    if not pattern:
        return not parts
    if pattern == ["**"]:
        return bool(parts)
    if pattern[0] == "**":
        return any(like(parts[at:], pattern[1:]) for at in range(len(parts)))
    return bool(parts) and pattern[0] in {"*", parts[0]} and like(parts[1:], pattern[1:])


@given(path=PATHS, pattern=st.lists(st.sampled_from(["a", "b", "*", "**", "a.b"]), min_size=1, max_size=4))
def test_patterns_match_as_told(path: str, pattern: list[str]) -> None:
    assert matches(path, ["/".join(pattern)]) == like(path.split("/"), pattern)


@given(path=PATHS)
def test_a_path_matches_itself_and_no_letter_is_special(path: str) -> None:
    assert matches(path, [path])
    assert not matches(path.replace(".", "x") + "y", [path])
