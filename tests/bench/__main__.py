"""What does it cost to run this? Every benchmark in turn, each table beside its baseline: `make bench`."""

from __future__ import annotations

from tests.bench import forecasts, ticks

if __name__ == "__main__":
    ticks.main()
    forecasts.main([])
