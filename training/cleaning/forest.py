"""How easily is each step set apart from all others? An isolation forest on what deviates.

After Liu, Ting and Zhou 2008, "Isolation Forest". The only file that knows scikit-learn. Must not decide what is odd.
"""

from __future__ import annotations

import numpy as np

from training.cleaning.deviations import Deviations, Floats

_TREES, _SAMPLES, _SEED = 300, 512, 1
_TAIL, _TAIL_NORMAL = 0.95, 1.96  # scores are counted in units in which this quantile lies where a normal one has it


def isolation(deviations: Deviations) -> Floats:
    """Of each step, above the median score, with the sign of its deviation; [n], 0 where not recorded."""
    from sklearn.ensemble import IsolationForest  # noqa: PLC0415  # takes a second, and most runs do without

    columns = [deviations.single, deviations.sustained, deviations.change, deviations.unrest]
    features = np.nan_to_num(np.stack(columns, axis=1))
    # A random cut between the extremes would otherwise only ever tell the farthest value from all others.
    features = np.sign(features) * np.log1p(np.abs(features))
    is_known = np.isfinite(deviations.single)
    samples = min(_SAMPLES, int(is_known.sum()))
    forest = IsolationForest(n_estimators=_TREES, max_samples=samples, random_state=_SEED, n_jobs=1)
    score = np.zeros(len(features))
    score[is_known] = _above(-forest.fit(features[is_known]).score_samples(features[is_known]))
    return np.where(deviations.far < 0, -score, score)


def _above(score: Floats) -> Floats:
    middle, tail = np.quantile(score, [0.5, _TAIL])
    return (score - middle) / (tail - middle) * _TAIL_NORMAL if tail > middle else np.zeros_like(score)
