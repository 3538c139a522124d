"""How fields are read: quantities, durations, and errors that name the field and the cure."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.core.policy import SelectPolicy
from controller.fields import Fields, Form, SpecError, duration, quantity, share

NAME = Form(pattern=re.compile(r"[a-z]+"), longest=5, words="a short name")


def fields(**values: object) -> Fields:
    return Fields.open("spec", values, *values)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("250", 250.0),
        ("12.5", 12.5),
        ("700m", 0.7),  # 700 * 1e-3 is 0.7000000000000001 in floats
        ("3u", 3e-6),
        ("1n", 1e-9),
        ("2k", 2_000.0),
        ("1.5M", 1_500_000.0),
        ("1P", 1e15),
        ("1E", 1e18),
        ("1Ki", 1_024.0),
        ("1Mi", 1_048_576.0),
        ("0.5Gi", 536_870_912.0),
        ("1e3", 1_000.0),
        ("1E3", 1_000.0),
        ("25e-2", 0.25),
    ],
)
def test_quantity(text: str, value: float) -> None:
    assert quantity(text) == value


@pytest.mark.parametrize(
    "text", ["", "m", "-1", "+1", "1.", ".5", "1K", "1mi", "1e", "1e3k", "1_000", "1 k", "inf", "\u0661"]
)
def test_not_a_quantity(text: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        quantity(text)


@given(st.integers(0, 10**12))
def test_a_thousand_small_ones_are_one(count: int) -> None:
    assert quantity(f"{count * 1000}m") == quantity(str(count)) == quantity(f"{count * 1000}000u")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0s", 0), ("90s", 90), ("2m", 120), ("1h30m", 5_400), ("250ms", 0.25), ("1m1s1ms", 61.001), ("5s1h", 3_605)],
)
def test_duration(text: str, seconds: float) -> None:
    assert duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "5", "m", "-2m", "1.5h", "1d", "2 m", "1h1h1h1h1h", "100000s"])
def test_not_a_duration(text: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        duration(text)


@given(st.integers(0, 9999), st.integers(0, 59), st.integers(0, 59))
def test_parts_of_a_duration_add_up(hours: int, minutes: int, seconds: int) -> None:
    assert duration(f"{hours}h{minutes}m{seconds}s") == timedelta(hours=hours, minutes=minutes, seconds=seconds)


@pytest.mark.parametrize(
    ("text", "value"), [("1%", 0.01), ("0.5%", 0.005), ("100%", 1.0), ("007%", 0.07), ("0.0001%", 1e-6), ("0%", 0.0)]
)
def test_share(text: str, value: float) -> None:
    assert share(text) == value


@pytest.mark.parametrize(
    "text", ["", "1", "%", "1 %", "-1%", ".5%", "1.%", "1e0%", "1000%", "0.00001%", "1%\n", "\u0661%"]
)
def test_not_a_share(text: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        share(text)


@given(st.integers(0, 9_999_999))
def test_a_share_is_the_float_nearest_to_what_was_written(millionths: int) -> None:
    whole, fraction = divmod(millionths, 10_000)
    assert share(f"{whole}.{fraction:04}%") == millionths / 1_000_000


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("maxReplica", "did you mean maxReplicas?"),
        ("MAXREPLICAS", "did you mean maxReplicas?"),
        ("colour", "known: mode"),
    ],
)
def test_an_unknown_field_is_answered_with_the_likely_one(name: str, hint: str) -> None:
    with pytest.raises(SpecError, match=rf"^spec\.{name}: unknown field.*{re.escape(hint)}"):
        Fields.open("spec", {name: 1}, "mode", "maxReplicas")


def test_a_missing_field_is_named() -> None:
    with pytest.raises(SpecError, match=r"^spec\.query: is required"):
        fields().text("query", NAME)


def test_an_inner_field_is_named_with_its_path() -> None:
    with pytest.raises(SpecError) as refused:
        fields(policies=[{"type": "a"}, {"type": 3}]).children("policies", "type", most=2)[1].text("type", NAME)
    assert refused.value.field == "spec.policies[1].type"


def test_null_counts_as_absent() -> None:
    assert "mode" not in fields(mode=None)


@pytest.mark.parametrize("value", [True, "3", 2.5, float("inf"), float("nan"), 0, 11, [3], {}])
def test_not_a_whole_number_within_bounds(value: object) -> None:
    with pytest.raises(SpecError, match=r"^spec\.size: must be a whole number from 1 to 10, not "):
        fields(size=value).integer("size", 1, 10)


@pytest.mark.parametrize("value", [True, "0.5", float("nan"), 0.4, 1.1])
def test_not_a_number_within_bounds(value: object) -> None:
    with pytest.raises(SpecError, match=r"^spec\.share: must be a number from 0.5 to 1"):
        fields(share=value).number("share", 0.5, 1, default=0.9)


@pytest.mark.parametrize("value", ["true", 1, 0, "yes"])
def test_not_true_or_false(value: object) -> None:
    with pytest.raises(SpecError, match=r"^spec\.hold: must be true or false without quotes"):
        fields(hold=value).flag("hold", default=True)


@pytest.mark.parametrize("value", ["", "Abc", "abcdef", "abc\n", 3, True])
def test_not_a_text_of_the_form(value: object) -> None:
    with pytest.raises(SpecError, match=r"^spec\.name: must be a short name, not "):
        fields(name=value).text("name", NAME)


def test_a_choice_in_the_wrong_case_is_answered_with_the_right_one() -> None:
    with pytest.raises(SpecError, match=r"must be one of Max, Min, Disabled, not 'max'; did you mean Max\?"):
        fields(select="max").choice("select", SelectPolicy)


def test_choices_are_as_many_as_by_default() -> None:
    default = (SelectPolicy.MAX, SelectPolicy.MIN)
    chosen = fields(select=["Min", "Min"]).choices("select", SelectPolicy, default=default)
    assert chosen == (SelectPolicy.MIN, SelectPolicy.MIN)
    assert fields().choices("select", SelectPolicy, default=default) == default


@pytest.mark.parametrize("value", ["Max", ["Max"], ["Max", "Min", "Max"], {"Max": "Min"}])
def test_not_a_list_of_as_many_choices(value: object) -> None:
    with pytest.raises(SpecError, match=r"^spec\.select: must be a list of 2 of Max, Min, Disabled, not "):
        fields(select=value).choices("select", SelectPolicy, default=(SelectPolicy.MAX, SelectPolicy.MIN))


def test_the_choice_that_is_none_is_named_by_its_place() -> None:
    with pytest.raises(SpecError, match=r"^spec\.select\[1\]: must be one of Max, Min, Disabled, not 'min'; .*Min\?"):
        fields(select=["Max", "min"]).choices("select", SelectPolicy, default=(SelectPolicy.MAX, SelectPolicy.MIN))


@pytest.mark.parametrize("value", ["9m", "599s", "2h1s", "soon", 600])
def test_not_a_duration_within_bounds(value: object) -> None:
    words = "must be a duration such as 90s or 2m, at least 10m and at most 2h, not "
    with pytest.raises(SpecError, match=rf"^spec\.length: {words}"):
        fields(length=value).duration("length", timedelta(hours=2), "1h", shortest=timedelta(minutes=10))


@pytest.mark.parametrize("value", ["10m", "2h"])
def test_a_duration_at_the_bounds(value: str) -> None:
    parsed = fields(length=value).duration("length", timedelta(hours=2), "1h", shortest=timedelta(minutes=10))
    assert parsed == duration(value)


@pytest.mark.parametrize("value", ["0%", "20.5%", "1", 1, 0.01, "one", True])
def test_not_a_share_within_bounds(value: object) -> None:
    with pytest.raises(
        SpecError, match=r'^spec\.short: must be a percentage above 0% and at most 20%, such as "1%", not '
    ):
        fields(short=value).share("short", most=20)


def test_a_fraction_is_answered_with_quotes() -> None:
    with pytest.raises(SpecError, match=r'^spec\.load: a fraction needs quotes: "0.5"'):
        fields(load=0.5).quantity("load")


def test_a_long_value_is_cut_in_the_message() -> None:
    with pytest.raises(SpecError) as refused:
        fields(name="x" * 10_000).text("name", NAME)
    assert len(str(refused.value)) < 200
