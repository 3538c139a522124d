"""Which families are there? By the names that the command line and the cards use.

A family is imported when it is first asked for: some need extras, and all of them together take seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

from training.families.family import Family, FitError, Progress

ENSEMBLE = "ensemble"
# Of an ensemble, unless told otherwise.
MEMBERS = ("seasonal-naive", "seasonal-naive-week", "ets", "sarima", "lightgbm", "lstm")


def _lightgbm(progress: Progress) -> Family:
    from training.families.lightgbm import LightGBM  # noqa: PLC0415

    return LightGBM(progress=progress)


def _pooled(progress: Progress) -> Family:
    from training.families.pooled import Pooled  # noqa: PLC0415

    return Pooled(progress=progress)


def _persistence(_progress: Progress) -> Family:
    from training.families.seasonal import PERSISTENCE  # noqa: PLC0415

    return PERSISTENCE


def _seasonal_naive(_progress: Progress) -> Family:
    from training.families.seasonal import SEASONAL_NAIVE  # noqa: PLC0415

    return SEASONAL_NAIVE


def _seasonal_naive_week(_progress: Progress) -> Family:
    from training.families.seasonal import SEASONAL_NAIVE_WEEK  # noqa: PLC0415

    return SEASONAL_NAIVE_WEEK


def _ets(progress: Progress) -> Family:
    from training.families.smoothing import Smoothing  # noqa: PLC0415

    return Smoothing(progress=progress)


def _prophet(progress: Progress) -> Family:
    from training.families.prophet import ProphetFamily  # noqa: PLC0415

    return ProphetFamily(progress=progress)


def _sarima(progress: Progress) -> Family:
    from training.families.sarima import Sarima  # noqa: PLC0415

    return Sarima(progress=progress)


def _lstm(progress: Progress) -> Family:
    try:
        from training.families.lstm import LSTM  # noqa: PLC0415
    except ImportError as error:
        raise FitError(
            f"the family lstm needs the extra deep ({error}); pip install 'predictive-scaler[training,deep]'"
        ) from error
    return LSTM(progress=progress)


def _ensemble(progress: Progress, members: Sequence[str] = MEMBERS) -> Family:
    from training.families.ensemble import Ensemble  # noqa: PLC0415

    for member in members:
        if member not in FAMILIES or member == ENSEMBLE:
            raise FitError(f"an ensemble cannot have {member!r} as a member; choose from {', '.join(FAMILIES)}")
    return Ensemble(members=members, find=family_of, progress=progress)


# In the order in which `auto` tries them: the quick ones first.
FAMILIES: dict[str, Callable[[Progress], Family]] = {
    "persistence": _persistence,
    "seasonal-naive": _seasonal_naive,
    "seasonal-naive-week": _seasonal_naive_week,
    "ets": _ets,
    "sarima": _sarima,
    "prophet": _prophet,
    "pooled": _pooled,
    "lightgbm": _lightgbm,
    "lstm": _lstm,
    ENSEMBLE: _ensemble,
}


# What each fits with beyond numpy; an ensemble with what its members do.
_LIBRARIES = {
    "ets": ("statsmodels",),
    "sarima": ("statsmodels",),
    "prophet": ("prophet",),
    "lightgbm": ("lightgbm",),
    "lstm": ("jax", "optax"),
    "pooled": ("lightgbm",),
    ENSEMBLE: ("statsmodels", "lightgbm", "jax", "optax"),
}


def libraries_of(family: str) -> dict[str, str]:
    """The versions of what a fit of the family depends on, by distribution; what is not installed is left out."""
    found = {}
    for name in ("numpy", "onnx", "onnxruntime", *_LIBRARIES.get(family, ())):
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def family_of(name: str, progress: Progress = lambda _done, _all: None, members: Sequence[str] = MEMBERS) -> Family:
    """The family called `name`, which tells `progress` how far its fit is. Raises FitError.

    `members`: of an ensemble.
    """
    if name == ENSEMBLE:
        return _ensemble(progress, members)
    if name not in FAMILIES:
        raise FitError(f"there is no family {name!r}; choose from {', '.join(FAMILIES)}")
    return FAMILIES[name](progress)
