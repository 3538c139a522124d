"""Does a window end at its origin, and does what came begin after it?"""

from __future__ import annotations

from datetime import UTC, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from controller.core.series import Series
from tests.training.small import DAY, END, HOUR, series_of
from training.windows import Window, WindowError, futures, histories, origins

_TINY = Window(step=HOUR, season=DAY, context=3, horizon=2)
_COUNTED = series_of(np.arange(5.0))


def test_a_history_ends_with_its_own_step() -> None:
    np.testing.assert_array_equal(histories(_COUNTED, _TINY)[[0, 4]], [[np.nan, np.nan, 0], [2, 3, 4]])


def test_a_future_begins_with_the_next_step() -> None:
    np.testing.assert_array_equal(futures(_COUNTED, _TINY)[[0, 3, 4]], [[1, 2], [4, np.nan], [np.nan, np.nan]])


def test_an_origin_is_the_local_end_of_its_step() -> None:
    utc, berlin = origins(_COUNTED, UTC), origins(_COUNTED, ZoneInfo("Europe/Berlin"))

    assert utc[-1] == END.timestamp()
    np.testing.assert_array_equal(berlin - utc, 3600)


@pytest.mark.parametrize(
    ("step", "seasons"),
    [
        (timedelta(hours=1), 7),
        (timedelta(minutes=5), 7),
        (timedelta(minutes=1), 7),
        (timedelta(seconds=15), 2),
        (timedelta(seconds=1), 1),
    ],
)
def test_the_context_is_a_week_unless_that_is_too_many_steps(step: timedelta, seasons: int) -> None:
    window = Window.fitting(step=step, season=DAY, horizon=HOUR)

    assert (window.seasons, window.context) == (seasons, seasons * (DAY // step))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"step": timedelta(seconds=0.5)}, "whole seconds"),
        ({"step": timedelta(0)}, "whole seconds"),
        ({"step": timedelta(hours=7)}, "multiple of the step"),
        ({"step": DAY}, "multiple of the step"),
        ({"horizon": timedelta(minutes=90)}, "horizon .* multiple of the step"),
        ({"horizon": timedelta(0)}, "horizon"),
        ({"horizon": 8 * DAY}, "longer than the context"),
    ],
)
def test_what_does_not_fit_together_is_refused(changes: dict[str, timedelta], message: str) -> None:
    with pytest.raises(WindowError, match=message):
        Window.fitting(**{"step": HOUR, "season": DAY, "horizon": HOUR, **changes})


def test_an_empty_series_has_no_windows() -> None:
    empty = Series(end=END, step=HOUR, values=np.empty(0))

    assert len(histories(empty, _TINY)) == len(futures(empty, _TINY)) == len(origins(empty, UTC)) == 0
