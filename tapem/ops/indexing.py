"""Indexing."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Shaped

from tapem.declare import primitive
from tapem.primitive import linear_in_all
from tapem.signature import Tensor

T = Shaped[Tensor, "..."]


def _scatter(g: Any, x: Any, index: Any) -> Any:
    out = np.zeros(x.shape, g.dtype)
    np.add.at(out, index, g)
    return out


@primitive(rrule=(lambda g, y, x, index: _scatter(g, x, index),), frule=linear_in_all)
def getitem(x: T, index: Any) -> T:
    """Index."""
    return x[index]
