"""What does a line of metric math come to? A small, strict part of CloudWatch's.

There: + - * / and unary -, numbers, ids, [a, b], METRICS(), SUM, AVG, MIN, MAX, FILL(x, number or REPEAT), PERIOD(x),
ABS, CEIL, FLOOR, and SEARCH('{Namespace,Dimension,...} Name="value" ...', 'Stat', period) for exact values that all
have to hold. Not there, and refused rather than answered with nothing: other searches, RATE, DIFF, IF, METRICS("x"),
ANOMALY_DETECTION_BAND, Metrics Insights (SELECT) and whatever else. The rules are of CloudWatch's guide "Using metric
math": between two series a time must be in both; SUM and its like over an array take at each time the series that have
it, over one series they give a number; an expression whose result is a number is refused.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from sandbox.aws.metrics import QueryError, Values

_OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_FOLDS: dict[str, Callable[[Sequence[float]], float]] = {
    "SUM": math.fsum,
    "AVG": lambda values: math.fsum(values) / len(values),
    "MIN": min,
    "MAX": max,
}
_EACH: dict[str, Callable[[float], float]] = {"ABS": abs, "CEIL": math.ceil, "FLOOR": math.floor}
REPEAT = "REPEAT"
_SEARCH = re.compile(r"\s*\{([^{}]+)\}((?:\s+\w+=(?:\"[^\"]*\"|[^\s\"]+))+)\s*")
_TERM = re.compile(r"(\w+)=(?:\"([^\"]*)\"|(\S+))")


@dataclass(frozen=True, slots=True)
class Line:
    """A time series; `period`: seconds."""

    values: Values
    period: int


Operand: TypeAlias = float | Line | list[Line]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a search is for: metrics of `namespace` that have exactly these `dimensions`, and these values.

    `values`: by the name of a dimension, and "MetricName". `period`: seconds.
    """

    namespace: str
    dimensions: frozenset[str]
    values: Mapping[str, str]
    stat: str
    period: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What an expression can name. `metrics`: those that METRICS() means. The range is [start, end), Unix seconds.

    `search`: the series of the metrics that are wanted. `period`: of a search that says none, seconds.
    """

    lines: Mapping[str, Line]
    metrics: Sequence[str]
    start: int
    end: int
    search: Callable[[Wanted], list[Line]] = lambda _: []
    period: int = 300


def evaluate(text: str, scope: Scope) -> list[Line]:
    """The series that an expression gives. Raises QueryError."""
    try:
        found = _value(ast.parse(text.strip(), mode="eval").body, scope)
    except SyntaxError:
        raise _not_there(text) from None
    if isinstance(found, float):
        raise QueryError(f"Error in expression '{text}': the result is a number, and it has to be a time series")
    return found if isinstance(found, list) else [found]


def names_in(text: str) -> set[str]:
    """The ids that an expression may name; nothing of one that cannot be read."""
    try:
        return {node.id for node in ast.walk(ast.parse(text.strip(), mode="eval")) if isinstance(node, ast.Name)}
    except SyntaxError:
        return set()


def _value(node: ast.expr, scope: Scope) -> Operand:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return float(number)
        case ast.Name(id=name) if name in scope.lines:
            return scope.lines[name]
        case ast.List(elts=parts):
            return [line for part in parts for line in _lines(_value(part, scope))]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return _combined(operator.sub, 0.0, _value(operand, scope))
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _OPERATORS:
            return _combined(_OPERATORS[type(sign)], _value(left, scope), _value(right, scope))
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
            return _call(name, arguments, scope)
        case _:
            raise _not_there(ast.unparse(node))


def _call(name: str, arguments: Sequence[ast.expr], scope: Scope) -> Operand:
    if name == "METRICS" and not arguments:
        return [scope.lines[one] for one in scope.metrics]
    if name == "SEARCH":
        return scope.search(_wanted(arguments, scope))
    if name in _FOLDS and len(arguments) == 1:
        return _folded(_FOLDS[name], _value(arguments[0], scope))
    if name in _EACH and len(arguments) == 1:
        each = _EACH[name]
        return _combined(lambda _, value: float(each(value)), 0.0, _value(arguments[0], scope))
    if name == "PERIOD" and len(arguments) == 1:
        return float(_lines(_value(arguments[0], scope))[0].period)
    if name == "FILL" and len(arguments) == 2:  # noqa: PLR2004 - what to fill, and with what
        return _filled(_value(arguments[0], scope), arguments[1], scope)
    raise _not_there(f"{name}(...)")


def _wanted(arguments: Sequence[ast.expr], scope: Scope) -> Wanted:
    match arguments:
        case [ast.Constant(value=str() as text), ast.Constant(value=str() as stat), *rest]:
            found = _SEARCH.fullmatch(text)
        case _:
            found, stat, rest = None, "", []
    match rest:
        case [] if found is not None:
            period = scope.period
        case [ast.Constant(value=int() as period)] if found is not None:
            pass
        case _:
            raise _not_there("SEARCH(...)")
    namespace, *dimensions = (part.strip() for part in found[1].split(","))
    values = {name: quoted or bare for name, quoted, bare in _TERM.findall(found[2])}
    return Wanted(namespace=namespace, dimensions=frozenset(dimensions), values=values, stat=stat, period=period)


def _combined(sign: Callable[[float, float], float], left: Operand, right: Operand) -> Operand:
    if isinstance(left, list):
        return [_line(_combined(sign, one, right)) for one in left]
    if isinstance(right, list):
        return [_line(_combined(sign, left, one)) for one in right]
    if isinstance(left, float) and isinstance(right, float):
        return _number(sign, left, right)
    period = max(one.period for one in (left, right) if isinstance(one, Line))
    times = [set(one.values) for one in (left, right) if isinstance(one, Line)]
    found = {time: _number(sign, _at(left, time), _at(right, time)) for time in sorted(set.intersection(*times))}
    return Line({time: value for time, value in found.items() if math.isfinite(value)}, period)


def _number(sign: Callable[[float, float], float], left: float, right: float) -> float:
    try:
        return float(sign(left, right))
    except ZeroDivisionError:  # a period without a value, as in CloudWatch
        return math.nan


def _folded(fold: Callable[[Sequence[float]], float], found: Operand) -> Operand:
    if isinstance(found, float):
        return found
    if isinstance(found, Line):
        return fold(list(found.values.values())) if found.values else 0.0
    times = sorted({time for line in found for time in line.values})
    values = {time: fold([line.values[time] for line in found if time in line.values]) for time in times}
    return Line(values, max((line.period for line in found), default=60))


def _filled(found: Operand, filling: ast.expr, scope: Scope) -> Operand:
    if isinstance(found, list):
        return [_line(_filled(line, filling, scope)) for line in found]
    line = _line(found)
    is_repeat = isinstance(filling, ast.Name) and filling.id == REPEAT
    value = math.nan if is_repeat else _value(filling, scope)
    if not isinstance(value, float):
        raise _not_there("FILL with a series")
    filled: Values = {}
    for time in range(scope.start // line.period * line.period, scope.end, line.period):
        here = line.values.get(time, value)
        value = here if is_repeat else value
        if math.isfinite(here):
            filled[time] = here
    return Line(filled, line.period)


def _at(found: Operand, time: int) -> float:
    return found.values[time] if isinstance(found, Line) else float(found)  # type: ignore[arg-type]  # never a list here


def _lines(found: Operand) -> list[Line]:
    if isinstance(found, float):
        raise QueryError("a number stands where a time series has to")
    return found if isinstance(found, list) else [found]


def _line(found: Operand) -> Line:
    (line,) = _lines(found)
    return line


def _not_there(text: str) -> QueryError:
    return QueryError(
        f"the sandbox's CloudWatch cannot do {text!r} in metric math; its module docstring lists what it can"
    )
