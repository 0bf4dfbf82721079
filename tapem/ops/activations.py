"""Activation functions, and the error function, which gelu needs. All are stable for every finite input."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tapem.errors import ArgumentError
from tapem.ops.declare import batch_elementwise, elementwise, primitive
from tapem.ops.selection import masked
from tapem.types import Float, Inexact, Num, Real, Tensor

__all__ = ["elu", "erf", "gelu", "leaky_relu", "relu", "sigmoid", "silu", "softplus"]

T = Num[Tensor, "*shape"]
RealIn = Real[Tensor, "*shape"]
FloatOut = Float[Tensor, "*shape"]
InexactOut = Inexact[Tensor, "*shape"]


_BLOCK = 1 << 15


@functools.lru_cache(maxsize=4)
def _zeros(dtype: Any) -> Any:
    zeros = np.zeros(_BLOCK, dtype)
    zeros.flags.writeable = False
    return zeros


def _positive_part(x: Any) -> Any:
    """The maximum of x and 0, which NumPy finds up to four times as fast for two arrays as for an array and a number.

    For a large x that lies dense in memory, in whatever order of axes, the other array is a block of zeros.
    """
    if type(x) is not np.ndarray or x.size < 4096 or x.dtype.char not in "fd":
        return np.maximum(x, 0)
    y = np.empty_like(x)
    if y.strides != x.strides:
        return np.maximum(x, 0)
    zeros, given, found = _zeros(x.dtype), x.ravel("K"), y.ravel("K")
    for start in range(0, x.size, _BLOCK):
        part = given[start : start + _BLOCK]
        np.maximum(part, zeros[: part.size], out=found[start : start + _BLOCK])
    return y


@elementwise(lambda g, y, x: masked(g, y > 0))
def relu(x: RealIn) -> RealIn:
    """The positive part, max(x, 0): Real "*shape" -> Real "*shape".

    Kink: the derivative at 0 is 0.

    >>> relu(np.array([1.0, -2.0]))
    array([1., 0.])
    """
    return _positive_part(x)


_FLOAT = np.dtype(float)


def _signed(x: Any) -> Any:
    """The operand as numbers that have a negative: bools have none, and unsigned integers wrap around."""
    return x + 0.0 if getattr(x, "dtype", _FLOAT).kind in "bu" else x


@elementwise(lambda g, y, x: g * (y * (1 - y)))
def sigmoid(x: T) -> InexactOut:
    """The logistic function 1 / (1 + exp(-x)): Num "*shape" -> Inexact "*shape".

    Small results are accurate too, so log(sigmoid(x)) is accurate.

    >>> sigmoid(np.array([0.0, 1e4, -1e4]))
    array([0.5, 1. , 0. ])
    """
    with np.errstate(over="ignore"):  # exp(-x) = inf correctly gives 0
        return 1 / (1 + np.exp(-_signed(x)))


@elementwise(lambda g, y, x: g * -np.expm1(-y))
def softplus(x: RealIn) -> InexactOut:
    """log(1 + exp(x)), the smooth positive part: Real "*shape" -> Inexact "*shape".

    >>> softplus(np.array([0.0, 1e4, -1e4])).round(4)
    array([6.931e-01, 1.000e+04, 0.000e+00])
    """
    x = _signed(x)
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def _number(value: Any, op: str, name: str) -> float:
    """Convert a static argument, which must be one finite number, to a Python float, which does not promote float32."""
    if isinstance(value, int | float | np.number) and math.isfinite(value):
        return float(value)
    raise ArgumentError(f"{op}: {name} must be a finite number, not {value!r}.")


@elementwise(lambda g, y, x, negative_slope: np.where(x > 0, g, g * float(negative_slope)))
def leaky_relu(x: RealIn, negative_slope: float = 0.01) -> InexactOut:
    """`x` where it is positive, else `negative_slope` times `x`: Real "*shape" -> Inexact "*shape".

    Kink: the derivative at 0 is `negative_slope`. Raises ArgumentError unless the slope is a finite number.

    >>> leaky_relu(np.array([1.0, -2.0]))
    array([ 1.  , -0.02])
    """
    slope = _number(negative_slope, "leaky_relu(x, negative_slope)", "negative_slope")
    return np.maximum(x, 0) + slope * np.minimum(x, 0)


@elementwise(lambda g, y, x, alpha: g * np.where(x > 0, 1, y + float(alpha)))
def elu(x: RealIn, alpha: float = 1.0) -> InexactOut:
    """`x` where it is positive, else `alpha` * (exp(x) - 1): Real "*shape" -> Inexact "*shape".

    Kink: the derivative at 0 is `alpha`. Raises ArgumentError unless alpha is a finite number. Source: Clevert,
    Unterthiner and Hochreiter, "Fast and accurate deep network learning by exponential linear units", 2015.

    >>> elu(np.array([1.0, -1e4]))
    array([ 1., -1.])
    """
    return np.maximum(x, 0) + _number(alpha, "elu(x, alpha)", "alpha") * np.expm1(np.minimum(x, 0))


def _by_sigmoid(g: Any, y: Any, s: Any, x: Any) -> Any:
    return g * (s + y * (1 - s))


@primitive(rrule=(_by_sigmoid,), frule=(_by_sigmoid,), batch=batch_elementwise, residuals=True)
def silu(x: RealIn) -> InexactOut:
    """x * sigmoid(x), also called swish: Real "*shape" -> Inexact "*shape".

    >>> silu(np.array([0.0, 1e4, -1e4]))
    array([    0., 10000.,    -0.])
    """
    s: Any = sigmoid(x)
    return x * s, s  # type: ignore[return-value]  # the value and its residual


# The error function ---------------------------------------------------------------------------------------------------

# |x| <= 1: erf(x) = x * T(x**2) / U(x**2); above: 1 - exp(-x**2) * P(x) / Q(x). Highest power first.
# Source: S. L. Moshier, Cephes Mathematical Library, ndtr.c.
_T = (9.60497373987051638749e0, 9.00260197203842689217e1, 2.23200534594684319226e3, 7.00332514112805075473e3,
      5.55923013010394962768e4)  # fmt: skip
_U = (1.0, 3.35617141647503099647e1, 5.21357949780152679795e2, 4.59432382970980127987e3, 2.26290000613890934246e4,
      4.92673942608635921086e4)  # fmt: skip
_P = (2.46196981473530512524e-10, 5.64189564831068821977e-1, 7.46321056442269912687e0, 4.86371970985681366614e1,
      1.96520832956077098242e2, 5.26445194995477358631e2, 9.34528527171957607540e2, 1.02755188689515710272e3,
      5.57535335369399327526e2)  # fmt: skip
_Q = (1.0, 1.32281951154744992508e1, 8.67072140885989742329e1, 3.54937778887819891062e2, 9.75708501743205489753e2,
      1.82390916687909736289e3, 2.24633760818710981792e3, 1.65666309194161350182e3,
      5.57535340817727675546e2)  # fmt: skip
# float32: erf(x) = x * A(x**2) / B(x**2) for |x| <= 4. Source: Eigen, generic_fast_erf_float.
_A = (-2.72614225801306e-10, 2.77068142495902e-08, -2.10102402082508e-06, -5.69250639462346e-05,
      -7.34990630326855e-04, -2.95459980854025e-03, -1.60960333262415e-02)  # fmt: skip
_B = (-1.45660718464996e-05, -2.13374055278905e-04, -1.68282697438203e-03, -7.37332916720468e-03,
      -1.42647390514189e-02)  # fmt: skip


def _polynomial(coefficients: Sequence[float], x: Any) -> Any:
    """Evaluate by Horner's rule, in place: new arrays would take most of the time."""
    total = x * coefficients[0]
    for coefficient in coefficients[1:-1]:
        total += coefficient
        total *= x
    total += coefficients[-1]
    return total


def _erf64(x: Any) -> Any:
    size = np.abs(x)
    small, large = np.minimum(size, 1), np.clip(size, 1, 6)  # erf(6) is 1 in float64
    square = small * small
    near = small * _polynomial(_T, square) / _polynomial(_U, square)
    far = 1 - np.exp(-large * large) * _polynomial(_P, large) / _polynomial(_Q, large)
    return np.copysign(np.where(size <= 1, near, far), x)


def _erf32(x: Any) -> Any:
    x = np.clip(x, -4, 4)
    square = x * x
    # Rounding may exceed 1, but a probability must not.
    return np.clip(x * _polynomial(_A, square) / _polynomial(_B, square), -1, 1)


def _gaussian(x: Any) -> Any:
    """exp(-x**2), which is 0 if the square overflows."""
    with np.errstate(over="ignore"):
        return np.exp(-(x * x))


@elementwise(lambda g, y, x: g * (_gaussian(x) * (2 / math.sqrt(math.pi))))
def erf(x: RealIn) -> FloatOut:
    """The error function, 2/sqrt(pi) times the integral of exp(-t**2) from 0 to x: Real "*shape" -> Float "*shape".

    Computed by rational approximations in plain NumPy, accurate to the last bit or two in float64 and to 5e-7 in
    float32; float16 is computed in float32. Sources: Cephes for float64, Eigen for float32.

    >>> erf(np.array([0.0, 1e4, -1e4]))
    array([ 0.,  1., -1.])
    """
    array = np.asarray(x)
    if array.dtype.char in "ef":
        return _erf32(array.astype(np.float32, copy=False)).astype(array.dtype, copy=False)
    return _erf64(array.astype(np.float64, copy=False, casting="same_kind"))


# gelu -----------------------------------------------------------------------------------------------------------------

_SLOPE, _CUBIC = math.sqrt(2 / math.pi), 0.044715
_EXACT, _TANH = ("none", False), ("tanh", True)
_DENSITY = math.sqrt(0.5 / math.pi)
# 1 - erf(z) = t * C(t) * exp(-z**2) with t = 1 / (1 + p * z), for z >= 0, to 1.5e-7. Source: Abramowitz and Stegun,
# Handbook of Mathematical Functions, 7.1.26; half of it is needed here.
_P_OF_T = 0.3275911
_C = tuple(0.5 * c for c in (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592))


_erf: Any = erf


def _in_place(*values: Any) -> bool:
    """Whether these are arrays of one float dtype, so that intermediate results may be changed in place."""
    return all(type(x) is np.ndarray and x.ndim for x in values) and len({x.dtype for x in values}) == 1


def _normal(x: Any) -> tuple[Any, Any]:
    """The standard normal distribution function, and its density."""
    if not (_in_place(x) and x.dtype == np.float32):
        return 0.5 + 0.5 * _erf(x * math.sqrt(0.5)), _gaussian(x * math.sqrt(0.5)) * _DENSITY
    with np.errstate(over="ignore"):
        density = x * x
    density *= -0.5
    np.exp(density, out=density)
    t = np.abs(x)
    t *= _P_OF_T * math.sqrt(0.5)
    t += 1
    np.divide(1, t, out=t)
    tail = _polynomial(_C, t)
    tail *= t
    tail *= density
    density *= _DENSITY
    weight = np.subtract(np.greater(x, 0), tail, out=tail)  # the tail is the probability beyond |x|
    return np.abs(weight, out=weight), density


def _logistic(x: Any) -> Any:
    """(1 + tanh(u)) / 2 for u = sqrt(2 / pi) * (x + 0.044715 * x**3)."""
    if not (_in_place(x) and x.dtype.kind == "f"):
        # Beyond +-10 tanh has reached its limit, and x**3 may overflow.
        bounded = np.minimum(np.maximum(x, -10), 10)
        return 0.5 + 0.5 * np.tanh(bounded * (_SLOPE + _SLOPE * _CUBIC * (bounded * bounded)))
    with np.errstate(over="ignore"):  # infinities correctly give 0 and 1
        weight = x * x
        weight *= _SLOPE * _CUBIC
        weight += _SLOPE
        weight *= x
    np.tanh(weight, out=weight)
    weight += 1
    weight *= 0.5
    return weight


def _gelu_slope(g: Any, y: Any, kept: Any, x: Any, approximate: str | bool) -> Any:
    """The product rule for x * weight(x), whose density is the derivative of the weight."""
    weight, density = kept
    if approximate in _EXACT:
        if not _in_place(g, density, x):
            return g * (weight + x * density)
        slope = x * density
    else:
        # Nothing overflows in this order: for large |x| either y or 1 - weight is 0.
        slope = 1 - weight
        if not _in_place(g, slope, y, x):
            slope, bounded = slope * y, np.minimum(np.maximum(x, -10), 10)  # beyond these bounds the slope is 0
            cubic = slope * bounded * bounded * (6 * _SLOPE * _CUBIC)
            return (slope * (2 * _SLOPE) + cubic + weight) * g
        slope *= y
        cubic = slope * x
        cubic *= x
        cubic *= 6 * _SLOPE * _CUBIC
        slope *= 2 * _SLOPE
        slope += cubic
    slope += weight
    slope *= g
    return slope


@primitive(rrule=(_gelu_slope,), frule=(_gelu_slope,), batch=batch_elementwise, residuals=True, opaque=True)
def gelu(x: RealIn, approximate: str | bool = "none") -> InexactOut:
    """`x` times the probability that a standard normal variable is below `x`: Real "*shape" -> Inexact "*shape".

    `approximate` is "none" (or False) for the exact function, x * (1 + erf(x / sqrt(2))) / 2, or "tanh" (or True) for
    x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))) / 2. In float32 the probability is accurate to 2e-7. Source:
    Hendrycks and Gimpel, "Gaussian error linear units", 2016.

    Raises ArgumentError for any other `approximate`.

    >>> gelu(np.array([1.0, 1e4])), gelu(np.array([1.0, 1e4]), approximate="tanh")
    (array([8.41344746e-01, 1.00000000e+04]), array([8.41191991e-01, 1.00000000e+04]))
    """
    if approximate in _EXACT:
        weight, density = _normal(x)
    elif approximate in _TANH:
        weight, density = _logistic(x), None
    else:
        raise ArgumentError(f"gelu(x, approximate): approximate must be 'none' or 'tanh', not {approximate!r}.")
    return x * weight, (weight, density)  # type: ignore[return-value]  # the value and its residuals
