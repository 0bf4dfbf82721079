"""Functions of one number for native loops: straight lines of arithmetic, which LLVM vectorizes.

Each is accurate to 2 units in the last place over the whole range; infinities, NaN, signed zeros and subnormal numbers
are as in NumPy. There is one function for float32 and one for float64. They are native functions of their own, not
compiled as part of the loop that calls them: a loop may add up in any order, but here the order of operations counts.

Sources: W. J. Cody and W. Waite, "Software manual for the elementary functions", 1980, for the reduction of arguments;
fdlibm (Sun Microsystems) and S. L. Moshier's Cephes library for coefficients.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, cast

import numba
import numpy as np

from tapem.compiler.native.bits import bits32, bits64, float32_of, float64_of

# numba has no types of its own for pyright.
_numba = cast("Any", numba)
native: Callable[[Any], Any] = _numba.njit(fastmath={"contract"}, error_model="numpy", forceinline=True)

WIDE32, WIDE64 = np.float32(2.0**18), 2.0**16
"""sin and cos are accurate up to here; for larger arguments a loop is run again with the functions of `wide`."""


def _singles(*values: float) -> tuple[np.float32, ...]:
    return tuple(map(np.float32, values))


# Adding 1.5 * 2**52 rounds to an integer, which then lies in the lowest bits.
_ROUND64, _ROUND32 = 1.5 * 2.0**52, np.float32(1.5 * 2.0**23)
_LOG2E, _LN2_HIGH, _LN2_LOW = 1.4426950408889634, 6.93147180369123816490e-1, 1.90821492927058770002e-10
_INF32, _NAN32 = np.float32(np.inf), np.float32(np.nan)
_ZERO, _HALF, _ONE, _TWO = _singles(0, 0.5, 1, 2)
_L32 = _singles(1.44269504088896341, 0.693359375, -2.12194440e-4)

# -- exp ---------------------------------------------------------------------------------------------------------------

_EXP64 = tuple(1 / math.factorial(n) for n in range(14))
_EXP32 = _singles(1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)


@native
def _tail64(r: Any) -> Any:
    """(exp(r) - 1 - r) / r**2 for |r| <= log(2) / 2."""
    p = ((((_EXP64[13] * r + _EXP64[12]) * r + _EXP64[11]) * r + _EXP64[10]) * r + _EXP64[9]) * r + _EXP64[8]
    return (((((p * r + _EXP64[7]) * r + _EXP64[6]) * r + _EXP64[5]) * r + _EXP64[4]) * r + _EXP64[3]) * r + _EXP64[2]


@native
def _tail32(r: Any) -> Any:
    p = ((_EXP32[0] * r + _EXP32[1]) * r + _EXP32[2]) * r + _EXP32[3]
    return (p * r + _EXP32[4]) * r + _EXP32[5]


@native
def exp64(x: Any) -> Any:
    """The exponential: exp(k * log(2) + r) = 2**k * exp(r), with 2**k as two factors, for results near the limits."""
    x = 710.0 if x > 710.0 else x
    x = -750.0 if x < -750.0 else x
    k = (x * _LOG2E + _ROUND64) - _ROUND64
    high, low = x - k * _LN2_HIGH, k * _LN2_LOW
    r = high - low
    y = 1.0 + (r + (r * r * _tail64(r) + ((high - r) - low)))
    half = k * 0.5 + _ROUND64
    rest = (k - (half - _ROUND64)) + _ROUND64
    return y * float64_of((bits64(half) + 1023) << 52) * float64_of((bits64(rest) + 1023) << 52)


@native
def exp32(x: Any) -> Any:
    """The exponential."""
    x = np.float32(90.0) if x > np.float32(90.0) else x
    x = np.float32(-110.0) if x < np.float32(-110.0) else x
    k = (x * _L32[0] + _ROUND32) - _ROUND32
    high, low = x - k * _L32[1], k * _L32[2]
    r = high - low
    y = _ONE + (r + (r * r * _tail32(r) + ((high - r) - low)))
    half = k * _HALF + _ROUND32
    rest = (k - (half - _ROUND32)) + _ROUND32
    return (
        y
        * float32_of((bits32(half) + np.int32(127)) << np.int32(23))
        * float32_of((bits32(rest) + np.int32(127)) << np.int32(23))
    )


@native
def expm1_64(x: Any) -> Any:
    """exp(x) - 1 = 2**k * (exp(r) - 1) + (2**k - 1), with half of 2**k, which does not overflow."""
    z = 710.0 if x > 710.0 else x
    z = -40.0 if z < -40.0 else z
    k = (z * _LOG2E + _ROUND64) - _ROUND64
    high, low = z - k * _LN2_HIGH, k * _LN2_LOW
    r = high - low
    p = r + (r * r * _tail64(r) + ((high - r) - low))
    scale = float64_of((bits64(k + _ROUND64) + 1022) << 52)
    return x if abs(x) < 1e-17 else 2.0 * (scale * p + (scale - 0.5))


@native
def expm1_32(x: Any) -> Any:
    """exp(x) - 1."""
    z = np.float32(90.0) if x > np.float32(90.0) else x
    z = np.float32(-20.0) if z < np.float32(-20.0) else z
    k = (z * _L32[0] + _ROUND32) - _ROUND32
    high, low = z - k * _L32[1], k * _L32[2]
    r = high - low
    p = r + (r * r * _tail32(r) + ((high - r) - low))
    scale = float32_of((bits32(k + _ROUND32) + np.int32(126)) << np.int32(23))
    y = _TWO * (scale * p + (scale - _HALF))
    y = _INF32 if x > np.float32(88.9) else y
    return x if abs(x) < np.float32(1e-8) else y


# -- log ---------------------------------------------------------------------------------------------------------------

_LOG64 = (1.479819860511658591e-1, 1.531383769920937332e-1, 1.818357216161805012e-1, 2.222219843214978396e-1,
          2.857142874366239149e-1, 3.999999999940941908e-1, 6.666666666666735130e-1)  # fmt: skip
_LOG32 = _singles(0.24279078841, 0.28498786688, 0.40000972152, 0.66666662693)


@native
def _log64(x: Any, extra: Any) -> Any:
    """log(x) + extra for a positive x, with a small extra: x = 2**k * (1 + f) with 1 + f between sqrt(0.5), sqrt(2)."""
    small = x < 2.2250738585072014e-308
    bits = bits64(x * 18014398509481984.0 if small else x)
    bits += 0x3FF0000000000000 - 0x3FE6A09E667F3BCD
    k = float64_of((bits >> 52) + 0x4330000000000000) - (4503599627370496.0 + (1077.0 if small else 1023.0))
    f = float64_of((bits & 0xFFFFFFFFFFFFF) + 0x3FE6A09E667F3BCD) - 1.0
    s = f / (2.0 + f)
    z = s * s
    p = ((_LOG64[0] * z + _LOG64[1]) * z + _LOG64[2]) * z + _LOG64[3]
    p = (((p * z + _LOG64[4]) * z + _LOG64[5]) * z + _LOG64[6]) * z
    half = 0.5 * f * f
    return k * _LN2_HIGH - ((half - (s * (half + p) + (k * _LN2_LOW + extra))) - f)


@native
def _log32(x: Any, extra: Any) -> Any:
    small = x < np.float32(1.17549435e-38)
    bits = bits32(x * np.float32(33554432.0) if small else x)
    bits += np.int32(0x3F800000 - 0x3F3504F3)
    k = np.float32(bits >> np.int32(23)) - (np.float32(152.0) if small else np.float32(127.0))
    f = float32_of((bits & np.int32(0x7FFFFF)) + np.int32(0x3F3504F3)) - _ONE
    s = f / (_TWO + f)
    z = s * s
    p = (((_LOG32[0] * z + _LOG32[1]) * z + _LOG32[2]) * z + _LOG32[3]) * z
    half = _HALF * f * f
    return k * _L32[1] - ((half - (s * (half + p) + (k * _L32[2] + extra))) - f)


@native
def log64(x: Any) -> Any:
    """The natural logarithm."""
    y = _log64(x, 0.0)
    y = x if x == np.inf else y
    y = -np.inf if x == 0.0 else y
    return y if x >= 0.0 else np.nan


@native
def log32(x: Any) -> Any:
    """The natural logarithm."""
    y = _log32(x, _ZERO)
    y = x if x == _INF32 else y
    y = -_INF32 if x == _ZERO else y
    return y if x >= _ZERO else _NAN32


@native
def log1p64(x: Any) -> Any:
    """log(1 + x) = log(u) + c / u, where u is the rounded 1 + x, and c what rounding lost."""
    u = 1.0 + x
    back = u - 1.0
    y = _log64(u, ((1.0 - (u - back)) + (x - back)) / u)
    y = x if x == np.inf else y
    y = -np.inf if x == -1.0 else y
    y = y if x >= -1.0 else np.nan
    return x if abs(x) < 1e-17 else y


@native
def log1p32(x: Any) -> Any:
    """log(1 + x)."""
    u = _ONE + x
    back = u - _ONE
    y = _log32(u, ((_ONE - (u - back)) + (x - back)) / u)
    y = x if x == _INF32 else y
    y = -_INF32 if x == -_ONE else y
    y = y if x >= -_ONE else _NAN32
    return x if abs(x) < np.float32(1e-8) else y


# -- tanh, sigmoid, erf ------------------------------------------------------------------------------------------------


_TANH64 = (-9.64399179425052238628e-1, -9.92877231001918586564e1, -1.61468768441708447952e3,
           1.12811678491632931402e2, 2.23548839060100448583e3, 4.84406305325125486048e3)  # fmt: skip
_TANH32 = _singles(-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1)


@native
def tanh64(x: Any) -> Any:
    """The hyperbolic tangent: a rational function up to 0.625, above it 1 - 2 / (exp(2 |x|) + 1)."""
    size = abs(x)
    z = x * x
    p = (_TANH64[0] * z + _TANH64[1]) * z + _TANH64[2]
    near = x + x * (z * p / (((z + _TANH64[3]) * z + _TANH64[4]) * z + _TANH64[5]))
    far = 1.0 - 2.0 / (exp64(2.0 * size) + 1.0)
    y = (-far if x < 0.0 else far) if size > 0.625 else near
    return x if x == 0.0 else y


@native
def tanh32(x: Any) -> Any:
    """The hyperbolic tangent."""
    size = abs(x)
    z = x * x
    p = (((_TANH32[0] * z + _TANH32[1]) * z + _TANH32[2]) * z + _TANH32[3]) * z + _TANH32[4]
    near = x + x * (z * p)
    far = _ONE - _TWO / (exp32(_TWO * size) + _ONE)
    y = (-far if x < _ZERO else far) if size > np.float32(0.625) else near
    return x if x == _ZERO else y


@native
def sigmoid64(x: Any) -> Any:
    """1 / (1 + exp(-x)), which is e / (1 + e) = e - e * (e / (1 + e)) with e = exp(x) where x is negative."""
    e = exp64(-abs(x))
    y = (e if x < 0.0 else 1.0) / (1.0 + e)
    return e - e * y if x < 0.0 else y


@native
def sigmoid32(x: Any) -> Any:
    """1 / (1 + exp(-x))."""
    e = exp32(-abs(x))
    y = (e if x < _ZERO else _ONE) / (_ONE + e)
    return e - e * y if x < _ZERO else y


# Interpolates erf(x) / x - 1 in x**2 between 0 and 1.
_R = (5.957176147748911e-11, -1.1372848856791674e-09, 1.4659775274047436e-08, -1.6350312701054695e-07,
      1.6461000484121368e-06, -1.4925595266831182e-05, 1.205533111164271e-4, -8.54832698083379e-4,
      5.2239776248180145e-3, -2.6866170645076792e-2, 1.1283791670954879e-1, -3.761263890318375e-1,
      1.283791670955126e-1)  # fmt: skip
# Source for these: Cephes.
_P = (2.46196981473530512524e-10, 5.64189564831068821977e-1, 7.46321056442269912687e0, 4.86371970985681366614e1,
      1.96520832956077098242e2, 5.26445194995477358631e2, 9.34528527171957607540e2, 1.02755188689515710272e3,
      5.57535335369399327526e2)  # fmt: skip
_Q = (1.32281951154744992508e1, 8.67072140885989742329e1, 3.54937778887819891062e2, 9.75708501743205489753e2,
      1.82390916687909736289e3, 2.24633760818710981792e3, 1.65666309194161350182e3,
      5.57535340817727675546e2)  # fmt: skip


@native
def erf64(x: Any) -> Any:
    """The error function: x + x * R(x**2) up to 1, above it 1 - exp(-x**2) * P(x) / Q(x)."""
    size = abs(x)
    z = x * x
    p = ((((_R[0] * z + _R[1]) * z + _R[2]) * z + _R[3]) * z + _R[4]) * z + _R[5]
    p = (((((p * z + _R[6]) * z + _R[7]) * z + _R[8]) * z + _R[9]) * z + _R[10]) * z + _R[11]
    near = x + x * (p * z + _R[12])
    a = 6.0 if size > 6.0 else size
    p = (((_P[0] * a + _P[1]) * a + _P[2]) * a + _P[3]) * a + _P[4]
    p = (((p * a + _P[5]) * a + _P[6]) * a + _P[7]) * a + _P[8]
    q = ((((a + _Q[0]) * a + _Q[1]) * a + _Q[2]) * a + _Q[3]) * a + _Q[4]
    q = ((q * a + _Q[5]) * a + _Q[6]) * a + _Q[7]
    far = 1.0 - exp64(-a * a) * p / q
    return near if size <= 1.0 else (-far if x < 0.0 else far)


_NEAR = _singles(-5.96761703e-4, 4.99119423e-3, -2.67681349e-2, 1.12819925e-1, -3.76125336e-1, 1.28379166e-1)
_FAR = _singles(-1.72853470e-5, 3.83197126e-4, -3.88396438e-3, 2.42546219e-2, -1.06777877e-1, -6.34846687e-1,
                -1.28717512e-1)  # fmt: skip


@native
def erf32(x: Any) -> Any:
    """The error function: above 0.93 as 1 - exp of a polynomial. Source: N. Juffa, "A faster erff", 2018."""
    size = abs(x)
    z = x * x
    p = ((_NEAR[0] * z + _NEAR[1]) * z + _NEAR[2]) * z + _NEAR[3]
    near = ((p * z + _NEAR[4]) * z + _NEAR[5]) * x + x
    a = np.float32(4.0) if size > np.float32(4.0) else size
    p = (_FAR[0] * a + _FAR[1]) * (a * a) + (_FAR[2] * a + _FAR[3])
    p = ((p * a + _FAR[4]) * a + _FAR[5]) * a + _FAR[6]
    far = _ONE - exp32(p * a - a)
    return near if size <= np.float32(0.927734375) else (-far if x < _ZERO else far)


# -- sin and cos -------------------------------------------------------------------------------------------------------

_TWO_OVER_PI = 0.6366197723675814
_PI_2 = (1.57079632673412561417, 6.07710050630396597660e-11, 2.02226624871116645580e-21, 8.47842766036889956997e-32)
_SIN64 = (1.58969099521155010221e-10, -2.50507602534068634195e-8, 2.75573137070700676789e-6, -1.98412698298579493134e-4,
          8.33333333332248946124e-3, -1.66666666666666324348e-1)  # fmt: skip
_COS64 = (-1.13596475577881948265e-11, 2.08757232129817482790e-9, -2.75573143513906633035e-7, 2.48015872894767294178e-5,
          -1.38888888888741095749e-3, 4.16666666666666019037e-2)  # fmt: skip
_SIN32 = _singles(-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)
_COS32 = _singles(2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2)


@native
def _turned64(x: Any, turn: Any) -> Any:
    """sin(x + turn * pi / 2): x = k * pi / 2 + r + low, and k says which of sin(r) and cos(r), and its sign."""
    rounded = x * _TWO_OVER_PI + _ROUND64
    k = rounded - _ROUND64
    first = x - k * _PI_2[0]
    part = k * _PI_2[1]
    second = first - part
    back = second - first
    lost = (first - (second - back)) - (part + back)
    part = (k * _PI_2[2] - lost) + k * _PI_2[3]
    r = second - part
    low = (second - r) - part
    z = r * r
    v = z * r
    p = (((_SIN64[0] * z + _SIN64[1]) * z + _SIN64[2]) * z + _SIN64[3]) * z + _SIN64[4]
    s = r - ((z * (0.5 * low - v * p) - low) - v * _SIN64[5])
    p = (((((_COS64[0] * z + _COS64[1]) * z + _COS64[2]) * z + _COS64[3]) * z + _COS64[4]) * z + _COS64[5]) * z
    half = 0.5 * z
    w = 1.0 - half
    c = w + (((1.0 - w) - half) + (z * p - r * low))
    quadrant = bits64(rounded) + turn
    y = c if quadrant & 1 else s
    return -y if quadrant & 2 else y


@native
def _turned32(x: Any, turn: Any) -> Any:
    """The same; in float64, two parts of pi / 2 suffice."""
    wide = np.float64(x)
    rounded = wide * _TWO_OVER_PI + _ROUND64
    k = rounded - _ROUND64
    r = np.float32((wide - k * _PI_2[0]) - k * _PI_2[1])
    z = r * r
    s = r + r * z * ((_SIN32[0] * z + _SIN32[1]) * z + _SIN32[2])
    c = _ONE - (_HALF * z - z * z * ((_COS32[0] * z + _COS32[1]) * z + _COS32[2]))
    quadrant = bits64(rounded) + turn
    y = c if quadrant & 1 else s
    return -y if quadrant & 2 else y


@native
def sin64(x: Any) -> Any:
    """The sine of a number up to WIDE64."""
    return x if x == 0.0 else _turned64(x, 0)


@native
def cos64(x: Any) -> Any:
    """The cosine of a number up to WIDE64."""
    return _turned64(x, 1)


@native
def sin32(x: Any) -> Any:
    """The sine of a number up to WIDE32."""
    return x if x == _ZERO else _turned32(x, 0)


@native
def cos32(x: Any) -> Any:
    """The cosine of a number up to WIDE32."""
    return _turned32(x, 1)


@native
def power(x: Any, y: Any) -> Any:
    """x to the power y."""
    return x**y


@native
def power_of_all(x: Any, y: Any) -> Any:
    """x to a power that is the same for all elements, for which NumPy takes the root if it is 0.5."""
    return np.sqrt(x) if y == 0.5 else x**y


__all__ = [
    "WIDE32", "WIDE64", "cos32", "cos64", "erf32", "erf64", "exp32", "exp64", "expm1_32", "expm1_64", "log1p32",
    "log1p64", "log32", "log64", "math", "power", "power_of_all", "sigmoid32", "sigmoid64", "sin32", "sin64", "tanh32",
    "tanh64",
]  # fmt: skip
