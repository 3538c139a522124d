"""Makes cases.json anew: the answers of the HPA's own controller. `python -m tests.golden.hpa`."""

from __future__ import annotations

from dataclasses import replace

from sandbox.binaries import say
from tests.golden.hpa import cases, real


def main() -> None:
    """Ask the controller and write down what it says."""
    golden = cases.made()
    sizes = real.answers(golden, say)
    cases.FILE.write_text(cases.written(replace(golden, sizes=sizes)), encoding="utf-8")
    syncs = sum(len(one) for one in sizes.values())
    say(f"{len(sizes)} cases, {syncs} syncs: {cases.FILE.name}")


if __name__ == "__main__":
    main()
