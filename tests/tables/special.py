"""Rows of SciPy's ufuncs. What has no derivative in an argument is given integers there."""

from typing import Any

import numpy as np
from scipy import special as sp

import tapem as tm
from tapem.ops.polygamma import polygamma
from tapem.ops.scipy import special
from tapem.types import Float
from tests.tables import Row

INSIDE = np.array([0.2, 0.45, 0.83])
REAL = np.array([-1.7, -0.4, 0.3, 0.9, 2.6])
POSITIVE = np.array([0.3, 0.8, 1.7, 3.4])

# ufunc -> its arguments, of which `CONSTANT` names those that have no derivative.
ARGUMENTS: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(
        "erf erfc erfcx erfi dawsn ndtr log_ndtr expit log_expit expm1 exp2 exp10 cosm1 cbrt".split(), (REAL,)
    ),
    **dict.fromkeys("erfinv ndtri logit ellipk ellipe".split(), (INSIDE,)),
    **dict.fromkeys("log1p exp1 spence gamma gammaln loggamma psi k0 k1 k0e k1e y0 y1 entr".split(), (POSITIVE,)),
    **dict.fromkeys("j0 j1 i0 i1 i0e i1e gammasgn".split(), (REAL,)),
    "exprel": (np.array([-1.3, 0.9, 8e-3, -6e-3]),),
    "erfcinv": (POSITIVE / 2,),
    "expi": (POSITIVE,),
    "rgamma": (np.array([-2.0, -1.3, 0.0, 0.5, 2.5]),),
    "expn": (np.array([0, 1, 2, 5]), POSITIVE),
    "xlogy": (REAL[:4], POSITIVE),
    "xlog1py": (REAL[:4], POSITIVE),
    **dict.fromkeys("rel_entr kl_div beta betaln poch".split(), (POSITIVE, POSITIVE[::-1] + 0.1)),
    **dict.fromkeys("gammainc gammaincc".split(), (POSITIVE[::-1], POSITIVE)),
    **dict.fromkeys("gammaincinv gammainccinv".split(), (POSITIVE[:3], INSIDE)),
    **dict.fromkeys("betainc betaincc betaincinv".split(), (POSITIVE[:3], POSITIVE[1:], INSIDE)),
    **dict.fromkeys("jv iv ive kv kve yv".split(), (np.array([0.0, 1.0, 2.0, 1.5]), POSITIVE)),
    **dict.fromkeys("yn kn".split(), (np.array([0, 1, 2, 3]), POSITIVE)),
}
CONSTANT = {
    **dict.fromkeys("expn jv iv ive kv kve yv yn kn gammainc gammaincc gammaincinv gammainccinv".split(), (0,)),
    **dict.fromkeys("betainc betaincc betaincinv".split(), (0, 1)),
}

BESSEL = frozenset("jv iv ive kv kve yv yn kn".split())


def arguments(name: str) -> list[Any]:
    """The arguments of a ufunc; what it has no derivative in are integers."""
    constant, least = CONSTANT.get(name, ()), 0 if name in BESSEL | {"expn"} else 1
    given = enumerate(ARGUMENTS[name])
    return [np.maximum(np.round(x).astype(int), least) if i in constant else np.asarray(x, float) for i, x in given]


def rows(name: str) -> list[Row]:
    """The ufunc on a line, on a row and a column, on numbers, and on the ends of shapes."""
    op, reference, given = getattr(special, name), getattr(sp, name), arguments(name)
    ways = [given, [x[:0] for x in given], [x[:1] for x in given], [x.item(1) for x in given]]
    if len(given) > 1:
        ways.append([given[0].item(1), *given[1:]])
        ways.append([given[0][:, None], *(x[None, :2] for x in given[1:])])
    return [Row(op, tuple(operands), {}, reference) for operands in ways]


Z = np.array([0.7 + 0.4j, -0.6 + 1.3j, 1.2 - 0.8j, 2.1 + 0.2j])

# The ufuncs of complex arguments, off their branch cuts and poles.
COMPLEX: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(
        "erf erfc erfcx erfi dawsn ndtr log_ndtr expm1 log1p exp1 expi spence gamma loggamma psi rgamma".split(), (Z,)
    ),
    **dict.fromkeys("xlogy xlog1py".split(), (Z, Z[::-1] * 1j)),
    **dict.fromkeys("jv iv kv kve yv".split(), (np.array([0.0, 1.0, 2.0, 1.5]), Z)),
}


def complex_arguments(name: str) -> tuple[Any, ...]:
    """The complex arguments of a ufunc; what it has no derivative in are integers."""
    return tuple(x.astype(int) if at in CONSTANT.get(name, ()) else x for at, x in enumerate(COMPLEX[name]))


X = np.array([0.4, 1.3, 2.8])


@tm.composed
def of_exprel(x: Float[tm.Tensor, "..."]) -> Any:
    """`exprel` near 0, magnified so that differences stay within its series."""
    return 1e3 * special.exprel(1e-3 * x)


@tm.composed
def of_iv(x: Float[tm.Tensor, "..."]) -> Any:
    """`iv` of orders that are no integers, for which it is not even in the order."""
    return special.iv(np.array([0.5, 1.5, 2.25], x.dtype), x)


@tm.composed
def of_ive(x: Float[tm.Tensor, "..."]) -> Any:
    """`ive` of orders that are no integers, for which it is not even in the order."""
    return special.ive(np.array([0.5, 1.5, 2.25], x.dtype), x)


ROWS: list[Row] = [
    *(row for name in ARGUMENTS for row in rows(name)),
    # As often differentiated as the series has terms.
    Row(of_exprel, (np.array([4.0]),), {}, None, "near 0", order=5),
    Row(of_iv, (X,)),
    Row(of_ive, (X,)),
    Row(special.ive, (np.array([0, 1, 2]), np.array([-0.7, -1.2, 2.0])), {}, sp.ive, "negative"),
    *(Row(polygamma, (x,), {"n": 1}, lambda x, n: sp.polygamma(n, x)) for x in (X, X[:0], X[:1], 0.7)),
    *(Row(polygamma, (z,), {"n": n}, None, "complex") for n in (0, 1, 2) for z in (Z, Z[:0], Z[:1], 0.7 - 2j)),
    *(Row(getattr(special, name), complex_arguments(name), {}, getattr(sp, name), "complex") for name in COMPLEX),
    *(Row(special.xlogy, operands, {}, sp.xlogy, "complex and real") for operands in ((REAL[:4], Z), (Z, POSITIVE))),
]
