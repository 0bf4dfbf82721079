"""How an op shows itself to `help`, to editors and to documentation tools: as the function that it was declared as.

They ask `inspect` whether something is a routine, and for its signature. A routine is, for `inspect`, what has a
`__get__`, as functions have.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Self

from tapem.types import Operand, annotation_text, parameters_and_hints


class AsInSource(str):
    """An annotation as it stands in source, for a reader; `inspect` prints it without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class ShownSignature:
    """The signature of an op with the annotations as they stand in source, aliases resolved; made when asked for."""

    def __get__(self, op: Any, owner: type) -> inspect.Signature:
        """Return the signature of an op. Raises AttributeError for the class, which has no signature."""
        if op is None:
            raise AttributeError("__signature__")
        op.__dict__["__signature__"] = signature = shown_signature(op.__wrapped__)
        return signature


def shown_signature(function: Callable[..., Any]) -> inspect.Signature:
    """The signature of a function, its annotations written as in source.

    >>> from jaxtyping import Float
    >>> import numpy as np
    >>> Vector = Float[np.ndarray, "n"]
    >>> def scaled(x: Vector, by: float = 2.0) -> Vector: ...
    >>> shown_signature(scaled)
    <Signature (x: Float[Tensor, "n"], by: float = 2.0) -> Float[Tensor, "n"]>
    """
    parameters, hints = parameters_and_hints(function)

    def shown(name: str) -> Any:
        if name not in hints:
            return inspect.Parameter.empty
        if name == "return" or Operand.of(name, hints[name]).leaves:
            return AsInSource(annotation_text(hints[name]))
        return AsInSource(inspect.formatannotation(hints[name]).replace("collections.abc.", ""))

    shown_parameters = [parameter.replace(annotation=shown(parameter.name)) for parameter in parameters]
    return inspect.Signature(shown_parameters, return_annotation=shown("return"))


class FunctionLike:
    """Base of what `inspect` is to take for a function."""

    __signature__ = ShownSignature()

    def __get__(self, instance: object, owner: type | None = None) -> Self:
        """Be the same in a class and in its instances: an op has no `self`."""
        return self


__all__ = ["AsInSource", "FunctionLike", "shown_signature"]
