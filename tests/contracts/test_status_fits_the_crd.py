"""What the controller writes into `.status` is what the CRD allows: nothing unknown, nothing of another type."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import jsonschema
import pytest

from controller.conditions import conditions
from controller.core.coordination import lead_time as with_pods
from controller.core.decide import decide
from controller.core.demand import DemandSource
from controller.core.experiment import Arm
from controller.core.forecast import Forecast
from controller.core.memory import TrackRecord
from controller.core.scorecard import Scorecard, Tally, added
from controller.core.series import Observation
from controller.core.shadow import Shadow
from controller.core.startup import LeadTime, LeadTimeSource, Pod, StartUps, lead_time
from controller.core.startup import seen as seen_to_start
from controller.experiment import Phase, Trial
from controller.grading import Grade
from controller.outcome import Beside, LoadedModel, Outcome, Problem, Stage
from controller.status import status
from tests.builders import FRESH, NOW, card, forecast, pods, policy, rules, scaler, seen, unseen
from tests.contracts.specs import merged, resource_schema, strict
from tests.trials import trial

SCHEMA = strict(resource_schema()["properties"]["status"])
CARD = added(Scorecard(), NOW, Tally(known=90, own_replicas=180.5, own_short=15, actual_replicas=270))
GRADE = Grade(target="", rules="", shadow=Shadow.of(NOW, 2), against="words of somebody else " * 100).counted(CARD, NOW)
LONG_FORECAST = forecast(*range(100, 172))
SLOW = policy(up=rules(pods(1)), down=rules(pods(1), window=300), high=8, objective=0.01)
PROMISED = scaler(spec={"objective": {"underProvisionedTime": "1%"}})
STARTED = Pod(uid="0123abcd", template="5d9f8c7b6", created=NOW - timedelta(minutes=1), ready=NOW)
LEARNT = with_pods(
    lead_time(NOW, seen_to_start(NOW, [STARTED], StartUps()), timedelta(minutes=2)), timedelta(seconds=45)
)
BESIDE = Beside(ready=2, warm=0, note="an instance is starting " * 100)
UNLEARNT = Problem(stage=Stage.LEAD_TIME, reason="PodsForbidden", message="grant list on pods")
JUDGED = replace(FRESH, track=TrackRecord(covered=19.0, watched=20.0))

TRIAL = trial(is_ended=False)
ENDED = trial(is_ended=True)
EQUAL = trial(is_ended=True, arms=(Arm.REACTIVE, Arm.REACTIVE))


def written(observation: Observation | None, expected: Forecast | None, problems: Sequence[Problem] = ()) -> Any:
    """The status after one tick as the API server stores it: a merge patch without its nulls, through JSON."""
    decision, memory = decide(NOW, observation, expected, 3, SLOW, JUDGED)
    model = None if expected is None else LoadedModel(card=card(), digest="ab" * 32)
    outcome = Outcome(
        time=NOW,
        problems=tuple(problems),
        model=model,
        forecast=expected,
        lead_time=LEARNT,
        beside=BESIDE,
        decision=decision,
        is_written=decision.replicas != 3,
        memory=memory,
        grade=GRADE,
        trial=TRIAL,
    )
    fields = status(PROMISED, outcome, conditions(PROMISED, outcome, ()))
    return merged({}, json.loads(json.dumps(fields, allow_nan=False)))


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param(written(seen(70.0), LONG_FORECAST), id="scaled-by-forecast"),
        pytest.param(written(seen(0.0), None), id="seen-only"),
        pytest.param(written(unseen(), LONG_FORECAST), id="nothing-seen"),
        pytest.param(written(None, None), id="nothing-known"),
        pytest.param(written(seen(30.0, at=NOW - timedelta(hours=2)), None), id="stale"),
        pytest.param(
            written(seen(30.0), None, [Problem(stage=Stage.FORECAST, reason="ModelMissing", message="no such file")]),
            id="model-missing",
        ),
    ],
)
def test_the_status_fits_the_schema(fields: dict[str, Any]) -> None:
    jsonschema.validate(fields, SCHEMA)


def test_words_of_any_length_fit_the_schema() -> None:
    """What Prometheus, the API server and a model's card say is theirs; the status must be written all the same."""
    wordy = Problem(stage=Stage.OBSERVE, reason="MetricAmbiguous", message="label=value, " * 4000)
    model = LoadedModel(card=card(name="n" * 1000), digest="ab" * 32)
    decision, memory = decide(NOW, unseen(wordy.message), None, 3, SLOW, FRESH)
    outcome = Outcome(time=NOW, problems=(wordy,), model=model, decision=decision, memory=memory)
    fields = status(scaler(), outcome, conditions(scaler(), outcome, ()))
    jsonschema.validate(merged({}, json.loads(json.dumps(fields))), SCHEMA)


def test_a_demand_has_the_sources_of_the_schema_and_no_others() -> None:
    assert [*DemandSource] == SCHEMA["properties"]["lastDecision"]["properties"]["source"]["enum"]


def test_a_lead_time_has_the_sources_of_the_schema_and_no_others() -> None:
    assert [*LeadTimeSource] == SCHEMA["properties"]["leadTime"]["properties"]["source"]["enum"]


def test_no_field_of_a_lead_time_is_never_written() -> None:
    fields = written(seen(70.0), None, [UNLEARNT])["leadTime"]
    jsonschema.validate(fields, SCHEMA["properties"]["leadTime"])
    assert set(SCHEMA["properties"]["leadTime"]["properties"]) == set(fields)


def test_a_lead_time_of_the_spec_fits_the_schema() -> None:
    outcome = Outcome(time=NOW, lead_time=LeadTime.given(timedelta(hours=6)), memory=FRESH)
    jsonschema.validate(status(scaler(), outcome, ())["leadTime"], SCHEMA["properties"]["leadTime"])


def test_no_field_of_the_schema_is_never_written() -> None:
    assert set(SCHEMA["properties"]) == set(written(seen(70.0), LONG_FORECAST))


def test_no_field_of_a_target_is_never_written() -> None:
    assert set(SCHEMA["properties"]["target"]["properties"]) == set(written(seen(70.0), None)["target"])


def test_no_field_of_a_grade_is_never_written() -> None:
    grade, fields = SCHEMA["properties"]["grade"]["properties"], written(seen(70.0), None)["grade"]
    window = grade["windows"]["items"]["properties"]
    assert (set(grade), set(window), window["window"]["enum"]) == (
        set(fields),
        set(fields["windows"][0]),
        [one["window"] for one in fields["windows"]],
    )


def test_no_field_of_an_experiment_is_never_written() -> None:
    """It says other things while it runs than at its end, and other names of equal arms."""
    told = [_experiment(one) for one in (TRIAL, ENDED, EQUAL)]
    for one in told:
        jsonschema.validate(one, SCHEMA["properties"]["experiment"])
    schema = SCHEMA["properties"]["experiment"]["properties"]
    assert set(schema) == {name for one in told for name in one}
    assert set(schema["phase"]["enum"]) == set(Phase)
    result = schema["result"]["properties"]
    assert set(result) == {name for one in told for name in one["result"]}
    for figure in ("replicaHours", "underProvisioned"):
        assert set(result[figure]["properties"]) == {name for one in told for name in one["result"][figure]}


def _experiment(of: Trial) -> Any:
    """As it is stored."""
    fields = status(PROMISED, Outcome(time=NOW, memory=FRESH, trial=of), ())
    return json.loads(json.dumps(fields["experiment"], allow_nan=False))
