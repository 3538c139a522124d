"""What does it cost to keep every decision's record? Bytes and CPU time: `python -m tests.bench.records`.

A day of noisy load with a daily pattern, 2,016 steps of history, a forecast of 72 steps and 7 levels each five minutes,
a decision each 15 s that is carried out; through the real `decide`, account and ledger, without a network.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from time import process_time

import numpy as np
from rich.console import Console
from rich.table import Table

from controller.account import Account
from controller.core import codec
from controller.core.forecast import Forecast
from controller.core.record import Inputs, Record
from controller.core.series import Observation, Sample, Series, floor_to_step
from controller.ledger import MIB, Ledger
from controller.outcome import LoadedModel, Outcome
from tests.builders import FRESH, NOW, STEP, card, percent, pods, policy, rules, scaler, seconds
from tests.fakes import DIGEST

HOURS = 4
EACH = 15
CONTEXT, LEVELS = 2016, (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
RAILS = policy(
    each=50.0,
    lead=timedelta(minutes=2),
    up=rules(pods(4), percent(100)),
    down=rules(percent(100), window=300),
    objective=0.01,
)


def _load(at: float) -> float:
    """Units a second, `at` so many seconds of the day."""
    return 500.0 + 300.0 * float(np.sin(at / 86_400.0 * 2.0 * np.pi))


def records() -> Iterator[tuple[Record, Outcome]]:
    """One each tick."""
    generator = np.random.default_rng(5)
    memory, current, made = FRESH, 10, None
    values = generator.poisson([_load(300.0 * step) for step in range(CONTEXT + HOURS * 12 + 1)]).astype(float)
    for tick in range(HOURS * 3600 // EACH):
        now = NOW + tick * seconds(EACH)
        end = floor_to_step(now, STEP)
        closed = (end - NOW) // STEP
        history = Series(end=end, step=STEP, values=values[closed : closed + CONTEXT])
        if made is None or made.origin != end:
            ahead = np.array([_load(300.0 * (CONTEXT + closed + step)) for step in range(72)])
            spread = np.array([0.8, 0.85, 0.93, 1.0, 1.07, 1.15, 1.2]) + generator.normal(0.0, 0.01, 7)
            made = Forecast(origin=end, step=STEP, levels=LEVELS, quantiles=np.sort(np.outer(ahead, spread), axis=1))
        latest = Sample(time=now - seconds(4), value=float(generator.poisson(_load(300.0 * (CONTEXT + closed)))) / 1.1)
        observation = Observation(history=history, latest=latest)
        record = Record.of(
            Inputs(now=now, observation=observation, forecast=made, current=current, policy=RAILS, memory=memory)
        )
        memory, current = record.memory, record.decision.replicas
        model = LoadedModel(card=card(), digest=DIGEST)
        yield record, Outcome(time=now, model=model, record=record, decision=record.decision, memory=memory)


def _fastest(work: object, rounds: int = 5) -> float:
    """Microseconds of CPU a call over a list of calls, the best of the rounds."""
    calls = list(work)  # type: ignore[call-overload]
    best = float("inf")
    for _ in range(rounds):
        began = process_time()
        for call in calls:
            call()
        best = min(best, (process_time() - began) / len(calls))
    return best * 1e6


def main() -> None:
    """Print bytes and microseconds a record."""
    told, lived = scaler(), list(records())
    accounts = [Account.of(told, outcome) for _, outcome in lived]
    ledger = Ledger(mib=1000.0)
    for account in accounts:
        ledger.add("a", account)
    kept = ledger.kept("a")
    if kept is None:
        raise RuntimeError("nothing was kept")
    whole = [len(json.dumps(codec.to_json(Record, record))) for record, _ in lived[::50]]
    texts = [len(account.to_text()) for account in accounts]
    table = Table("a record", "bytes", "1,000 scalers, an hour, MiB", title=f"{len(lived)} records, mean")
    for name, size in (
        ("with the whole history and forecast, as JSON", float(np.mean(whole))),
        ("thinned, as JSON", float(np.mean(texts))),
        ("kept: packed, with Python's overhead", kept.size / kept.count),
    ):
        table.add_row(name, f"{size:,.0f}", f"{size * 1000 * 3600 / EACH / 2**20:,.0f}")
    Console(width=110).print(table)
    age = MIB * 2**20 / (kept.size / kept.count) / 1000 * EACH / 60
    Console().print(f"{MIB:g} MiB hold {age:.0f} minutes of 1,000 scalers, {age * 100 / 60 / 24:.1f} days of ten")
    sample = lived[:200]
    decide = _fastest([(lambda inputs=record.inputs: inputs.decide()) for record, _ in sample])
    keep = _fastest([(lambda outcome=outcome: Ledger().add("a", Account.of(told, outcome))) for _, outcome in sample])
    Console().print(f"CPU: deciding {decide:.0f} us, keeping the record {keep:.0f} us")


if __name__ == "__main__":
    main()
