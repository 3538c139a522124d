"""The HPA that `simulate` compares with is the HPA: sizes of Kubernetes' own controller, sync by sync.

The answers were given by the HorizontalController of kube-controller-manager (tests/golden/hpa, which tells how), for
HPAs whose one metric is a total load with an averageValue. Where we differ on purpose, DIFFERENCES says so, and why.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from controller.core.decide import decide
from controller.core.memory import Memory
from controller.core.policy import Policy
from controller.core.series import Series
from controller.spec import parse
from sandbox import toolchain
from tests.builders import NOW, seen, series, unseen
from tests.contracts.specs import SMALLEST
from tests.golden.hpa import cases
from tests.golden.hpa.cases import Case
from training.simulate import hpa, reactive, replay

SYNC = timedelta(seconds=cases.SYNC_SECONDS)
GOLDEN = cases.read()
CASES = cases.named(GOLDEN.cases)

Sizes = tuple[int, ...]

DIFFERENCES: Mapping[str, Mapping[str, tuple[int, Sizes]]] = {
    # why: {case: (the first sync that differs, our sizes from there to the last one that differs)}
    "Within a gap the size that is held counts as wished for when it comes to shrinking, so that window is as long "
    "after a gap as before it; the HPA keeps its last wishes, and after a gap as long as the window shrinks at once": {
        "a minute down / a gap before a fall": (7, (10, 10, 10)),
        "a minute down / a long gap": (19, (10, 10, 10)),
    },
    "A size beyond the bounds: the HPA first steps to the bound, and looks at the load and at its rates a sync later; "
    "we do both at once": {
        "default, set to 1": (3, (5,)),
        "default, set to 30": (3, (5,)),
        "at once, set to 1": (3, (5,)),
        "at once, set to 30": (3, (5,)),
        "a minute up, set to 1": (3, (5,)),
        "a minute up, set to 30": (3, (5,)),
        "never down, set to 1": (3, (5,)),
        "never up, set to 30": (3, (5,)),
        "from 1": (0, (5,)),
    },
    "Rates count what others did to the size as well (docs/decisions/0004), so their change can be undone at once; the "
    "HPA knows its own changes only": {
        "4 pods a minute, set to 1": (3, (5,)),
        "4 pods a minute, set to 30": (3, (5, 5, 5, 5, 5, 5, 5, 5)),
        "10% a minute, set to 1": (3, (5, 5, 5, 5, 5)),
        "10% a minute, set to 2": (3, (5, 5, 5, 5, 5)),
        "10% a minute, set to 9": (3, (5, 5, 5, 5, 5, 5, 5, 5)),
        "10% a minute, set to 30": (3, (5, 5, 5, 5, 5, 5, 5, 5)),
    },
    "Where the periods of the two directions differ, we remember changes for the longer one; in the HPA a new change "
    "overwrites one older than its own direction's longest period, though the other direction still asks for it": {
        "slow down, fast up / up for a while from 5": (6, (4, 4, 4, 4)),
        "slow up, fast down / down for a while from 25": (6, (29, 29, 29, 29)),
    },
    "We count the replicas that are asked for; the HPA those in the target's status, so a tolerable surge is made "
    "the size": {
        "surge of 1": (3, (10, 10, 10, 10, 10, 10, 10)),
    },
    "An HPA without any `behavior` is another program: it grows to twice the size or to 4, and its window holds the "
    "highest wish even where that is above the size, so it goes on growing after a burst is over; our defaults are "
    "those of `behavior: {}`": {
        "absent / a thing of a moment": (3, (20, 20, 20, 20, 20, 20)),
        "absent / from 1": (0, (5, 10)),
    },
    "A negative load is no load: we hold. The HPA takes a negative external metric for an overflow and asks for all it "
    "may; a negative object metric is less than nothing, and it asks for the least": {
        "negative, External": (2, (8, 8, 8)),
        "negative, Object": (2, (8, 8, 8)),
    },
    "The HPA rounds loads and targets up to thousandths: 12.5 of them become 13, and a billionth becomes one": {
        "12.5 thousandths each": (1, (6, 8, 10, 11, 22, 40)),
        "billionths": (1, (5, 5)),
    },
}
DISTURBED = [case.name for case in GOLDEN.cases if case.outside or case.surge]
UNDISTURBED = [name for name in CASES if name not in DISTURBED]
SWEPT = [  # the sweep knows the default behavior, and begins within the bounds
    name
    for name in UNDISTURBED
    if CASES[name].behavior == "default" and CASES[name].low <= CASES[name].initial <= CASES[name].high
]
OURS = {name: ours for differences in DIFFERENCES.values() for name, ours in differences.items()}


def policy_of(case: Case) -> Policy:
    """As a user would write it: our own defaults fill in what Kubernetes' admission filled in for the HPA."""
    behavior = GOLDEN.behaviors[case.behavior]
    spec = {
        **SMALLEST,
        "minReplicas": case.low,
        "maxReplicas": case.high,
        "metric": {"prometheus": {"query": "q"}, "targetPerReplica": str(case.average)},
        **({} if behavior is None else {"behavior": behavior}),
    }
    return reactive(parse(spec).policy)


def sizes_amid_others(case: Case) -> Iterator[int]:
    policy, outside = policy_of(case), dict(case.outside)
    size, memory = case.initial, Memory()
    for sync, load in enumerate(GOLDEN.loads[case.loads]):
        now = NOW + sync * SYNC
        size = outside.get(sync, size)
        decision, memory = decide(now, unseen() if load is None else seen(load, now), None, size, policy, memory)
        size = decision.replicas
        yield size


def expected(case: Case) -> Sizes:
    sizes = GOLDEN.sizes[case.name]
    first, ours = OURS.get(case.name, (0, ()))
    return sizes[:first] + ours + sizes[first + len(ours) :]


@pytest.mark.parametrize("name", OURS)
def test_a_difference_begins_and_ends_where_it_is_said_to(name: str) -> None:
    first, ours = OURS[name]
    theirs = GOLDEN.sizes[name][first : first + len(ours)]
    assert theirs[0] != ours[0]
    assert theirs[-1] != ours[-1]


@pytest.mark.parametrize("name", UNDISTURBED)
def test_a_replay_leaves_the_sizes_that_the_hpa_leaves(name: str) -> None:
    case = CASES[name]
    first, metric = loads_of(case)
    capacity = replay(metric, policy_of(case), startup=timedelta(0), initial=case.initial, before=first)
    assert tuple(capacity.desired.tolist()) == expected(case)


@pytest.mark.parametrize("name", DISTURBED)
def test_decisions_amid_others_leave_the_sizes_that_the_hpa_leaves(name: str) -> None:
    assert tuple(sizes_amid_others(CASES[name])) == expected(CASES[name])


@pytest.mark.parametrize("name", SWEPT)
def test_many_hpas_at_once_leave_the_sizes_that_the_hpa_leaves(name: str) -> None:
    case = CASES[name]
    first, metric = loads_of(case)
    targets = np.array([case.average, 2 * case.average])
    asked = hpa.sizes(metric, targets, initial=case.initial, lowest=case.low, highest=case.high, before=first)
    assert tuple(asked[:, 0].tolist()) == expected(case)


def loads_of(case: Case) -> tuple[float, Series]:
    """What is seen at the first sync, and the steps that are seen at those after it; the last step is seen at none."""
    first, *later = (math.nan if load is None else load for load in GOLDEN.loads[case.loads])
    loads = [*later, math.nan]
    return first, series(loads, end=NOW + len(loads) * SYNC, step=SYNC)


def test_the_file_holds_the_cases_that_are_made_now() -> None:
    made = cases.made()
    assert cases.written(GOLDEN) == cases.FILE.read_text(encoding="utf-8")
    assert (made.cases, made.behaviors, made.loads) == (GOLDEN.cases, GOLDEN.behaviors, GOLDEN.loads)


def test_the_answers_are_those_of_the_kubernetes_in_the_toolchain() -> None:
    assert GOLDEN.kubernetes == toolchain.KUBERNETES


def test_the_controller_is_built_of_the_modules_that_the_toolchain_pins() -> None:
    ours = _pins(cases.FILE.with_name("go.mod"))
    theirs = _pins(toolchain.MODULES / "kubernetes" / "go.mod")
    assert ours["k8s.io/kubernetes"] == f"v{toolchain.KUBERNETES}"
    assert {module: version for module, version in ours.items() if theirs.get(module) != version} == {}


def _pins(go_mod: Path) -> dict[str, str]:
    """Module and version; a replacement comes after what it replaces."""
    text = go_mod.read_text(encoding="utf-8")
    return dict(re.findall(r"^\t(\S+)(?: => \S+)? (v\S+)", text, re.MULTILINE))
