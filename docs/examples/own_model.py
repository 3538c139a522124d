"""How does a model of your own become a file that the controller takes? Numbers in, one ONNX file with its card out.

    python docs/examples/own_model.py seasonal-mean.onnx

Needs numpy, onnx and onnxruntime, and nothing of this repository. The model is a plain one: the same time of the last
three days, averaged, with a band from how far the days lie apart. Put your own graph in place of `forecaster`.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

STEP = 300
"""Seconds in a step."""
DAY = 24 * 3600 // STEP
"""Steps in a day, after which this load repeats."""
CONTEXT = 3 * DAY
"""Steps that the model sees."""
HORIZON = 72
"""Steps that it forecasts: six hours."""
LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
DEVIATIONS = (-1.645, -1.282, -0.674, 0.0, 0.674, 1.282, 1.645, 2.326)
"""Of a normal distribution, at these levels."""
SMALLEST = 0.05
"""The band is never narrower than this share of the forecast, as three equal days prove little."""

Graph = onnx.GraphProto


def forecaster() -> Graph:
    """History [batch, context], origin [batch] -> quantiles [batch, horizon, levels].

    This model does not look at the clock, but every model has both inputs.
    """
    constants: dict[str, NDArray[Any]] = {
        "same_time": np.array([[day * DAY + step for step in range(HORIZON)] for day in range(3)], np.int64),
        "zero": np.array(0, np.float32),
        "smallest": np.array(SMALLEST, np.float32),
        "days": np.array([1], np.int64),
        "last": np.array([-1], np.int64),
        "deviations": np.array(DEVIATIONS, np.float32),
    }
    nodes = [
        # [batch, 3, horizon]: what the same steps had on each of the three days
        helper.make_node("Gather", ["history", "same_time"], ["past"], axis=1),
        # A gap counts in neither the sum nor the number, so a missing value is never a zero.
        helper.make_node("IsNaN", ["past"], ["gap"]),
        helper.make_node("Where", ["gap", "zero", "past"], ["known"]),
        helper.make_node("Not", ["gap"], ["is_known"]),
        helper.make_node("Cast", ["is_known"], ["one_each"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["known", "days"], ["sum"], keepdims=0),
        helper.make_node("ReduceSum", ["one_each", "days"], ["count"], keepdims=0),
        helper.make_node("Div", ["sum", "count"], ["mean_of_days"]),
        # A time of day that no day knows gets the mean of all that is known. Nothing known at all is 0 / 0, which is
        # NaN, as the contract wants.
        helper.make_node("IsNaN", ["history"], ["any_gap"]),
        helper.make_node("Where", ["any_gap", "zero", "history"], ["all_known"]),
        helper.make_node("Not", ["any_gap"], ["is_any_known"]),
        helper.make_node("Cast", ["is_any_known"], ["one_for_any"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["all_known", "days"], ["sum_of_all"], keepdims=1),
        helper.make_node("ReduceSum", ["one_for_any", "days"], ["count_of_all"], keepdims=1),
        helper.make_node("Div", ["sum_of_all", "count_of_all"], ["mean_of_all"]),
        helper.make_node("IsNaN", ["mean_of_days"], ["is_unknown"]),
        helper.make_node("Where", ["is_unknown", "mean_of_all", "mean_of_days"], ["mean"]),
        helper.make_node("Unsqueeze", ["mean", "days"], ["mean_of_each"]),
        helper.make_node("Sub", ["past", "mean_of_each"], ["away"]),
        helper.make_node("Mul", ["away", "away"], ["squares"]),
        helper.make_node("Where", ["gap", "zero", "squares"], ["known_squares"]),
        helper.make_node("ReduceSum", ["known_squares", "days"], ["sum_of_squares"], keepdims=0),
        helper.make_node("Div", ["sum_of_squares", "count"], ["variance"]),
        helper.make_node("Sqrt", ["variance"], ["spread_of_days"]),
        helper.make_node("Where", ["is_unknown", "mean_of_all", "spread_of_days"], ["spread"]),
        helper.make_node("Mul", ["mean", "smallest"], ["narrowest"]),
        helper.make_node("Max", ["spread", "narrowest"], ["band"]),
        # [batch, horizon, levels]; the deviations increase, so the quantiles do
        helper.make_node("Unsqueeze", ["band", "last"], ["band_of_each"]),
        helper.make_node("Mul", ["band_of_each", "deviations"], ["around"]),
        helper.make_node("Unsqueeze", ["mean", "last"], ["centre"]),
        helper.make_node("Add", ["centre", "around"], ["raw"]),
        # Relu would do, but what it makes of NaN is not promised.
        helper.make_node("Less", ["raw", "zero"], ["is_negative"]),
        helper.make_node("Where", ["is_negative", "zero", "raw"], ["quantiles"]),
    ]
    return helper.make_graph(
        nodes,
        "seasonal-mean",
        [
            helper.make_tensor_value_info("history", TensorProto.FLOAT, ["batch", CONTEXT]),
            helper.make_tensor_value_info("origin", TensorProto.INT64, ["batch"]),
        ],
        [helper.make_tensor_value_info("quantiles", TensorProto.FLOAT, ["batch", HORIZON, len(LEVELS)])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )


def card(model: onnx.ModelProto) -> dict[str, Any]:
    """What the file promises, with one example that a loader computes again."""
    history, origin = example()
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    feed = {"history": history[np.newaxis], "origin": np.array([origin], np.int64)}
    (answer,) = session.run(["quantiles"], feed)
    return {
        "contract": 1,
        "name": "seasonal-mean",
        "version": "1",
        "family": "mean-of-days",
        "step_seconds": STEP,
        "context": CONTEXT,
        "horizon": HORIZON,
        "levels": LEVELS,
        "unit": "requests per second",
        "season_seconds": DAY * STEP,
        "trained": None,
        "test_vector": {
            "history": [None if np.isnan(value) else float(value) for value in history],
            "history_sha256": hashlib.sha256(history.astype("<f4").tobytes()).hexdigest(),
            "origin": origin,
            "expected": answer[0].tolist(),
        },
        "made_with": {"onnx": onnx.__version__, "numpy": np.__version__},
        "license": "Apache-2.0",
    }


def example() -> tuple[NDArray[np.float32], int]:
    """Three days of a load with a daily rhythm and an hour missing, up to a midnight."""
    steps = np.arange(CONTEXT)
    history = (100 + 60 * np.sin(2 * np.pi * steps / DAY) + 5 * np.cos(steps)).astype(np.float32)
    history[100:112] = np.nan
    return history, 1_767_225_600


def main(path: Path) -> None:
    """Write the file."""
    model = helper.make_model(forecaster(), opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    helper.set_model_props(model, {"card": json.dumps(card(model), allow_nan=False)})
    path.write_bytes(model.SerializeToString())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
