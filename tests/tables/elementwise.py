"""Rows of the elementwise ops: shapes, broadcasting, integers, numbers, empty axes; all away from kinks."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.special

from tapem.core import structure
from tapem.ops import (
    activations,
    arithmetic,
    casting,
    comparison,
    exponential,
    integers,
    norms,
    selection,
    trigonometry,
)
from tests.tables import Row

SHAPES = [(), (3,), (2, 1, 3), (0,), (2, 0), (1,)]
PAIRS = [((3,), (3,)), ((2, 3), (3,)), ((2, 1), (1, 3)), ((), (2, 2)), ((1, 3), ()), ((0, 3), (1, 3)), ((1,), (4, 1))]


def spread(low: float, high: float, shape: tuple[int, ...], seed: int = 0) -> Any:
    """Values that fill an interval, in random order and different in each call with another seed."""
    size = int(np.prod(shape))
    steps = np.random.default_rng(seed + size).permutation(size) + 0.2 + 0.5 * (seed % 2)
    return (low + (high - low) * steps / max(size, 1)).reshape(shape)


def one(op: Any, low: float, high: float, reference: Any = None, **static: Any) -> list[Row]:
    """Rows of an op of one operand that is smooth on an interval."""
    reference = reference or op.numpy[0]
    rows = [Row(op, (spread(low, high, shape),), static, reference) for shape in SHAPES]
    return [*rows, Row(op, (float(spread(low, high, ())),), static, reference, "number")]


def two(op: Any, low: float, high: float, reference: Any = None, other: tuple[float, float] | None = None) -> list[Row]:
    """Rows of an op of two operands, each in an interval of its own; a number on either side among them."""
    reference = reference or op.numpy[0]
    floor, ceiling = other or (low, high)
    rows = [Row(op, (spread(low, high, a), spread(floor, ceiling, b, 1)), {}, reference) for a, b in PAIRS]
    x, y = spread(low, high, (2, 3)), spread(floor, ceiling, (2, 3), 1)
    return [
        *rows,
        Row(op, (x, float(y[0, 0])), {}, reference, "number right"),
        Row(op, (float(x[0, 0]), y), {}, reference, "number left"),
    ]


def constant(op: Any, *operands: Any, reference: Any = None, **static: Any) -> Row:
    """A row of an op that is not differentiated."""
    return Row(op, operands, static, reference or op.numpy[0], "constant", order=0)


INTS = np.array([[1, 2, 3], [-4, 5, 6]])
X = np.array([[0.3, -1.2, 2.5], [1.7, -0.4, 0.9]])
MASK = np.array([True, False, True])

ARITHMETIC = [
    *(
        row
        for power in (1.5, -0.5)
        for row in (
            *one(norms.odd_power, -2, 2.5, lambda x, power: np.sign(x) * np.abs(x) ** power, power=power),
            *one(norms.even_power, -2, 2.5, lambda x, power: np.abs(x) ** power, power=power),
        )
    ),
    *one(arithmetic.identity, -2, 2),
    *two(arithmetic.add, -2, 2),
    Row(arithmetic.add, (X, INTS), {}, np.add, "integers"),
    Row(arithmetic.add, (X, MASK), {}, np.add, "bools"),
    *two(arithmetic.sub, -2, 2),
    Row(arithmetic.sub, (INTS, X), {}, np.subtract, "integers"),
    *two(arithmetic.mul, -2, 2),
    Row(arithmetic.mul, (X, INTS), {}, np.multiply, "integers"),
    Row(arithmetic.mul, (MASK, X), {}, np.multiply, "bools"),
    *two(arithmetic.div, 0.5, 2),
    Row(arithmetic.div, (X, INTS), {}, np.divide, "integers"),
    *one(arithmetic.neg, -2, 2),
    *[Row(arithmetic.scale, (spread(-2, 2, shape), 1.5), {}, np.multiply) for shape in SHAPES],
    Row(arithmetic.scale, (X, np.array(0.7)), {}, np.multiply, "0-d factor"),
    *one(arithmetic.reciprocal, 0.5, 2),
    *one(arithmetic.square, -2, 2),
    *one(arithmetic.sqrt, 0.5, 2),
    *two(arithmetic.power, 0.5, 2, None, (-1.5, 2.5)),
    *[Row(arithmetic.power, (X, n), {}, np.power, "integer exponent") for n in (-2, -1, 0, 1, 2, 3)],
    *[Row(arithmetic.power, (np.abs(X), n), {}, np.power, "real exponent") for n in (-0.5, 0.0, 0.5, 2.0)],
    Row(arithmetic.power, (X, INTS), {}, np.power, "integer exponents, negative bases"),
    Row(arithmetic.power, (2, X), {}, np.power, "integer base"),
    Row(arithmetic.power, (np.zeros(3), np.array([0, 1, 2])), {}, np.power, "zero base"),
    *two(arithmetic.hypot, 0.5, 2),
    *one(arithmetic.abs, -2, -0.1),
    Row(arithmetic.abs, (X,), {}, np.abs, "both signs"),
    Row(arithmetic.fabs, (X,), {}, np.fabs),
    constant(arithmetic.sign, X),
    *two(arithmetic.copysign, 0.5, 2, None, (-2, -0.5)),
    *two(arithmetic.remainder, 2.3, 2.55, None, (-0.95, -0.88)),
    *two(arithmetic.fmod, -2.55, -2.3, None, (0.88, 0.95)),
    Row(arithmetic.fmod, (np.array([5.3, -7.2, 4.4]), np.array([2.0, -3.0, 1.7])), {}, np.fmod, "all divisors"),
    Row(arithmetic.copysign, (np.array([-1.5, 2.0, -0.7]), np.array([1.0, -2.0, -0.5])), {}, np.copysign, "all signs"),
]

TRIGONOMETRY = [
    *one(trigonometry.sin, -4, 4),
    *one(trigonometry.cos, -4, 4),
    *one(trigonometry.tan, -1, 1),
    *one(trigonometry.arcsin, -0.9, 0.9),
    *one(trigonometry.arccos, -0.9, 0.9),
    *one(trigonometry.arctan, -3, 3),
    *two(trigonometry.arctan2, -2, -0.5, None, (0.5, 2)),
    *one(trigonometry.sinh, -2, 2),
    *one(trigonometry.cosh, -2, 2),
    *one(trigonometry.tanh, -2, 2),
    *one(trigonometry.arcsinh, -2, 2),
    *one(trigonometry.arccosh, 1.5, 4),
    *one(trigonometry.arctanh, -0.8, 0.8),
    *one(trigonometry.deg2rad, -180, 180),
    *one(trigonometry.rad2deg, -4, 4),
    *one(trigonometry.sinc, -3, 3),
    Row(trigonometry.sinc, (np.array([0.0, 1e-9, -1e-5, 0.01, 0.3, 1.0]),), {}, np.sinc, "near 0"),
    Row(trigonometry.sin, (INTS,), {}, np.sin, "integers", order=0),
]

EXPONENTIAL = [
    *one(exponential.exp, -2, 2),
    *one(exponential.exp2, -2, 2),
    *one(exponential.expm1, -2, 2),
    *one(exponential.log, 0.5, 4),
    *one(exponential.log2, 0.5, 4),
    *one(exponential.log10, 0.5, 4),
    *one(exponential.log1p, -0.5, 4),
    *two(exponential.logaddexp, -2, 2),
    *two(exponential.logaddexp2, -2, 2),
    *one(exponential.safe_log, -3, 3, lambda x, eps: np.log(np.log1p(np.exp(x)) + eps), eps=1e-6),
    *one(exponential.safe_log, -3, 3, lambda x, eps: np.log(np.log1p(np.exp(x)) + eps), eps=0.5),
    *one(exponential.cbrt, -2, -0.5),
]


def gelu(x: Any, approximate: str) -> Any:
    """The definition, with SciPy's functions."""
    if approximate == "none":
        return x * scipy.special.ndtr(x)
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


ACTIVATIONS = [
    *one(activations.relu, 0.1, 2, lambda x: np.where(x > 0, x, 0)),
    Row(activations.relu, (X,), {}, lambda x: np.where(x > 0, x, 0), "both signs"),
    Row(activations.relu, (INTS,), {}, lambda x: np.where(x > 0, x, 0), "integers", order=0),
    *one(activations.sigmoid, -6, 6, scipy.special.expit),
    *one(activations.softplus, -6, 6, lambda x: np.logaddexp(x, 0)),
    *one(activations.silu, -6, 6, lambda x: x * scipy.special.expit(x)),
    *one(activations.erf, -3, 3, scipy.special.erf),
    *one(activations.gelu, -4, 4, gelu, approximate="none"),
    *one(activations.gelu, -4, 4, gelu, approximate="tanh"),
    *one(activations.leaky_relu, -2, -0.1, lambda x, negative_slope: negative_slope * x, negative_slope=0.2),
    Row(activations.leaky_relu, (X,), {}, lambda x: np.where(x > 0, x, 0.01 * x), "both signs"),
    *one(activations.elu, -2, -0.1, lambda x, alpha: alpha * np.expm1(x), alpha=1.7),
    Row(activations.elu, (X,), {}, lambda x: np.where(x > 0, x, np.expm1(x)), "both signs"),
]

CONDITIONS = {(): np.array(True), (3,): MASK, (2, 1): np.array([[True], [False]]), (0, 3): np.zeros((0, 3), bool)}

SELECTION = [
    *[
        Row(selection.where, (condition, spread(-2, 2, a), spread(-2, 2, b, 1)), {}, np.where)
        for condition in CONDITIONS.values()
        for a, b in (((3,), (1, 3)), ((1, 3), ()), ((), (1, 1)))
    ],
    Row(selection.where, (MASK, X, 0.5), {}, np.where, "number"),
    Row(selection.where, (np.array([1, 0, 2]), 0.5, X), {}, np.where, "integer condition"),
    *two(selection.maximum, -2, 2),
    *two(selection.minimum, -2, 2),
    *two(selection.fmax, -2, 2),
    *two(selection.fmin, -2, 2),
    Row(selection.fmax, (X, np.array([np.nan, 0.5, 0.6])), {}, np.fmax, "NaN", order=0),
    # At a tie of two, a central difference is the mean of both sides, which is what the rule gives.
    *(
        Row(op, (X, X + np.array([0, 0.3, -0.3])), {}, f, "tie", order=1)
        for op, f in ((selection.fmax, np.fmax), (selection.fmin, np.fmin))
    ),
    *[
        Row(selection.clamp, (X, lo, hi), {}, np.clip)
        for lo, hi in ((-1.0, 1.0), (None, 1.0), (-1.0, None), (np.array([[-0.5], [0.1]]), X[1] + 0.7))
    ],
    Row(selection.clamp, (X, None, None), {}, lambda x, lo, hi: x),
    Row(selection.clamp, (X[:, :1], np.full(3, -1.0), X + 0.25), {}, np.clip, "broadcast"),
    Row(selection.clamp, (X, 1.0, -1.0), {}, np.clip, "lo > hi"),
    Row(selection.clamp, (INTS, 2, 4), {}, np.clip, "integers", order=0),
]

NAN = np.array([1.0, np.nan, np.inf, -0.0])
BITS = np.array([5, 6, 3])

CONSTANT = [
    *[
        constant(op, X, np.where(X > 0, X, 1.0))
        for op in (
            comparison.less, comparison.less_equal, comparison.greater, comparison.greater_equal, comparison.equal,
            comparison.not_equal, comparison.isclose, comparison.floor_divide, comparison.heaviside,
            comparison.logical_and, comparison.logical_or, comparison.logical_xor,
        )
    ],
    *[
        constant(op, X[:, None], 0.35)
        for op in (comparison.less, comparison.equal, comparison.floor_divide, comparison.heaviside)
    ],
    constant(comparison.isclose, X, X + 0.01, rtol=0.0, atol=0.1, equal_nan=True),
    *[constant(op, BITS, 3) for op in (integers.bitwise_and, integers.bitwise_or, integers.bitwise_xor)],
    constant(integers.bitwise_not, MASK),
    constant(comparison.logical_not, NAN),
    *[constant(op, NAN) for op in (comparison.isfinite, comparison.isinf, comparison.isnan, comparison.signbit)],
    *[constant(op, X) for op in (comparison.floor, comparison.ceil, comparison.trunc, comparison.rint)],
    *[constant(op, np.zeros((2, 0))) for op in (comparison.floor, comparison.isnan, comparison.logical_not)],
    constant(comparison.round, X, decimals=0),
    constant(comparison.round, X, decimals=1),
    constant(structure.detach, X, reference=lambda x: x),
]  # fmt: skip


def cast(x: Any, dtype: Any) -> Any:
    """NumPy's own cast."""
    return np.asarray(x).astype(dtype)


CASTING = [
    *[Row(casting.cast, (spread(-2, 2, shape),), {"dtype": np.dtype("float64")}, cast) for shape in SHAPES],
    Row(casting.cast, (INTS,), {"dtype": np.dtype("float32")}, cast, "integers", order=0),
    Row(casting.cast, (np.array([0.5, 1.25]),), {"dtype": np.dtype("float32")}, cast, "narrower", order=0),
    constant(casting.discretize, X, reference=cast, dtype=np.dtype("int64")),
    constant(casting.discretize, X, reference=cast, dtype=np.dtype("bool")),
]

ROWS: list[Row] = [
    *ARITHMETIC, *TRIGONOMETRY, *EXPONENTIAL, *ACTIVATIONS, *SELECTION, *CONSTANT, *CASTING,
]  # fmt: skip
