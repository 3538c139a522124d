"""What would a policy have had? Replays a load through the controller's own `decide`, with start-up time.

Physical order: the load of a step meets the replicas that are ready in it; what is decided at its beginning saw only
the steps before, and serves once it has started.
"""

from __future__ import annotations

from training.simulate.capacity import Capacity
from training.simulate.engine import replay
from training.simulate.policies import at_equal_cost, reactive
from training.simulate.scores import Score, score

__all__ = ["Capacity", "Score", "at_equal_cost", "reactive", "replay", "score"]
