"""What will the load be, according to a model file? Finds it, checks it against its card, runs it in batches.

The only file that knows ONNX Runtime. Must not decide anything, reach the network, or unpickle. The runtime itself
would tell its makers of each model that is loaded, and keep a database in the home directory; that is off here.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read when the library is loaded: its call to switch it off comes too late
import onnxruntime

from controller.core.card import Card, CardError, TestVector
from controller.core.forecast import Forecast
from controller.core.series import EPOCH, Series
from controller.ports import ForecastRequest, ModelError
from controller.spec import ModelRef

MAX_BYTES = 64 * 2**20
_SUFFIX = ".onnx"
_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
# Rows that one run computes at once. The runtime keeps several copies of the rows' histories: with so few they stay in
# the processor's cache, which halves the time of a row against a hundred of them, and the runtime's arena stays small.
_ROWS = 32
_NO_FOLDER = "/dev/null"  # nothing can lie below it
_SILENT = 4  # the runtime's own log would go to stderr past our logger; what it raises says as much
_TOLERANCE = 1e-4  # relative; the contract's

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]
Tensor = tuple[str, Sequence[object]]  # its type as the runtime writes it, and its sizes


class Session:
    """A graph that takes `history` and `origin`; its first output is what `run` gives."""

    def __init__(self, data: bytes, *, threads: int = 1) -> None:
        """Compile the ONNX file `data`. `threads` is how many cores one run may use. Raises ModelError("onnx")."""
        try:
            self._session = onnxruntime.InferenceSession(data, _options(threads), providers=["CPUExecutionProvider"])
        except Exception as error:  # the runtime's classes, one for each status code, share nothing narrower
            raise ModelError("onnx", f"ONNX Runtime refuses the file: {error}") from error

    @property
    def metadata(self) -> dict[str, str]:
        """The file's `metadata_props`."""
        return dict(self._session.get_modelmeta().custom_metadata_map)

    def inputs(self) -> dict[str, Tensor]:
        """Type and shape of each input by name; a free dimension is a text or None."""
        return {each.name: (each.type, each.shape) for each in self._session.get_inputs()}

    def outputs(self) -> dict[str, Tensor]:
        """Type and shape of each output by name; a free dimension is a text or None."""
        return {each.name: (each.type, each.shape) for each in self._session.get_outputs()}

    def run(self, history: FloatArray, origin: IntArray) -> FloatArray:
        """The first output for `history` [batch, context] and `origin` [batch]. Raises ModelError("run")."""
        chunks = range(0, max(1, len(origin)), _ROWS)
        return np.concatenate([self._run(history[at : at + _ROWS], origin[at : at + _ROWS]) for at in chunks])

    def _run(self, history: FloatArray, origin: IntArray) -> FloatArray:
        feed = {"history": np.ascontiguousarray(history, np.float32), "origin": np.ascontiguousarray(origin, np.int64)}
        try:
            output: FloatArray = self._session.run(None, feed)[0]
        except Exception as error:  # as above
            raise ModelError("run", f"ONNX Runtime cannot run the model: {error}") from error
        return output


def _options(threads: int) -> Any:  # noqa: ANN401  # the runtime is not typed
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _SILENT
    # Weights must lie inside the file: there is no folder in which a file named by the model could be found.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", _NO_FOLDER)
    return options


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Model:
    """A checked model. `digest`: the file's sha256 in hex."""

    card: Card
    digest: str
    session: Session

    def predict(self, history: FloatArray, origin: IntArray) -> FloatArray:
        """Quantiles, float32 [batch, horizon, levels], in the metric's unit.

        `history`: float32 [batch, context], oldest first, NaN where missing. `origin`: int64 [batch], local seconds
        since 1970 at the end of the last step. A row whose history is all NaN is NaN. Raises ModelError("run").
        """
        return self.session.run(history, origin)


def load_model(path: Path, *, max_bytes: int = MAX_BYTES, threads: int = 1) -> Model:
    """The model in the file at `path`, fully checked. Raises ModelError naming the check that failed."""
    return read_model(_read(path, max_bytes), threads=threads)


def read_model(data: bytes, *, threads: int = 1) -> Model:
    """The model in the bytes of a file, fully checked. Raises ModelError naming the check that failed."""
    session = Session(data, threads=threads)
    card = _card(session)
    _check_interface(session, card)
    model = Model(card=card, digest=hashlib.sha256(data).hexdigest(), session=session)
    _check_test_vector(model)
    _check_silence(model)
    return model


def _read(path: Path, max_bytes: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except OSError as error:
        raise ModelError("file", f"{path.name} cannot be read: {error.strerror}") from error
    if len(data) > max_bytes:
        raise ModelError("size", f"{path.name} is larger than the limit of {max_bytes} bytes")
    return data


def _card(session: Session) -> Card:
    text = session.metadata.get("card")
    if text is None:
        raise ModelError("card", 'metadata_props has no "card"; export the model with predictive-scaler-train')
    try:
        return Card.from_json(text)
    except CardError as error:
        raise ModelError(error.check, str(error).removeprefix(f"{error.check}: ")) from error


def _check_interface(session: Session, card: Card) -> None:
    """Names, types and ranks as in the contract, and no dimension that contradicts the card."""
    wanted_inputs: dict[str, Tensor] = {
        "history": ("tensor(float)", [None, card.context]),
        "origin": ("tensor(int64)", [None]),
    }
    wanted_outputs: dict[str, Tensor] = {"quantiles": ("tensor(float)", [None, card.horizon, len(card.levels)])}
    _check_tensors("inputs", session.inputs(), wanted_inputs)
    _check_tensors("outputs", session.outputs(), wanted_outputs)


def _check_tensors(check: str, found: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    if found.keys() != wanted.keys():
        raise ModelError(check, f"must be {', '.join(wanted)}, not {', '.join(found)}")
    for name, (type_, shape) in wanted.items():
        found_type, found_shape = found[name]
        if found_type != type_:
            raise ModelError(check, f"{name} must be {type_}, not {found_type}")
        if len(found_shape) != len(shape) or not all(map(_fits, found_shape, shape)):
            raise ModelError(check, f"{name} must have the shape {_shape(shape)}, not {_shape(found_shape)}")


def _fits(found: object, wanted: object) -> bool:
    """Whether a declared dimension allows the wanted size; a named or absent one allows any."""
    return not isinstance(found, int) or found == wanted


def _shape(sizes: Sequence[object]) -> str:
    return "[" + ", ".join("any" if size is None else str(size) for size in sizes) + "]"


def _check_test_vector(model: Model) -> None:
    """Run the card's own example: the answer must be the one that was given when the model was exported."""
    vector = model.card.test_vector
    history = _vector_history(vector)
    expected = np.array(vector.expected, np.float64)
    found = model.predict(history[np.newaxis], np.array([vector.origin], np.int64))
    if found.shape != (1, *expected.shape):
        raise ModelError("outputs", f"quantiles has the shape {found.shape}, not {(1, *expected.shape)}")
    problem = _problem(found[0])
    if problem is not None:
        raise problem
    if not np.allclose(found[0], expected, rtol=_TOLERANCE, atol=_TOLERANCE * 1e-3 * float(np.abs(expected).max())):
        worst = float(np.abs(found[0] - expected).max())
        raise ModelError("test-vector", f"the model answers its own example differently, by up to {worst:.6g}")


def _check_silence(model: Model) -> None:
    """Of a history in which nothing was recorded nothing can be told: missing is not zero."""
    empty = np.full((1, model.card.context), np.nan, np.float32)
    found = model.predict(empty, np.array([model.card.test_vector.origin], np.int64))
    if not np.isnan(found).all():
        raise ModelError("empty-history", "the model gives numbers for a history of nothing but NaN; it must give NaN")


def _vector_history(vector: TestVector) -> FloatArray:
    history = np.array([np.nan if value is None else value for value in vector.history], "<f4")
    if hashlib.sha256(history.tobytes()).hexdigest() != vector.history_sha256:
        raise ModelError("test-vector", "its history does not have the digest that the card gives")
    return history


def _problem(quantiles: FloatArray) -> ModelError | None:
    """What is wrong with one row's quantiles, shape [horizon, levels]."""
    if not np.isfinite(quantiles).all():
        return ModelError("output-finite", "the forecast holds NaN or infinity")
    if (quantiles < 0).any():
        return ModelError("output-negative", f"the forecast holds a load below zero, {quantiles.min():.6g}")
    if (np.diff(quantiles, axis=-1) < 0).any():
        return ModelError("output-order", "the forecast's quantiles do not increase with their level")
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """What is known of one file. `stamp` tells when it changed; `model` is None while it is not the one asked for."""

    stamp: tuple[int, ...]
    digest: str
    model: Model | ModelError | None


class OnnxModels:
    """The models in some folders; an implementation of `controller.ports.Models`.

    A name is looked for as `<folder>/<name>.onnx` in the order of `folders`. A file is read when it is first asked for
    and when it has changed; what was refused stays refused until then.
    """

    def __init__(self, folders: Sequence[Path], *, max_bytes: int = MAX_BYTES, threads: int = 1) -> None:
        """`max_bytes` limits one file; `threads` is how many cores one run may use."""
        self._folders = tuple(folders)
        self._max_bytes = max_bytes
        self._threads = threads
        self._held: dict[Path, _Held] = {}

    def card(self, model: ModelRef) -> tuple[Card, str]:
        """The model's card and the file's sha256 in hex; loads it on first use. Raises ModelError."""
        loaded = self._model(model)
        return loaded.card, loaded.digest

    def forecast(self, requests: Sequence[ForecastRequest]) -> list[Forecast | ModelError]:
        """One answer for each request, in order, in one batched run a model. Never raises for a single request."""
        answers: dict[int, Forecast | ModelError] = {}
        for ref, places in _by_model(requests).items():
            found = self._answer(ref, [requests[place] for place in places])
            answers.update(zip(places, found, strict=True))
        return [answers[place] for place in range(len(requests))]

    def forget(self, name: str) -> None:
        """Let go of the memory of a model that nobody asks for any more."""
        for folder in self._folders:
            self._held.pop(folder / f"{name}{_SUFFIX}", None)

    def _answer(self, ref: ModelRef, requests: list[ForecastRequest]) -> list[Forecast | ModelError]:
        try:
            return _forecasts(self._model(ref), requests)
        except ModelError as error:
            return [error] * len(requests)

    def _model(self, ref: ModelRef) -> Model:
        path, stamp = self._find(ref.name)
        held = self._held.get(path)
        if held is None or held.stamp != stamp or (held.model is None and _is_wanted(held.digest, ref)):
            held = self._held[path] = self._load(path, stamp, ref)
        if isinstance(held.model, ModelError):
            raise held.model
        if held.model is None or not _is_wanted(held.digest, ref):
            raise ModelError("sha256", f"{path.name} has sha256 {held.digest}, the spec asks for {ref.sha256}")
        return held.model

    def _find(self, name: str) -> tuple[Path, tuple[int, ...]]:
        """The file of a model, and what changes when it is replaced."""
        if not _NAME.fullmatch(name):
            raise ModelError("name", f"{name!r} is not a model's name; use letters, digits, '-', '_' and '.'")
        for folder in self._folders:
            path = folder / f"{name}{_SUFFIX}"
            try:
                status = path.stat()
            except OSError:
                continue
            return path, (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)
        looked = ", ".join(map(str, self._folders)) or "no folder at all"
        raise ModelError("file", f"there is no {name}{_SUFFIX}; looked in {looked}")

    def _load(self, path: Path, stamp: tuple[int, ...], ref: ModelRef) -> _Held:
        """Read the file; it is parsed only when it is the one that the spec asks for."""
        digest = ""
        try:
            data = _read(path, self._max_bytes)
            digest = hashlib.sha256(data).hexdigest()
            model = read_model(data, threads=self._threads) if _is_wanted(digest, ref) else None
        except ModelError as error:
            return _Held(stamp=stamp, digest=digest, model=error)
        return _Held(stamp=stamp, digest=digest, model=model)


def _is_wanted(digest: str, ref: ModelRef) -> bool:
    return ref.sha256 is None or ref.sha256.lower() == digest


def _by_model(requests: Sequence[ForecastRequest]) -> dict[ModelRef, list[int]]:
    """The places of the requests for each model."""
    places: dict[ModelRef, list[int]] = {}
    for place, request in enumerate(requests):
        places.setdefault(request.model, []).append(place)
    return places


def _forecasts(model: Model, requests: list[ForecastRequest]) -> list[Forecast | ModelError]:
    refusals = [_refusal(model.card, request.history) for request in requests]
    asked = [request for request, refusal in zip(requests, refusals, strict=True) if refusal is None]
    answers = iter(_run(model, asked))
    return [next(answers) if refusal is None else refusal for refusal in refusals]


def _refusal(card: Card, history: Series) -> ModelError | None:
    """Why this model cannot be asked about this history; None where it can."""
    if history.step != card.step:
        return ModelError("step", f"the history has one value each {history.step}, {card.name} needs {card.step}")
    if not np.isfinite(history.values[-card.context :]).any():
        return ModelError("not-enough-history", f"no value was recorded within the last {card.context * card.step}")
    return None


def _run(model: Model, requests: list[ForecastRequest]) -> list[Forecast | ModelError]:
    if not requests:
        return []
    history = np.stack([request.history.tail(model.card.context).values for request in requests]).astype(np.float32)
    origin = np.array([local_seconds(request.history.end, request.zone) for request in requests], np.int64)
    rows = model.predict(history, origin)
    return [_forecast(model.card, request, row) for request, row in zip(requests, rows, strict=True)]


def _forecast(card: Card, request: ForecastRequest, quantiles: FloatArray) -> Forecast | ModelError:
    return _problem(quantiles) or Forecast(
        origin=request.history.end,
        step=card.step,
        levels=card.levels,
        quantiles=quantiles.astype(np.float64),
        season=card.season,
    )


def local_seconds(time: datetime, zone: tzinfo) -> int:
    """What the clocks in `zone` show at `time` (aware), as seconds since 1970 without zone: the contract's `origin`."""
    shown = time.astimezone(zone).replace(tzinfo=UTC)
    return (shown - EPOCH) // timedelta(seconds=1)
