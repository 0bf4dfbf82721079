"""The ufuncs of `scipy.special`, each with the rule of its derivative, which serves both modes.

SciPy computes the values. Rules are written with its functions too, so that they are recorded and differentiated again.
Arguments may be complex where SciPy takes them and the rule holds in the plane. Where no derivative in a parameter is
known in closed form (the order of a Bessel function, the shape of an incomplete gamma function) there is no rule, and
differentiating in it is refused.

Sources: the NIST Digital Library of Mathematical Functions, dlmf.nist.gov, chapters 5 to 11, 19 and 25.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Bool, Complex, Float, Real
from scipy import special as sp

from tapem.core import GivenRule, Primitive
from tapem.ops.declare import elementwise
from tapem.ops.polygamma import polygamma
from tapem.types import NUMBERS, Tensor

# Not NumPy's long double, of which SciPy's ufuncs know nothing.
T = Real[Tensor, "*#shape"] | Bool[Tensor, "*#shape"]
Out = Float[Tensor, "*shape"]
InThePlane = T | Complex[Tensor, "*#shape"]
OutThere = Out | Complex[Tensor, "*shape"]

NOT_ANALYTIC = frozenset({"ive"})
"""What SciPy computes in the plane, but with the absolute value of a part, so that its rule holds on the line only."""

_TWO_OVER_ROOT_PI = 2 / math.sqrt(math.pi)
_ROOT_TWO_PI = math.sqrt(2 * math.pi)


def unary(ufunc: np.ufunc, *rule: GivenRule) -> Any:
    """The op of a ufunc of one argument; without a rule it is constant."""

    def compute(x: T) -> Out:
        return ufunc(x)

    return declared(ufunc, compute, *rule)


def binary(ufunc: np.ufunc, rule_a: GivenRule | None, rule_b: GivenRule | None) -> Any:
    """The op of a ufunc of two arguments."""

    def compute(a: T, b: T) -> Out:
        return ufunc(a, b)

    return declared(ufunc, compute, rule_a, rule_b)


def ternary(ufunc: np.ufunc, rule_a: GivenRule | None, rule_b: GivenRule | None, rule_x: GivenRule | None) -> Any:
    """The op of a ufunc of three arguments."""

    def compute(a: T, b: T, x: T) -> Out:
        return ufunc(a, b, x)

    return declared(ufunc, compute, rule_a, rule_b, rule_x)


def declared(ufunc: np.ufunc, compute: Callable[..., Any], *rules: GivenRule | None) -> Primitive:
    """The op, under the name that the ufunc has."""
    planes = [in_the_plane(ufunc, position) for position in range(ufunc.nin)]
    compute.__annotations__ = {
        name: InThePlane if plane else T for name, plane in zip(compute.__annotations__, planes, strict=False)
    } | {"return": OutThere if any(planes) else Out}
    types = ", ".join(f'{"Real or Bool or Complex" if plane else "Real or Bool"} "*#shape"' for plane in planes)
    result = "Float or Complex" if any(planes) else "Float"
    compute.__doc__ = f'`scipy.special.{ufunc.__name__}`, element by element: {types} -> {result} "*shape".'
    compute.__name__ = compute.__qualname__ = ufunc.__name__
    return elementwise(*rules, numpy=[ufunc])(compute)


def in_the_plane(ufunc: np.ufunc, position: int) -> bool:
    """Whether an argument of a ufunc may be complex: SciPy has a loop for it, and the rule holds.

    >>> in_the_plane(sp.jv, 0), in_the_plane(sp.jv, 1), in_the_plane(sp.j0, 0)
    (False, True, False)
    """
    return ufunc.__name__ not in NOT_ANALYTIC and any(types[position] == "D" for types in ufunc.types)


# -- error functions and the normal distribution -----------------------------------------------------------------

erf = unary(sp.erf, lambda g, y, x: g * (_TWO_OVER_ROOT_PI * np.exp(-x * x)))
erfc = unary(sp.erfc, lambda g, y, x: -g * (_TWO_OVER_ROOT_PI * np.exp(-x * x)))
erfcx = unary(sp.erfcx, lambda g, y, x: g * (2 * x * y - _TWO_OVER_ROOT_PI))
erfi = unary(sp.erfi, lambda g, y, x: g * (_TWO_OVER_ROOT_PI * np.exp(x * x)))
erfinv = unary(sp.erfinv, lambda g, y, x: g * (np.exp(y * y) / _TWO_OVER_ROOT_PI))
erfcinv = unary(sp.erfcinv, lambda g, y, x: -g * (np.exp(y * y) / _TWO_OVER_ROOT_PI))
dawsn = unary(sp.dawsn, lambda g, y, x: g * (1 - 2 * x * y))
ndtr = unary(sp.ndtr, lambda g, y, x: g * (np.exp(-x * x / 2) / _ROOT_TWO_PI))
log_ndtr = unary(sp.log_ndtr, lambda g, y, x: g * (np.exp(-x * x / 2 - y) / _ROOT_TWO_PI))
ndtri = unary(sp.ndtri, lambda g, y, x: g * (np.exp(y * y / 2) * _ROOT_TWO_PI))

# -- exponentials and logarithms ---------------------------------------------------------------------------------

expit = unary(sp.expit, lambda g, y, x: g * (y * (1 - y)))
logit = unary(sp.logit, lambda g, y, x: g / (x * (1 - x)))
log_expit = unary(sp.log_expit, lambda g, y, x: g * sp.expit(-x))
expm1 = unary(sp.expm1, lambda g, y, x: g * (y + 1))
log1p = unary(sp.log1p, lambda g, y, x: g / (1 + x))
exp2 = unary(sp.exp2, lambda g, y, x: g * (y * math.log(2)))
exp10 = unary(sp.exp10, lambda g, y, x: g * (y * math.log(10)))
cbrt = unary(sp.cbrt, lambda g, y, x: g / (3 * y * y))
cosm1 = unary(sp.cosm1, lambda g, y, x: -g * np.sin(x))
exprel = unary(sp.exprel, lambda g, y, x: g * _exprel_slope(y, x))
exp1 = unary(sp.exp1, lambda g, y, x: -g * (np.exp(-x) / x))
expi = unary(sp.expi, lambda g, y, x: g * (np.exp(x) / x))
expn = binary(sp.expn, None, lambda g, y, n, x: -g * _one_order_less(_typed(n, y), x))
spence = unary(sp.spence, lambda g, y, x: g * np.where(x == 1, -1, np.log(x) / np.where(x == 1, 1, 1 - x)))
xlogy = binary(sp.xlogy, lambda g, y, a, b: g * np.log(b), lambda g, y, a, b: g * _ratio(a, b))
xlog1py = binary(sp.xlog1py, lambda g, y, a, b: g * np.log1p(b), lambda g, y, a, b: g * _ratio(a, 1 + b))
entr = unary(sp.entr, lambda g, y, x: -g * (np.log(x) + 1))
rel_entr = binary(sp.rel_entr, lambda g, y, a, b: g * (np.log(a / b) + 1), lambda g, y, a, b: -g * _ratio(a, b))
kl_div = binary(sp.kl_div, lambda g, y, a, b: g * np.log(a / b), lambda g, y, a, b: g * (1 - _ratio(a, b)))


def _ratio(a: Any, b: Any) -> Any:
    """`a / b`, and 0 where a is 0: there the function is 0 for every b."""
    return np.where(a == 0, 0, a / np.where(a == 0, 1, b))


def _one_order_less(n: Any, x: Any) -> Any:
    """`expn(n - 1, x)`, for the orders too that SciPy does not compute: DLMF 8.19."""
    zeroth = np.exp(-x) / x
    higher = sp.expn(np.maximum(n - 1, 1), x)
    return np.where(n == 0, zeroth * (1 + 1 / x), np.where(n == 1, zeroth, higher))


def _exprel_slope(y: Any, x: Any) -> Any:
    """The derivative of (exp(x) - 1) / x; near 0, where the closed form cancels, by its series."""
    small = np.abs(x) < 1e-2
    safe = np.where(small, 1, x)
    series = 1 / 2 + x * (1 / 3 + x * (1 / 8 + x * (1 / 30 + x * (1 / 144 + x / 840))))
    return np.where(small, series, (np.exp(safe) - np.where(small, 1, y)) / safe)


# -- gamma and beta ----------------------------------------------------------------------------------------------

gamma = unary(sp.gamma, lambda g, y, x: g * (y * sp.psi(x)))
gammaln = unary(sp.gammaln, lambda g, y, x: g * sp.psi(x))
loggamma = unary(sp.loggamma, lambda g, y, x: g * sp.psi(x))
gammasgn = unary(sp.gammasgn)
rgamma = unary(sp.rgamma, lambda g, y, x: g * _rgamma_slope(y, x))
psi = unary(sp.psi, lambda g, y, x: g * polygamma(x, n=1))
beta = binary(
    sp.beta,
    lambda g, y, a, b: g * (y * (sp.psi(a) - sp.psi(a + b))),
    lambda g, y, a, b: g * (y * (sp.psi(b) - sp.psi(a + b))),
)
betaln = binary(
    sp.betaln,
    lambda g, y, a, b: g * (sp.psi(a) - sp.psi(a + b)),
    lambda g, y, a, b: g * (sp.psi(b) - sp.psi(a + b)),
)
poch = binary(
    sp.poch,
    lambda g, y, a, b: g * (y * (sp.psi(a + b) - sp.psi(a))),
    lambda g, y, a, b: g * (y * sp.psi(a + b)),
)
gammainc = binary(sp.gammainc, None, lambda g, y, a, x: g * _gamma_density(a, x))
gammaincc = binary(sp.gammaincc, None, lambda g, y, a, x: -g * _gamma_density(a, x))
gammaincinv = binary(sp.gammaincinv, None, lambda g, y, a, p: g / _gamma_density(a, y))
gammainccinv = binary(sp.gammainccinv, None, lambda g, y, a, p: -g / _gamma_density(a, y))
betainc = ternary(sp.betainc, None, None, lambda g, y, a, b, x: g * _beta_density(_typed(a, y), _typed(b, y), x))
betaincc = ternary(sp.betaincc, None, None, lambda g, y, a, b, x: -g * _beta_density(_typed(a, y), _typed(b, y), x))
betaincinv = ternary(sp.betaincinv, None, None, lambda g, y, a, b, p: g / _beta_density(_typed(a, y), _typed(b, y), y))


def _rgamma_slope(y: Any, x: Any) -> Any:
    """The derivative of 1 / gamma(x); left of 1/2, where psi has poles, by the reflection formula (DLMF 5.5.3)."""
    left = np.real(x) < 0.5
    mirrored = 1 - np.where(left, x, 0)
    turned = math.pi * np.where(left, x, 0)
    reflected = sp.gamma(mirrored) * (np.cos(turned) - np.sin(turned) * sp.psi(mirrored) / math.pi)
    return np.where(left, reflected, -y * sp.psi(np.where(left, 1, x)))


def _gamma_density(a: Any, x: Any) -> Any:
    return np.exp(sp.xlogy(a - 1, x) - x - sp.gammaln(a))


def _typed(parameter: Any, y: Any) -> Any:
    """A plain number in the dtype of the result: of a number alone some of SciPy's ufuncs make float64."""
    return y.dtype.type(parameter) if type(parameter) in NUMBERS else parameter


def _beta_density(a: Any, b: Any, x: Any) -> Any:
    return np.exp(sp.xlogy(a - 1, x) + sp.xlog1py(b - 1, -x) - sp.betaln(a, b))


# -- Bessel functions; no derivative in the order -----------------------------------------------------------------

j0 = unary(sp.j0, lambda g, y, x: -g * sp.j1(x))
j1 = unary(sp.j1, lambda g, y, x: g * ((sp.j0(x) - sp.jv(2.0, x)) / 2))
jv = binary(sp.jv, None, lambda g, y, v, x: g * ((sp.jv(v - 1.0, x) - sp.jv(v + 1.0, x)) / 2))
y0 = unary(sp.y0, lambda g, y, x: -g * sp.y1(x))
y1 = unary(sp.y1, lambda g, y, x: g * ((sp.y0(x) - sp.yv(2.0, x)) / 2))
yn = binary(sp.yn, None, lambda g, y, n, x: g * ((sp.yv(n - 1.0, x) - sp.yv(n + 1.0, x)) / 2))
yv = binary(sp.yv, None, lambda g, y, v, x: g * ((sp.yv(v - 1.0, x) - sp.yv(v + 1.0, x)) / 2))
i0 = unary(sp.i0, lambda g, y, x: g * sp.i1(x))
i1 = unary(sp.i1, lambda g, y, x: g * ((sp.i0(x) + sp.iv(2.0, x)) / 2))
iv = binary(sp.iv, None, lambda g, y, v, x: g * ((sp.iv(v - 1.0, x) + sp.iv(v + 1.0, x)) / 2))
i0e = unary(sp.i0e, lambda g, y, x: g * (sp.i1e(x) - np.sign(x) * y))
i1e = unary(sp.i1e, lambda g, y, x: g * ((sp.i0e(x) + sp.ive(2.0, x)) / 2 - np.sign(x) * y))
ive = binary(sp.ive, None, lambda g, y, v, x: g * ((sp.ive(v - 1.0, x) + sp.ive(v + 1.0, x)) / 2 - np.sign(x) * y))
k0 = unary(sp.k0, lambda g, y, x: -g * sp.k1(x))
k1 = unary(sp.k1, lambda g, y, x: -g * ((sp.k0(x) + sp.kv(2.0, x)) / 2))
kn = binary(sp.kn, None, lambda g, y, n, x: -g * ((sp.kv(n - 1.0, x) + sp.kv(n + 1.0, x)) / 2))
kv = binary(sp.kv, None, lambda g, y, v, x: -g * ((sp.kv(v - 1.0, x) + sp.kv(v + 1.0, x)) / 2))
k0e = unary(sp.k0e, lambda g, y, x: g * (y - sp.k1e(x)))
k1e = unary(sp.k1e, lambda g, y, x: g * (y - (sp.k0e(x) + sp.kve(2.0, x)) / 2))
kve = binary(sp.kve, None, lambda g, y, v, x: g * (y - (sp.kve(v - 1.0, x) + sp.kve(v + 1.0, x)) / 2))

# -- elliptic integrals -------------------------------------------------------------------------------------------

ellipk = unary(sp.ellipk, lambda g, y, m: g * ((sp.ellipe(m) / (1 - m) - y) / (2 * m)))
ellipe = unary(sp.ellipe, lambda g, y, m: g * ((y - sp.ellipk(m)) / (2 * m)))
