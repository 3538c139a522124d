"""When does each alert fire, and when not? Series as promtool has them, a minute apart, and what must come of them.

`1x9` is a 1 ten times, `_` a scrape in which the series is not there, `stale` the end of a series.
"""

from __future__ import annotations

from dataclasses import dataclass

SCALER = {"namespace": "shop", "scaler": "web"}
Labels = dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """After `at` minutes the alert fires with each of these labels, and with no others."""

    alert: str
    name: str
    series: dict[str, str]
    at: int
    fires: tuple[Labels, ...] = ()


def of(metric: str, pod: str = "a", **labels: str) -> str:
    """A series of the scaler shop/web as replica `pod` tells it."""
    return own(metric, pod, **SCALER, **labels)


def own(metric: str, pod: str = "a", **labels: str) -> str:
    """A series of the replica itself."""
    scraped = {"pod": pod, "instance": f"{pod}:8080", "job": "predictive-scaler"}
    return selector(f"predictive_scaler_{metric}", labels | scraped)


def selector(name: str, labels: Labels) -> str:
    """A series by its name and labels."""
    found = ", ".join(f'{label}="{value}"' for label, value in labels.items())
    return f"{name}{{{found}}}"


def condition(type_: str, status: str, reason: str, pod: str = "a") -> str:
    """The reason of a condition."""
    return of("condition_reason", pod, type=type_, status=status, reason=reason)


WEB = (SCALER,)
STANDBY = {own("build_info", "b", release="0.1.0"): "1x90", own("scalers", "b"): "1x90"}
"""The other replica, which holds nothing and tells nothing of any scaler."""


def _by_reason(alert: str, hold: int, bad: tuple[str, str, str], good: tuple[str, str, str]) -> tuple[Case, ...]:
    """What holds for every alert about the reason of a condition. `hold`: minutes."""
    long = hold + 30
    return (
        Case(alert=alert, name="fires", series=STANDBY | {condition(*bad): f"1x{long}"}, at=hold + 1, fires=WEB),
        Case(alert=alert, name="too-short", series={condition(*bad): f"1x{long}"}, at=hold - 1),
        Case(alert=alert, name="another-reason", series={condition(*good): f"1x{long}"}, at=hold + 1),
        Case(alert=alert, name="absent", series=STANDBY, at=hold + 1),
        Case(alert=alert, name="nan", series={condition(*bad): f"NaNx{long}"}, at=hold + 1),
        Case(
            alert=alert,
            name="cured",
            series={condition(*bad): f"1x{hold + 3} stale", condition(*good): f"_x{hold + 3} 1x20"},
            at=hold + 15,
        ),
        Case(  # both tell it for a scrape: one alert, which goes on
            alert=alert,
            name="changes-hands",
            series={condition(*bad): f"1x{hold + 2} stale", condition(*bad, "b"): f"_x{hold + 1} 1x20"},
            at=hold + 4,
            fires=WEB,
        ),
        Case(  # a restart is no cure: it fires on while the series are away for two minutes
            alert=alert,
            name="restarts",
            series={condition(*bad): f"1x{hold + 2} stale _ 1x20"},
            at=hold + 4,
            fires=WEB,
        ),
    )


def _sized(load: str, mode: str = "Active", most: str = "10") -> dict[str, str]:
    """A scaler whose replicas serve 5 each, and 5.5 without being too few."""
    return {
        of("demand_load", source="decided"): load,
        of("replica_load"): "5x90",
        of("replica_limit_load"): "5.5x90",
        of("replicas_bound", bound="max"): f"{most}x90",
        of("info", mode=mode, kind="Deployment", target="web", model="default 1"): "1x90",
    }


def _covered(held: str, nominal: str = "0.9") -> dict[str, str]:
    return {of("forecast_coverage_ratio"): held, of("forecast_coverage_nominal_ratio"): f"{nominal}x400"}


def _ticked(times: str, interval: str = "15") -> dict[str, str]:
    return {of("tick_timestamp_seconds"): times, of("tick_interval_seconds"): f"{interval}x90"}


def _lag(late: int) -> dict[str, str]:
    """A hundred ticks a minute, of which `late` begin 5 to 10 s late, the others at once."""
    return {
        own("tick_lag_seconds_bucket", le="0.001"): f"0+{100 - late}x60",
        own("tick_lag_seconds_bucket", le="5.0"): f"0+{100 - late}x60",
        own("tick_lag_seconds_bucket", le="10.0"): "0+100x60",
        own("tick_lag_seconds_bucket", le="+Inf"): "0+100x60",
    }


_BUG = of("errors_total", step="decide", reason="InternalError")
_AT = {"step": "decide"}

CASES = (
    *_by_reason("SpecInvalid", 5, ("Ready", "False", "SpecInvalid"), ("Ready", "False", "MetricEmpty")),
    *_by_reason(
        "MetricsMissing", 5, ("MetricsAvailable", "False", "MetricEmpty"), ("MetricsAvailable", "Unknown", "Paused")
    ),
    *_by_reason("TargetOwned", 10, ("AbleToScale", "False", "TargetOwned"), ("AbleToScale", "True", "TargetAtBound")),
    *_by_reason("AnotherController", 15, ("Ready", "True", "AnotherController"), ("Ready", "True", "Scaling")),
    *_by_reason(
        "NotAbleToScale",
        10,
        ("AbleToScale", "False", "TargetForbidden"),
        ("AbleToScale", "False", "TargetScaledToZero"),
    ),
    *_by_reason("ObjectiveMissed", 60, ("Ready", "True", "ObjectiveMissed"), ("Ready", "True", "Scaling")),
    *_by_reason(
        "ForecastLosing", 360, ("Forecasting", "False", "LosingToNaive"), ("Forecasting", "False", "ReactingIsCheaper")
    ),
    *_by_reason("ModelUnusable", 30, ("Forecasting", "False", "ModelFile"), ("Forecasting", "False", "NoForecast")),
    Case(alert="AtMax", name="fires", series=_sized("56x90"), at=16, fires=WEB),
    Case(alert="AtMax", name="experiments", series=_sized("56x90", mode="Experiment"), at=16, fires=WEB),
    Case(alert="AtMax", name="within-tolerance", series=_sized("54x90"), at=16),
    Case(alert="AtMax", name="only-watches", series=_sized("56x90", mode="Observe"), at=16),
    Case(alert="AtMax", name="load-unknown", series=_sized("NaNx90"), at=16),
    Case(alert="AtMax", name="absent", series=STANDBY, at=16),
    Case(alert="AtMax", name="a-short-peak", series=_sized("56x9 20x80"), at=16),
    Case(alert="CoverageOff", name="fires", series=_covered("0.7x400"), at=361, fires=WEB),
    Case(alert="CoverageOff", name="near-enough", series=_covered("0.76x400"), at=361),
    Case(alert="CoverageOff", name="rare-misses", series=_covered("0.92x400", "0.99"), at=361, fires=WEB),
    Case(alert="CoverageOff", name="too-high-is-no-danger", series=_covered("1x400", "0.5"), at=361),
    Case(alert="CoverageOff", name="not-known-yet", series=_covered("NaNx400"), at=361),
    Case(alert="CoverageOff", name="absent", series=STANDBY, at=361),
    Case(alert="Stuck", name="fires", series=_ticked("0x90"), at=10, fires=WEB),
    Case(alert="Stuck", name="ticks", series=_ticked("0+60x90"), at=30),
    Case(alert="Stuck", name="slow-by-its-spec", series=_ticked("0x90", "3600"), at=60),
    Case(alert="Stuck", name="refused", series=_ticked("0x90", "NaN"), at=60),
    Case(alert="Stuck", name="held-by-another-now", series=_ticked("0x3 stale"), at=30),
    Case(
        alert="Stuck",
        name="the-newest-tick-counts",
        series=_ticked("0x90") | {of("tick_timestamp_seconds", "b"): "0+60x90"},
        at=30,
    ),
    Case(alert="ControllerDown", name="never-there", series={}, at=6, fires=({},)),
    Case(alert="ControllerDown", name="gone", series={own("build_info"): "1x9 stale"}, at=16, fires=({},)),
    Case(alert="ControllerDown", name="one-is-left", series=STANDBY | {own("build_info"): "1x9 stale"}, at=30),
    Case(alert="ControllerDown", name="restarts", series={own("build_info"): "1x9 stale _ _ 1x60"}, at=14),
    Case(
        alert="Unserved",
        name="fires",
        series=STANDBY | {own("scalers"): "2x90"} | _ticked("0+60x90"),
        at=6,
        fires=({"job": "predictive-scaler"},),
    ),
    Case(
        alert="Unserved",
        name="nobody-holds-any",
        series=STANDBY | {own("scalers"): "1x90"},
        at=6,
        fires=({"job": "predictive-scaler"},),
    ),
    Case(alert="Unserved", name="all-served", series=STANDBY | {own("scalers"): "1x90"} | _ticked("0+60x90"), at=30),
    Case(
        alert="Unserved",
        name="two-tell-of-one",
        series=STANDBY | {own("scalers"): "1x90", of("tick_timestamp_seconds", "b"): "0+60x90"} | _ticked("0+60x90"),
        at=30,
    ),
    Case(alert="Unserved", name="there-are-none", series={own("scalers"): "0x90"}, at=30),
    Case(alert="Unserved", name="absent", series={}, at=30),
    Case(
        alert="Unserved",
        name="changes-hands",
        series=STANDBY | {own("scalers"): "1x90", of("tick_timestamp_seconds"): "0+60x20 stale _ 1320+60x60"},
        at=24,
    ),
    Case(
        alert="WatchesSilent",
        name="fires",
        series={own("watches_silent"): "0x9 1x30", own("watches_silent", "b"): "0x90"},
        at=16,
        fires=({"job": "predictive-scaler"},),
    ),
    Case(alert="WatchesSilent", name="too-short", series={own("watches_silent"): "0x9 2x30"}, at=14),
    Case(alert="WatchesSilent", name="well", series={own("watches_silent"): "0x90"}, at=30),
    Case(alert="WatchesSilent", name="for-a-moment", series={own("watches_silent"): "0x9 1x3 0x60"}, at=30),
    Case(alert="WatchesSilent", name="cured", series={own("watches_silent"): "1x20 0x60"}, at=30),
    Case(  # one that restarts has not listed three times yet, which is no cure
        alert="WatchesSilent",
        name="restarts",
        series={own("watches_silent"): "1x9 stale _ 0x60"},
        at=12,
        fires=({"job": "predictive-scaler"},),
    ),
    Case(alert="WatchesSilent", name="absent", series={own("build_info"): "1x90"}, at=30),
    Case(alert="TickLag", name="fires", series=_lag(3), at=30, fires=({"job": "predictive-scaler"},)),
    Case(alert="TickLag", name="hardly-any", series=_lag(0), at=30),
    Case(alert="TickLag", name="nothing-ticks", series={own("tick_lag_seconds_bucket", le="+Inf"): "0x60"}, at=30),
    Case(alert="TickLag", name="absent", series=STANDBY, at=30),
    Case(alert="InternalError", name="the-first", series={_BUG: "_x20 1x60"}, at=22, fires=(SCALER | _AT,)),
    Case(alert="InternalError", name="another", series={_BUG: "1x20 2x60"}, at=22, fires=(SCALER | _AT,)),
    Case(alert="InternalError", name="long-ago", series={_BUG: "1x90"}, at=60),
    Case(alert="InternalError", name="absent", series=STANDBY, at=30),
    Case(
        alert="InternalError",
        name="of-another-kind",
        series={of("errors_total", step="act", reason="TargetConflict"): "0+1x60"},
        at=30,
    ),
)
