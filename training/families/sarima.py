"""What do the last steps say about the next, if the load swings back to what is usual? Regression with ARMA errors.

The season and the week are Fourier terms, fitted first; the remainder is an ARMA process, as statsmodels' state space
form has it. A state for each step of a season would be the textbook's way, and cannot be fitted at five minutes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import tzinfo

import numpy as np
from statsmodels.tsa.statespace.sarimax import SARIMAX, SARIMAXResults
from threadpoolctl import threadpool_limits

from controller.core.series import Series
from training.families.affine import fit_affine
from training.families.family import FitError, Fitted, Progress
from training.families.scaled import Scaled
from training.measures import Floats
from training.windows import Window

# How many autoregressive and moving average terms are tried. None is differenced: level and week have taken away what
# does not come back, and a root near one is found where something lasts.
_ORDERS = ((1, 0), (2, 0), (1, 1), (2, 1), (3, 1), (2, 2))
_ROUNDS = 50  # of the search for the parameters


@dataclass(frozen=True, slots=True, kw_only=True)
class Sarima:
    """`progress` is told how many of the orders are tried."""

    name: str = "sarima"
    orders: tuple[tuple[int, int], ...] = _ORDERS
    progress: Progress = lambda _done, _all: None

    def fit(self, series: Series, window: Window, zone: tzinfo) -> Fitted:
        """The order by its one-step errors on the last fifth, a band from there too. Raises FitError."""
        candidates = [Order(autoregressive=p, moving=q) for p, q in self.orders]
        # Matrices of a few rows: threads that wait for one another spend 15 times the time of one alone.
        with threadpool_limits(1, "blas"):
            return fit_affine(self.name, candidates, Scaled.of(series, window, zone), self.progress)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An ARMA process without parameters."""

    autoregressive: int
    moving: int

    def fit(self, remainder: Floats, _window: Window) -> _Arma:
        """By maximum likelihood; steps that are not recorded are known to the filter as such."""
        order = (self.autoregressive, 0, self.moving)
        try:
            found = SARIMAX(remainder, order=order, concentrate_scale=True).fit(
                disp=False, maxiter=_ROUNDS, cov_type="none"
            )
        except (ValueError, np.linalg.LinAlgError) as error:
            raise FitError(f"no parameters can be found for the order {order}: {error}") from error
        if not np.isfinite(found.params).all():
            raise FitError(f"no parameters can be found for the order {order}")
        return _Arma(found=found)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Arma:
    """A fitted ARMA process."""

    found: SARIMAXResults

    @property
    def parameters(self) -> int:
        """With the scale."""
        return len(self.found.params) + 1

    def errors(self, remainder: Floats) -> Floats:
        """Of the filter; NaN where not recorded."""
        came = np.asarray(self._filtered(remainder).filter_results.forecasts_error[0], np.float64)
        return np.where(np.isfinite(remainder), came, np.nan)

    def forecast(self, remainder: Floats, horizon: int) -> Floats:
        """As statsmodels has it."""
        return np.asarray(self._filtered(remainder).forecast(horizon), np.float64)

    def kernel(self, window: Window) -> Floats:
        """Backwards through the filter's gains, which do not depend on the values; what unit impulses give as well."""
        impulse = np.eye(1, window.context)[0]  # of zeros alone the scale would be zero
        filtered = self._filtered(impulse).filter_results
        design, transition = filtered.design[..., 0], filtered.transition[..., 0]
        rows = [design[0]]
        for _ in range(window.horizon - 1):
            rows.append(rows[-1] @ transition)
        reading, columns = np.stack(rows), []
        for gain in np.moveaxis(filtered.kalman_gain, -1, 0)[::-1]:
            columns.append(reading @ gain[:, 0])
            reading = reading @ (transition - gain @ design)
        return np.stack(columns[::-1], axis=1)

    def _filtered(self, values: Floats) -> SARIMAXResults:
        """The same process on other values."""
        return self.found.model.clone(values).filter(self.found.params)
