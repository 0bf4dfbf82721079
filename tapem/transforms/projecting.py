"""`project_to` makes a derivative fit the value that it belongs to: its dtype, whether it is real, shape, structure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tapem.core import ShapeDtype, leaves_like, tree_flatten, tree_unflatten
from tapem.errors import ShapeError, TreeError
from tapem.tangents import (
    AbstractZero,
    Composite,
    DoesNotExist,
    NotImplementedTangent,
    One,
    Thunk,
    backing,
    described,
    force,
)
from tapem.types import is_inexact


def project_to(x: Any) -> Callable[[Any], Any]:
    """Make the projection onto the tangents of x, a function to end a rule with: `project_to(x)(dx)`.

    The projection of dx has the dtype of x, is real where x is real, and has the shape of x where dx lacks or adds axes
    of size 1. x may be a tree: then dx is a tree of the same structure or a `Composite` of its type, and so is the
    projection. Integers and bools cannot be perturbed, so there the projection is DoesNotExist(). Zeros and what is not
    implemented stay what they are; thunks are projected when they are computed. x itself is not kept.

    Raises ShapeError for a shape that differs in more than axes of size 1, TreeError for another structure. Source:
    ChainRulesCore.ProjectTo.

    >>> import tapem as tm
    >>> project_to(np.ones((2, 1), np.float32))(np.array([1 + 2j, 3j]))
    array([[1.],
           [0.]], dtype=float32)
    >>> project_to({"w": 1.0, "n": 3})({"w": 2, "n": 0.5})
    {'w': np.float64(2.0), 'n': DoesNotExist()}
    """
    leaves, structure = tree_flatten(x)
    kinds = [ShapeDtype.of(leaf) for leaf in leaves]
    places = tree_unflatten(structure, range(len(kinds)))  # x, with the position of each leaf in its place
    return lambda dx: onto(places, dx, kinds)


def onto(places: Any, dx: Any, kinds: Sequence[ShapeDtype]) -> Any:
    """The projection of dx onto a tree, or a part of it, whose leaves are positions among `kinds`."""
    if isinstance(dx, AbstractZero | NotImplementedTangent):
        return dx
    if isinstance(dx, Thunk):
        return Thunk(lambda: onto(places, force(dx), kinds))
    if type(places) is int:
        return onto_leaf(kinds[places], dx)
    if isinstance(dx, Composite):
        if dx.__primal_type__ is not type(places):
            raise TreeError(f"project_to: {described(dx)} is no tangent of a {type(places).__name__}.")
        return map_fields(lambda key, part: onto(field_of(places, key), part, kinds), dx)
    chosen, structure = tree_flatten(places)
    parts = leaves_like(structure, dx, "project_to")
    return tree_unflatten(structure, [onto(place, part, kinds) for place, part in zip(chosen, parts, strict=True)])


def field_of(tree: Any, key: Any) -> Any:
    """A field, an element or an item of a tree."""
    try:
        return tree[key] if isinstance(tree, dict | list) or not isinstance(key, str) else getattr(tree, key)
    except (LookupError, AttributeError):
        raise TreeError(f"project_to: a {type(tree).__name__} has no {key!r}, but the Composite has.") from None


def map_fields(f: Callable[[Any, Any], Any], c: Composite) -> Composite:
    """A Composite of the same type, each field made from its key and the field before."""
    kind = c.__primal_type__
    fields = {key: f(key, part) for key, part in backing(c).items()}
    if issubclass(kind, dict):
        return Composite(kind, fields)
    named = all(isinstance(key, str) for key in fields)
    return Composite(kind, **fields) if fields and named else Composite(kind, *fields.values())


def onto_leaf(kind: ShapeDtype, dx: Any) -> Any:
    """The projection of an array, a number or One."""
    if not is_inexact(kind.dtype):
        return DoesNotExist()
    if type(dx) is One:
        return np.ones(kind.shape, kind.dtype)
    part = dx if hasattr(dx, "dtype") else np.asarray(dx)[()]
    if ShapeDtype.of(part).dtype.kind == "c" and kind.dtype.kind != "c":
        part = np.real(part)
    own = ShapeDtype.of(part)
    if own.shape != kind.shape:
        if [size for size in own.shape if size != 1] != [size for size in kind.shape if size != 1]:
            raise ShapeError(
                f"project_to: a derivative of shape {own.shape} is none of a value of shape {kind.shape}. Where the "
                "value was broadcast, sum the derivative over the axes that this added."
            )
        part = np.reshape(part, kind.shape)
    return part if own.dtype == kind.dtype else part.astype(kind.dtype)


__all__ = ["project_to"]
