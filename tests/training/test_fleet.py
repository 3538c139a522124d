"""Does every series of a fleet get its model, once, whatever happens to the others?"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
from aiohttp import web
from numpy.typing import NDArray

from controller.forecaster import load_model
from controller.ports import MetricError
from controller.sources.prometheus import fetch_label
from tests.servers.loopback import serve
from tests.servers.prometheus import FakePrometheus
from tests.training import small
from tests.training.shell import invoke
from training import fleet, roster
from training.families.catalogue import FAMILIES
from training.fleet import FleetError, Order, Outcome
from training.member import Member
from training.roster import RosterError, Share

pytestmark = pytest.mark.slow

NOW = datetime(2024, 2, 1, tzinfo=UTC)
HOURLY = {"step": small.HOUR, "season": small.DAY, "horizon": 6 * small.HOUR, "clean": "off"}
DEFAULTS = "defaults: {step: 1h, season: 1d, horizon: 6h, family: seasonal-naive, clean: off}\n"


def member(name: str = "web", data: str = "generated:1", family: str = "seasonal-naive", **changes: Any) -> Member:
    return Member(**{"name": name, "data": data, "family": family, **HOURLY, **changes})


def order(out: Path, *about: Any, **changes: Any) -> Order:
    return Order(member=member(*about, **changes), out=out, now=NOW)


def written(folder: Path, text: str) -> Path:
    path = folder / "fleet.yaml"
    path.write_text(text)
    return path


def members(folder: Path, text: str) -> tuple[Member, ...]:
    return roster.spread(written(folder, text), NOW).members


def table(path: Path, values_by: dict[str, NDArray[np.float64]]) -> Path:
    """Hourly values by column, up to the end of the trace."""
    count = len(next(iter(values_by.values())))
    hours = [(small.END - back * small.HOUR).isoformat() for back in range(count, 0, -1)]
    frame = pl.DataFrame({"timestamp": hours, **values_by})
    if path.suffix == ".csv":
        frame.write_csv(path)
    else:
        frame.write_parquet(path)
    return path


def wide(folder: Path, names: list[str], *, suffix: str = ".csv") -> Path:
    """A table with a column for each name."""
    return table(folder / f"loads{suffix}", {name: small.trace(seed).values for seed, name in enumerate(names)})


def test_fields_are_those_of_fit_and_entries_override_defaults(tmp_path: Path) -> None:
    text = """
        defaults: {data: loads.csv, step: 5m, family: seasonal-naive, time-zone: UTC}
        series:
          - {name: shop, column: shop, time-zone: Europe/Berlin, test-from: 2024-01-20, clean: zscore, calendar: c.ics}
          - {column: search, step: 1h, horizon: 12h, data: /elsewhere/loads.csv}
    """
    shop, search = members(tmp_path, text)

    assert shop == Member(
        name="shop",
        data=str(tmp_path / "loads.csv"),
        column="shop",
        family="seasonal-naive",
        zone=ZoneInfo("Europe/Berlin"),
        test_from=datetime(2024, 1, 20, tzinfo=UTC),
        clean="zscore",
        calendar=str(tmp_path / "c.ics"),
    )
    assert (search.name, search.data, search.step, search.horizon) == (
        "search",
        "/elsewhere/loads.csv",
        timedelta(hours=1),
        timedelta(hours=12),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("series: []", "series: must be a list with at least one entry"),
        ("- a", "write `defaults:`, a mapping, and `series:`, a list"),
        ("series: [{name: a, data: 'generated:1'}]\nfamily: lightgbm", "and nothing else"),
        ("series: {a: b", "is not YAML"),
        ("defaults: [a]\nseries: [{name: a}]", "defaults: must be a mapping"),
        ("series: [web]", "series 1: must be a mapping of fields"),
        ("series: [{name: a}]", "series 1 (a): data: is missing"),
        ("series: [{name: a, data: x.csv, hue: red}]", "series 1 (a): there is no field 'hue'"),
        ("series: [{name: a, data: x.csv, step: 7}]", "series 1 (a): step: '7' is not a duration"),
        ("series: [{name: a, data: x.csv, step: 7m}]", "series 1 (a): step, season, horizon: the season"),
        ("series: [{name: a, data: x.csv, column: [b]}]", "series 1 (a): column: must be a text"),
        ("series: [{name: a, data: x.csv, family: oracle}]", "series 1 (a): family: there is no family 'oracle'"),
        ("series: [{name: a, data: x.csv, time-zone: Mars}]", "series 1 (a): time-zone: 'Mars' is not a time zone"),
        ("series: [{name: a, data: x.csv, clean: well}]", "series 1 (a): clean: 'well' is none of off, zscore"),
        ("series: [{name: a/b, data: x.csv}]", "series 1 (a/b): name: 'a/b' is no model's name"),
        ("series: [{data: x.csv}]", "series 1: name: '' is no model's name"),
        ("series: [{name: a, data: x.csv}, {name: a, data: y.csv}]", "several series have the name a"),
        ("series: [{name: a, data: x.csv, columns: 'b*'}]", "series 1 (a): name: must hold {}"),
        ("series: [{data: x.csv, by: app}]", "series 1: by: needs a query and data: prometheus"),
        ("series: [{data: 'prometheus://p:9', by: app-x, query: up}]", "by: 'app-x' is not a label's name"),
        ("series: [{data: 'prometheus://p:9', by: app, columns: a, query: up}]", "columns: cannot stand beside by"),
        ("series: [{name: a, data: 'prometheus://p:9'}]", "series 1 (a): query: is missing"),
    ],
)
def test_what_cannot_be_meant_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(RosterError) as refused:
        roster.read(written(tmp_path, text))
    assert message in str(refused.value)
    assert "fleet.yaml" in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_columns_become_series(tmp_path: Path, suffix: str) -> None:
    data = wide(tmp_path, ["shop-a", "shop b", "search"], suffix=suffix)

    found = members(tmp_path, DEFAULTS + f"series: [{{name: 'm-{{}}', columns: 'shop*', data: {data.name}}}]")

    assert [(each.name, each.column) for each in found] == [("m-shop-a", "shop-a"), ("m-shop-b", "shop b")]


def test_names_made_of_columns_may_not_meet(tmp_path: Path) -> None:
    wide(tmp_path, ["shop/a", "shop a"])

    with pytest.raises(RosterError, match="several series have the name shop-a"):
        members(tmp_path, DEFAULTS + "series: [{columns: '*', data: loads.csv}]")


def test_an_entry_without_columns_is_lost_and_the_others_stay(tmp_path: Path) -> None:
    wide(tmp_path, ["shop"])
    entries = "{columns: 'x*', data: loads.csv}, {name: 'y-{}', columns: '*', data: no.csv}, {name: a, data: z}"

    found = roster.spread(written(tmp_path, f"{DEFAULTS}series: [{entries}]"), NOW)

    assert [each.name for each in found.members] == ["a"]
    assert {name: why.split(":")[0] for name, why in found.lost.items()} == {
        "{}": f"no column of {tmp_path / 'loads.csv'} is like 'x*'; it has shop",
        "y-{}": f"the columns of {tmp_path / 'no.csv'} cannot be read",
    }


def vector(*metrics: dict[str, str]) -> web.Response:
    result = [{"metric": metric, "value": [0, "1"]} for metric in metrics]
    return web.json_response({"status": "success", "data": {"resultType": "vector", "result": result}})


def labelled(monkeypatch: pytest.MonkeyPatch, *values: str) -> list[str]:
    """From now on Prometheus knows these values; the queries that it is asked."""
    asked = []

    async def fetch(address: str, query: str, label: str, now: datetime) -> list[str]:
        asked.append(f"{address} {query} {label} {now:%Y}")
        return list(values)

    monkeypatch.setattr(roster, "fetch_label", fetch)
    return asked


@pytest.mark.parametrize(
    ("query", "every", "queries"),
    [
        (
            'sum by (app) (rate(r{app=~"$app"}[5m]))',
            'sum by (app) (rate(r{app=~".+"}[5m]))',
            ['sum by (app) (rate(r{app=~"a\\\\.b"}[5m]))', 'sum by (app) (rate(r{app=~"shop"}[5m]))'],
        ),
        (
            "sum by (app) (load)",
            "sum by (app) (load)",
            [
                f'(sum by (app) (load)) and on (app) label_replace(vector(1), "app", "{app}", "", "")'
                for app in ("a.b", "shop")
            ],
        ),
    ],
)
def test_values_of_a_label_become_series(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, query: str, every: str, queries: list[str]
) -> None:
    asked = labelled(monkeypatch, "a.b", "shop")

    entry = json.dumps({"name": "app-{}", "data": "prometheus+https://p:9090/x", "by": "app", "query": query})
    found = members(tmp_path, DEFAULTS + f"series: [{entry}]")

    assert asked == [f"https://p:9090/x {every} app 2024"]
    assert [(each.name, each.query) for each in found] == list(zip(["app-a.b", "app-shop"], queries, strict=True))


async def test_values_are_those_that_prometheus_knows_now() -> None:
    metrics = [{"app": "shop"}, {}, {"app": ""}, {"app": "a"}, {"app": "shop"}]
    fake = FakePrometheus(raw={"query": lambda: vector(*metrics)})

    async with serve(fake.handle) as address:
        assert await fetch_label(address, "sum by (app) (load)", "app", NOW) == ["a", "shop"]

    (asked,) = fake.of("query")
    assert asked.form["query"] == "group by (app) (sum by (app) (load))"
    assert int(asked.form["limit"]) >= 10_000


async def test_a_scalar_has_no_labels() -> None:
    answer = {"status": "success", "data": {"resultType": "scalar", "result": [0, "1"]}}
    fake = FakePrometheus(raw={"query": lambda: web.json_response(answer)})

    async with serve(fake.handle) as address:
        with pytest.raises(MetricError, match="a scalar"):
            await fetch_label(address, "1", "app", NOW)


def test_shares_part_a_fleet_evenly_and_keep_to_it() -> None:
    names = [f"app-{number}" for number in range(1000)]
    shares = [[name for name in names if Share(index=index, of=4).has(name)] for index in range(4)]

    assert sorted(name for share in shares for name in share) == sorted(names)
    assert all(200 < len(share) < 300 for share in shares)
    assert shares[0][:2] == ["app-5", "app-7"]  # by a digest of the name, the same on every machine


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, Share()),
        ({"JOB_COMPLETION_INDEX": "2", "JOB_COMPLETIONS": "4"}, Share(index=2, of=4)),
        ({"JOB_COMPLETION_INDEX": "2"}, Share()),
    ],
)
def test_a_pod_of_an_indexed_job_knows_its_share(environment: dict[str, str], expected: Share) -> None:
    assert Share.of_pod(environment) == expected


@pytest.mark.parametrize("text", ["4/4", "-1/4", "1", "a/b", "0/0"])
def test_a_share_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(RosterError, match="share"):
        Share.parse(text)


def test_a_model_is_fitted_once(tmp_path: Path) -> None:
    first = fleet.fit_one(order(tmp_path))
    before = (tmp_path / "web.onnx").read_bytes()
    second = fleet.fit_one(order(tmp_path))

    assert (first.verdict, first.family, second.verdict) == ("fitted", "seasonal-naive", "kept")
    assert (tmp_path / "web.onnx").read_bytes() == before
    assert first.seconds > 0
    assert first.peak > 2**20


@pytest.mark.parametrize(
    "changes",
    [
        {"data": "generated:2"},
        {"family": "persistence"},
        {"horizon": 3 * small.HOUR},
        {"zone": ZoneInfo("Asia/Tokyo")},
        {"unit": "requests"},
        {"clean": "zscore"},
        {"test_from": small.END - 5 * small.DAY},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_model_of_other_data_or_settings_is_fitted_anew(tmp_path: Path, changes: dict[str, Any]) -> None:
    fleet.fit_one(order(tmp_path))

    assert fleet.fit_one(order(tmp_path, **changes)).verdict == "fitted"
    assert fleet.fit_one(order(tmp_path, **changes)).verdict == "kept"


def test_a_model_is_fitted_anew_on_demand_and_when_it_is_broken(tmp_path: Path) -> None:
    fleet.fit_one(order(tmp_path))
    forced = fleet.fit_one(replace(order(tmp_path), is_forced=True))
    (tmp_path / "web.onnx").write_bytes(b"half a mod")
    mended = fleet.fit_one(order(tmp_path))

    assert (forced.verdict, mended.verdict) == ("fitted", "fitted")
    assert load_model(tmp_path / "web.onnx").card.inputs


def test_naive_stands_in_for_what_loses_to_it(tmp_path: Path) -> None:
    zigzag = np.tile([100.0, 300.0, 500.0, 100.0], 9 * 6)  # as nothing before it, and the same each day
    values = np.concatenate([small.noise().values[: 40 * 24], zigzag])
    table(tmp_path / "noise.csv", {"load": values})

    found = fleet.fit_one(order(tmp_path, data=str(tmp_path / "noise.csv"), family="lightgbm"))

    assert found.verdict == "fitted", found.why
    assert found.family in {"persistence", "seasonal-naive", "seasonal-naive-week"}
    assert found.why == "lightgbm lost to naive"


def test_auto_leaves_the_choice_to_a_comparison(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quick = {name: FAMILIES[name] for name in ("persistence", "seasonal-naive-week")}
    monkeypatch.setattr("training.member.FAMILIES", quick)

    found = fleet.fit_one(order(tmp_path, family="auto", budget=timedelta(hours=1)))

    assert (found.verdict, found.family, found.why) == (
        "fitted",
        "seasonal-naive-week",
        "seasonal-naive-week is the best",
    )
    assert fleet.fit_one(order(tmp_path, family="auto")).verdict == "kept"


def test_a_calendar_goes_into_the_model_and_a_changed_one_into_another(tmp_path: Path) -> None:
    calendar = tmp_path / "events.yaml"
    sale = "{name: sale, start: 2024-02-10, end: 2024-02-11, impact: high, multiplier: %s}"
    calendar.write_text(f"time_zone: UTC\nevents: [{sale % 2}]\n")
    first = fleet.fit_one(order(tmp_path, calendar=str(calendar)))
    again = fleet.fit_one(order(tmp_path, calendar=str(calendar)))
    calendar.write_text(f"time_zone: UTC\nevents: [{sale % 3}]\n")
    changed = fleet.fit_one(order(tmp_path, calendar=str(calendar)))

    assert [each.verdict for each in (first, again, changed)] == ["fitted", "kept", "fitted"], first.why


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"data": "absent.csv"}, "absent.csv cannot be read"),
        ({"family": "lightgbm", "since": small.END - 4 * small.DAY}, "give more history"),
        ({"since": small.END - small.DAY}, "learning and testing need 3"),
        ({"calendar": "absent.ics"}, "absent.ics cannot be read"),
    ],
)
def test_a_series_that_cannot_be_fitted_is_a_failed_row(tmp_path: Path, changes: dict[str, Any], why: str) -> None:
    found = fleet.fit_one(order(tmp_path, **changes))

    assert found.verdict == "failed"
    assert why in found.why
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_run_leaves_nothing_half_done_and_is_continued(tmp_path: Path) -> None:
    orders = [order(tmp_path, f"s{seed}", f"generated:{seed}") for seed in range(3)]
    (tmp_path / ".s1.onnx.abc").touch()  # what a killed process leaves
    (tmp_path / ".other.onnx.abc").touch()  # another pod's, at work

    run = fleet.fit_each(orders, processes=1)
    first = next(run)
    run.close()  # type: ignore[attr-defined]  # it is a generator
    found = list(fleet.fit_each(orders, processes=2))

    assert {each.name: each.verdict for each in found}[first.name] == "kept"
    assert {each.verdict for each in found} <= {"fitted", "kept"}
    assert sorted(each.name for each in tmp_path.iterdir()) == [".other.onnx.abc", "s0.onnx", "s1.onnx", "s2.onnx"]


@pytest.fixture(scope="module")
def one_for_all(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Outcome]]:
    folder = tmp_path_factory.mktemp("global")
    orders = [order(folder, f"s{seed}", f"generated:{seed}") for seed in range(3)]
    orders.append(order(folder, "gone", "absent.csv"))
    return folder, list(fleet.fit_global(orders, "all", processes=2))


def test_one_model_of_all_series_is_judged_on_each(one_for_all: tuple[Path, list[Outcome]]) -> None:
    found = {each.name: each for each in one_for_all[1]}

    assert {name: each.verdict for name, each in found.items()} == {
        "gone": "failed",
        **dict.fromkeys(["s0", "s1", "s2"], "fitted"),
    }
    assert all(each.skill is not None and each.skill > 0.1 for name, each in found.items() if name != "gone")


def test_the_card_of_a_model_of_all_says_so(one_for_all: tuple[Path, list[Outcome]]) -> None:
    folder, _ = one_for_all
    card = load_model(folder / "all.onnx").card

    assert [each.name for each in folder.iterdir()] == ["all.onnx"]
    assert card.family == "pooled"
    assert card.trained is not None
    assert card.trained.samples == 3 * 24 * 24  # four of the 28 days are for the test
    assert card.scores["fleet"]["series"] == card.scores["fleet"]["better_than_naive"] == 3


def test_one_model_has_one_window(tmp_path: Path) -> None:
    orders = [order(tmp_path, "a"), order(tmp_path, "b", horizon=small.HOUR)]

    with pytest.raises(FleetError, match="those of a and b differ"):
        list(fleet.fit_global(orders, "all", processes=1))


def test_the_command_line_fits_a_fleet_and_tells_what_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, DEFAULTS + "series: [{name: a, data: 'generated:1'}, {name: b, data: absent.csv}]")
    out, told = tmp_path / "models", tmp_path / "told.json"
    out.mkdir()

    code = invoke(monkeypatch, "fit", "--fleet", str(path), "--out", str(out), "--workers", "1", "--json", str(told))

    assert code == 1
    assert "2 series" in (printed := capsys.readouterr().out)
    assert "1 fitted, 0 kept, 1 failed" in printed
    assert {row["name"]: row["verdict"] for row in json.loads(told.read_text())} == {"a": "fitted", "b": "failed"}
    assert [each.name for each in out.iterdir()] == ["a.onnx"]


def test_a_pod_fits_its_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("cart", "search", "shop", "web")
    entries = ", ".join(f"{{name: {name}, data: 'generated:1'}}" for name in names)
    path = written(tmp_path, DEFAULTS + f"series: [{entries}]")
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "1")
    monkeypatch.setenv("JOB_COMPLETIONS", "2")

    assert invoke(monkeypatch, "fit", "--fleet", str(path), "--out", str(tmp_path), "--workers", "1") == 0
    fitted = {each.stem for each in tmp_path.glob("*.onnx")}
    assert fitted == {name for name in names if Share(index=1, of=2).has(name)}
    assert 0 < len(fitted) < len(names)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "absent"], "there is no directory absent"),
        (["--out", ".", "--share", "5/2"], "share 5/2"),
        (["--out", ".", "--share", "0/2", "--global", "all"], "cannot be shared out"),
        (["--out", "."], "fleet.yaml cannot be read"),
    ],
)
def test_what_the_user_can_mend_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)

    assert invoke(monkeypatch, "fit", "--fleet", "fleet.yaml", *arguments) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("error: ")
    assert shown.count("\n") == 1
    assert message in shown
