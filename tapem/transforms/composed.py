"""Ops that are compositions of others: their annotations are enforced too, and they work through every door."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, Protocol, TypeVar, cast, overload

import numpy as np

from tapem.core import all_half, narrow, taken, tree_flatten, wide
from tapem.doors.monadic import TapeM, lift
from tapem.transforms.tracing import monadic
from tapem.types import Signature, signature_of

P = ParamSpec("P")
R = TypeVar("R", covariant=True)


class Composed(Protocol[P, R]):
    """What `composed` makes, as a type checker sees it: arrays in, arrays out; anything else in, a step out."""

    @overload
    def __call__(self, *arguments: P.args, **options: P.kwargs) -> R: ...
    @overload
    def __call__(self, *arguments: Any, **options: Any) -> TapeM[Any]: ...
    def __call__(self, *arguments: Any, **options: Any) -> Any: ...  # noqa: D102


def composed(f: Callable[P, R]) -> Composed[P, R]:
    """Make an op of a function that is written with ops: its annotations become its typed signature.

    Parameters annotated with a jaxtyping type are the tensors; the function gets them as arrays or tracers. The
    derivatives and the batch rule are those of the ops that the function calls. Given Refs or steps, the result is a
    step. float16 is computed in float32, from the first op to the last.

    Raises ShapeError or DTypeError for tensors that do not fit the annotations.

    >>> import numpy as np, tapem as tm
    >>> from jaxtyping import Float
    >>> @composed
    ... def energy(v: Float[tm.Tensor, "n"], w: Float[tm.Tensor, "n"]) -> Float[tm.Tensor, ""]:
    ...     return np.sum(v * w * w)
    >>> float(energy(np.ones(2), np.ones(2)))
    2.0
    >>> energy(np.ones(2), np.ones(1))
    Traceback (most recent call last):
    tapem.errors.ShapeError: energy(v, w): axis 'n' is 2 in v (2,) but 1 in w (1,)
    ...
    """
    signature, parameters = Signature.of(f), signature_of(f)
    names = [operand.name for operand in signature.operands]
    optional = {operand.name for operand in signature.operands if operand.optional}

    @functools.wraps(f)
    def call(*arguments: Any, **options: Any) -> Any:
        if monadic(tree_flatten((arguments, options))[0]):
            return lift(call)(*arguments, **options)
        bound = parameters.bind(*arguments, **options)
        bound.apply_defaults()
        given = bound.arguments
        for name in names:
            if not (given[name] is None and name in optional):
                value = taken(given[name], op=str(signature), argument=f"argument {name!r}")
                given[name] = value if hasattr(value, "dtype") else np.asarray(value)
        signature.verify([given[name] for name in names], static={n: given[n] for n in signature.static_names})
        if not all_half([given[name] for name in names]):
            return f(*bound.args, **bound.kwargs)
        for name in names:
            given[name] = wide(given[name])
        return narrow(f(*bound.args, **bound.kwargs))

    return cast("Composed[P, R]", call)
