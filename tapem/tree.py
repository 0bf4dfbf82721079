"""Trees of arrays: optree's, with dataclasses taken apart without having to be registered by hand."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

import numpy as np
import optree

from tapem.errors import TreeError
from tapem.node import Abstract, Handle

NAMESPACE = "tapem"

Structure = optree.PyTreeSpec

ONE_LEAF: Structure = optree.tree_structure(cast("Any", 0.0), namespace=NAMESPACE)
"""The structure of a tree that is one leaf."""

# Leaves of these types need no second look.
_PLAIN = frozenset({Abstract, np.ndarray, float, int, bool, np.float64, np.float32, np.int64})


def flatten(tree: Any) -> tuple[list[Any], Structure]:
    """The leaves of a tree and its structure; dict, list, tuple, NamedTuple, dataclass and None are nodes.

    >>> flatten({"b": 1, "a": (2, 3)})[0]
    [2, 3, 1]
    """
    if type(tree) in _PLAIN or isinstance(tree, Handle):
        return [tree], ONE_LEAF
    leaves, structure = optree.tree_flatten(tree, namespace=NAMESPACE)
    if not _PLAIN.issuperset(map(type, leaves)):
        for kind in {*map(type, leaves)} - _PLAIN:
            if dataclasses.is_dataclass(kind):
                register_dataclass(kind)
                return flatten(tree)
    return leaves, structure


def register_dataclass(cls: type[Any]) -> None:
    """Teach optree to take a dataclass apart, field by field; it stays known for the life of the process."""
    names = tuple(field.name for field in dataclasses.fields(cls))

    def take_apart(value: Any) -> tuple[tuple[Any, ...], tuple[str, ...], tuple[str, ...]]:
        return tuple(getattr(value, name) for name in names), names, names

    def put_together(_: object, parts: Iterable[Any]) -> Any:
        value = object.__new__(cls)  # a tree of tracers or of axes need not pass the checks of __post_init__
        for name, part in zip(names, parts, strict=True):
            object.__setattr__(value, name, part)
        return value

    try:
        cast("Any", optree).register_pytree_node(cls, take_apart, put_together, namespace=NAMESPACE)
    except ValueError:
        pass  # another thread registered it at the same moment


def unflatten(structure: Structure, leaves: Sequence[Any]) -> Any:
    """The tree of this structure with these leaves."""
    return structure.unflatten(leaves)


def tree_map(f: Callable[[Any], Any] | Callable[[Any, Any], Any], tree: Any, *others: Any, what: str = "trees") -> Any:
    """Apply a function leaf by leaf; TreeError if the other trees have another structure.

    >>> tree_map(lambda a, b: a + b, {"x": 1}, {"x": 10})
    {'x': 11}
    """
    leaves, structure = flatten(tree)
    rest = [leaves_like(structure, other, what) for other in others]
    return unflatten(structure, [f(*row) for row in zip(leaves, *rest, strict=True)])


def leaves_like(structure: Structure, tree: Any, what: str) -> list[Any]:
    """The leaves of a tree that must have this structure; TreeError, naming `what`, if it has not."""
    leaves, own = flatten(tree)
    if own != structure:
        raise TreeError(f"{what}: the structures differ: {shown(structure)} and {shown(own)}.")
    return leaves


def shown(structure: Structure) -> str:
    """A structure as an error quotes it."""
    return str(structure).removeprefix("PyTreeSpec(").removesuffix(")").removesuffix(", namespace='tapem'")
