"""The worst error of every op in units in the last place (ulp), over operands that are drawn around rows of the table.

The judge computes the Jacobian in the longest precision that the op takes: by complex steps where they agree with
differences, else by differences that are extrapolated, whose own error is told. An error is measured against the sum of
the absolute terms of the derivative along a direction, |J| |v|: cancellation in that sum is no fault of a rule.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

import tapem as tm
from tapem.core import Primitive
from tapem.core.tree import tree_flatten
from tests.tables import Row
from tests.test_table import INDIRECT, TABLE, primitives

MOST, MORE = 24, 96
"""How many elements the operands have: each asks the judge for a column. More only where no row has so few."""
STEP = 1e-2
SURE = 1e-10
"""A judge that is less sure of itself, relative to its largest number, is not asked: there is a kink or a cliff."""
DTYPES = ("float64", "float32")


class Judgment(NamedTuple):
    """A Jacobian, how wrong it may be relative to its largest element, and who says so."""

    jacobian: Any
    error: float
    judge: str


class Function:
    """The op of a row as a function of one vector of all numbers in its real operands, giving one vector."""

    def __init__(self, row: Row, operands: tuple[Any, ...]) -> None:
        """At these operands."""
        self.row, self.operands = row, operands
        self.places = [place for place, x in enumerate(operands) if np.asarray(x).dtype.kind == "f"]
        self.shapes = [np.shape(operands[place]) for place in self.places]

    @property
    def point(self) -> Any:
        """The vector at which it is judged."""
        return np.concatenate([np.ravel(self.operands[place]) for place in self.places])

    def operands_at(self, x: Any) -> tuple[Any, ...]:
        """The operands that a vector stands for."""
        sizes = np.cumsum([int(np.prod(shape)) for shape in self.shapes])[:-1]
        parts = [part.reshape(shape) for part, shape in zip(np.split(x, sizes), self.shapes, strict=True)]
        given = dict(zip(self.places, parts, strict=True))
        return tuple(given.get(place, operand) for place, operand in enumerate(self.operands))

    def op(self, *operands: Any) -> Any:
        """The op with the row's static arguments."""
        return self.row.op(*operands, **self.row.static)

    def __call__(self, x: Any) -> Any:
        """All numbers in the results, in one vector; from the implementation alone, whose precision is not limited."""
        op = self.row.op
        operands, static = op.bind(self.operands_at(x), self.row.static)
        results = op.implementation(*operands, **static)
        return vector(results[0] if op.residuals else results)


def vector(results: Any) -> Any:
    """The inexact numbers in results, side by side; of complex ones the real parts and then the imaginary ones."""
    parts = [np.ravel(np.asarray(part)) for part in tree_flatten(results)[0] if part is not None]
    return np.concatenate([part for part in parts if part.dtype.kind in "fc"])


def halves(y: Any) -> Any:
    """Real and imaginary parts, side by side."""
    return np.concatenate([y.real, y.imag]) if np.iscomplexobj(y) else y


def judged(f: Function) -> Judgment | None:
    """The Jacobian in the longest precision that the op takes; None where it is not finite."""
    found: Judgment | None = None
    for real, complex_, name in ((np.longdouble, np.clongdouble, "80 bits"), (np.float64, np.complex128, "64 bits")):
        x = f.point.astype(real)
        try:
            if f(x).dtype not in (real, complex_):
                continue
            wide = differences(f, x, STEP)
            narrow = differences(f, x, STEP / 3)
        except Exception:  # the op does not take this precision
            continue
        scale = max(float(np.max(np.abs(wide), initial=0)), 1e-300)
        error = float(np.max(np.abs(wide - narrow), initial=0)) / scale
        if not np.isfinite(error):
            return None
        found = Judgment(narrow, error, f"differences, {name}")
        try:
            exact = complex_steps(f, x, complex_)
            if exact is not None and float(np.max(np.abs(exact - narrow), initial=0)) <= (3 * error + 1e-9) * scale:
                return Judgment(exact, float(np.finfo(real).eps), f"complex step, {name}")
        except Exception:  # nor complex numbers
            pass
        return found
    return None


def complex_steps(f: Function, x: Any, dtype: Any) -> Any:
    """The Jacobian by imaginary displacements; None where the op is complex itself."""
    if np.iscomplexobj(f(x)):
        return None
    columns = [f(x.astype(dtype) + dtype(1e-30j) * unit) for unit in np.eye(len(x))]
    if any(column.dtype != np.dtype(dtype) for column in columns):
        return None
    return np.stack([column.imag / type(x[0])(1e-30) for column in columns], axis=-1)


def differences(f: Function, x: Any, step: float) -> Any:
    """The Jacobian by central differences at four steps, extrapolated to none."""
    columns = []
    for unit in np.eye(len(x), dtype=x.dtype):
        h = x.dtype.type(step) * max(x.dtype.type(0.1), abs(unit @ x))
        table = []
        for level in range(4):
            t = h / x.dtype.type(2**level)
            table.append((halves(f(x + t * unit)) - halves(f(x - t * unit))) / (2 * t))
        for order in range(1, 4):
            factor = x.dtype.type(4**order)
            table = [(factor * b - a) / (factor - 1) for a, b in pairwise(table)]
        columns.append(table[0])
    return np.stack(columns, axis=-1)


def drawn(op: Primitive, rows: list[Row], rng: np.random.Generator) -> Function:
    """The op at operands near a row's; for elementwise ops of a shape that is drawn too."""
    row = rows[int(rng.integers(len(rows)))]
    real = [np.asarray(x).dtype.kind == "f" for x in row.operands]
    operands = [x if x is None or not own else np.asarray(x) for x, own in zip(row.operands, real, strict=True)]
    if op.elementwise and not row.static:
        shape = tuple(int(n) for n in rng.integers(1, 4, rng.integers(0, 3)))
        most = MOST // max(1, len(operands))
        shape = shape if np.prod(shape) <= most else shape[:1]
        operands = [np.resize(x, shape) for x in operands]
    for place, own in enumerate(real):
        if own:
            near = operands[place] * (1 + 0.02 * rng.uniform(-1, 1, np.shape(operands[place])))
            operands[place] = np.asarray(near, np.float32).astype(np.float64)  # the same number in both dtypes
    return Function(row, tuple(operands))


def usable(row: Row, most: int) -> bool:
    """Whether a row has real operands, few and finite, and derivatives."""
    real = [np.asarray(x) for x in row.operands if x is not None and np.asarray(x).dtype.kind in "fc"]
    size = sum(x.size for x in real)
    return (
        row.order > 0
        and 0 < size <= most
        and all(x.dtype.kind == "f" and np.all(np.isfinite(x)) and np.all(np.abs(x) < 1e6) for x in real)
    )


def saturated(f: Function, judgment: Judgment) -> bool:
    """Whether the derivative is next to nothing beside the value: what is left of it is rounding in any formula."""
    values, slopes = np.abs(f(f.point)), np.abs(judgment.jacobian) @ np.maximum(np.abs(f.point), 1.0)
    return bool(np.max(slopes, initial=0.0) < 1e-6 * np.max(values, initial=0.0))


def errors(f: Function, judgment: Judgment, dtype: str, rng: np.random.Generator) -> Iterator[tuple[str, float]]:
    """For each mode, the error in ulp of this dtype."""
    jacobian = np.asarray(judgment.jacobian)
    operands = f.operands_at(f.point.astype(dtype))
    active = [operands[place] for place in f.places]

    def of_active(*xs: Any) -> Any:
        given = dict(zip(f.places, xs, strict=True))
        results = f.op(*(given.get(place, operand) for place, operand in enumerate(operands)))
        return [part for part in tree_flatten(results)[0] if part is not None and np.dtype(part.dtype).kind in "fc"]

    ulp = float(np.finfo(dtype).eps)
    v = rng.uniform(0.5, 1.5, jacobian.shape[1]).astype(dtype)
    tangents = Function(f.row, operands).operands_at(v)
    outputs, found = tm.jvp(of_active, tuple(active), tuple(tangents[place] for place in f.places))
    yield "forward", apart(halves(vector(found)), jacobian @ v, np.abs(jacobian) @ np.abs(v), ulp)
    w = rng.uniform(0.5, 1.5, jacobian.shape[0]).astype(dtype)
    sizes = [np.shape(part) for part in outputs]
    number = sum(int(np.prod(shape)) for shape in sizes)
    complex_ = any(np.dtype(output.dtype).kind == "c" for output in outputs)
    whole = w[:number] + 1j * w[number:] if complex_ else w
    places = np.cumsum([int(np.prod(shape)) for shape in sizes])[:-1]
    cotangents = [
        part.reshape(shape).astype(output.dtype)
        for part, shape, output in zip(np.split(whole, places), sizes, outputs, strict=True)
    ]
    signs = np.concatenate([np.ones(number), -np.ones(number)]) if complex_ else np.ones(number)
    back = tm.vjp(of_active, *active)[1](cotangents)
    found = np.concatenate([np.ravel(part).astype(np.float64) for part in back])
    weights = w * signs
    yield "reverse", apart(found, weights @ jacobian, np.abs(weights) @ np.abs(jacobian), ulp)


def apart(found: Any, expected: Any, terms: Any, ulp: float) -> float:
    """The largest distance in ulp of the largest sum of absolute terms."""
    scale = float(np.max(terms, initial=0.0))
    return float(np.max(np.abs(found - expected), initial=0.0)) / (ulp * scale) if scale > 0 else 0.0


@functools.cache
def rows_of(op: Primitive) -> tuple[Row, ...]:
    """The rows around which operands are drawn."""
    every = [row for _, row in TABLE if row.op is op]
    return tuple(row for row in every if usable(row, MOST)) or tuple(row for row in every if usable(row, MORE))


def measured(op: Primitive, examples: int, seed: int) -> dict[str, Any]:
    """What is told of an op: errors by mode and dtype, the judge and its own error, or why there is nothing to tell."""
    rows = list(rows_of(op))
    if not op.differentiable:
        return {"op": op.name, "none": "no derivative"}
    if not rows:
        return {"op": op.name, "none": INDIRECT.get(op.name, "complex operands, which other tests judge")}
    rng = np.random.default_rng([seed, *op.name.encode()])
    worst: dict[str, float] = {}
    judges: dict[str, float] = {}
    points = 0
    for _ in range(examples):
        with np.errstate(all="ignore"):
            try:
                f = drawn(op, rows, rng)
                judgment = judged(f)
            except Exception:  # the operands that were drawn are none of this op's
                continue
            if judgment is None or judgment.error > SURE or saturated(f, judgment):
                continue
            points += 1
            own = judgment.error / float(np.finfo(np.float64).eps)
            judges[judgment.judge] = max(judges.get(judgment.judge, 0.0), own)
            for dtype in DTYPES:
                sharp = dtype == "float32" or (own <= 2 and judgment.judge != "differences, 64 bits")
                try:
                    for mode, error in errors(f, judgment, dtype, rng):
                        key = f"{mode} {dtype}" if sharp else f"{mode} {dtype}, judge"
                        worst[key] = max(worst.get(key, 0.0), error)
                except tm.DTypeError:
                    continue
    if not points:
        return {"op": op.name, "none": "no judge that is sure"}
    return {"op": op.name, "points": points, "worst": worst, "judges": judges}


def measure(examples: int, seed: int, only: Callable[[Primitive], bool] = lambda op: True) -> list[dict[str, Any]]:
    """Every op."""
    return [measured(op, examples, seed) for op in sorted(primitives(), key=lambda op: op.name) if only(op)]
