"""The modified Bessel function of order 0, which `np.i0` computes, and all of its derivatives."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Bool

from tapem.ops.declare import elementwise
from tapem.types import Float, Real, Tensor

# I0(x) is the mean of exp(x cos t) over a circle, and a mean over equally spaced angles is exact to rounding as far as
# float64 goes (x = 713): the error is I_k(x) / I0(x) for k points. cos t and -cos t together give cosh or sinh.
_POINTS = 256
_COSINES = np.cos((np.arange(_POINTS // 4) + 0.5) * (2 * np.pi / _POINTS)).tolist()


@elementwise(lambda g, y, x, n: g * i0_derivative(x, n=n + 1))
def i0_derivative(x: Real[Tensor, "*shape"] | Bool[Tensor, "*shape"], n: int) -> Float[Tensor, "*shape"]:
    """The n-th derivative of `np.i0`: Real or Bool "*shape" -> Float "*shape".

    >>> i0_derivative(np.array([0.0, 1.0]), n=1).round(6)  # the modified Bessel function of order 1
    array([0.      , 0.565159])
    """
    if not n:
        return np.i0(x)
    x = np.asarray(x)
    x = x if x.dtype.kind == "f" else x.astype(np.float64)
    part: Any = np.sinh if n % 2 else np.cosh
    total = np.zeros_like(x)
    for cosine in _COSINES:
        total += cosine**n * part(cosine * x)
    return (total / len(_COSINES))[()]
