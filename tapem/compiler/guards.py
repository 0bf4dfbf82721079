"""Guards: what an op checks about values, where the op itself was taken apart.

`cross_entropy` refuses a label that is no class. A program that computes it by smaller ops checks the labels, too: a
guard is a hidden output, and where the check fails, the op's implementation runs and raises its error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import numpy as np

from tapem.core import Primitive, ShapeDtype, Static
from tapem.ops import primitive


class Guarded(NamedTuple):
    """The op that is to raise its error, and its static arguments."""

    op: Primitive
    static: Static

    def __call__(self, fine: Any, *operands: Any) -> Any:
        """Raise the error of the op, unless all is fine."""
        if not fine:
            self.op.implementation(*operands, **self.static)
        return fine


# No overload can describe an op of any number of inputs with a static argument without default.
_any_number = cast(
    "Callable[[Any], Primitive]",
    primitive(differentiable=False, abstract=lambda fine, *operands, what: ShapeDtype((), np.dtype(np.bool_))),
)


@_any_number
def guard(fine, *operands, what: Any) -> Any:  # pyright: ignore  # of any operands
    """Raise the error of an op for these operands, unless `fine` is true."""
    return what(fine, *operands)  # pyright: ignore[reportUnknownVariableType]


guard.checked = False
guard.refusals = ()


__all__ = ["Guarded", "guard"]
