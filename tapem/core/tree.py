"""Trees of arrays: optree's, in which every dataclass is a node without being registered by hand."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np
import optree

from tapem.core.node import Handle, Shape, ShapeDtype, UnknownNumber
from tapem.errors import TreeError

NAMESPACE = "tapem"

Structure = optree.PyTreeSpec

ONE_LEAF: Structure = optree.tree_structure(cast("Any", 0.0), namespace=NAMESPACE)
"""The structure of a tree that is one leaf."""

NO_LEAF: Structure = optree.tree_structure(cast("Any", None), namespace=NAMESPACE)
"""The structure of None."""

# Values of these types are leaves.
_PLAIN = frozenset({ShapeDtype, UnknownNumber, np.ndarray, float, complex, int, bool, np.float64, np.float32, np.int64})


def tree_flatten(tree: Any) -> tuple[list[Any], Structure]:
    """The leaves of a tree and its structure; dict, list, tuple, NamedTuple, dataclass and None are nodes.

    >>> tree_flatten({"b": 1, "a": (2, 3)})[0]
    [2, 3, 1]
    """
    if type(tree) in _PLAIN or isinstance(tree, Handle):
        return [tree], ONE_LEAF
    if tree is None:
        return [], NO_LEAF
    leaves, structure = optree.tree_flatten(tree, namespace=NAMESPACE)
    if not _PLAIN.issuperset(map(type, leaves)):
        for kind in {*map(type, leaves)} - _PLAIN:
            if dataclasses.is_dataclass(kind):
                register_dataclass(kind)
                return tree_flatten(tree)
    return leaves, structure


def register_dataclass(cls: type[Any]) -> None:
    """Register a dataclass with optree, field by field, for the life of the process."""
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


def tree_leaves(tree: Any) -> list[Any]:
    """The leaves of a tree, from left to right.

    >>> tree_leaves({"b": 1, "a": (2, 3)})
    [2, 3, 1]
    """
    return tree_flatten(tree)[0]


def tree_unflatten(structure: Structure, leaves: Sequence[Any]) -> Any:
    """Make the tree of this structure with these leaves.

    >>> leaves, structure = tree_flatten({"b": 1, "a": (2, 3)})
    >>> tree_unflatten(structure, [leaf * 10 for leaf in leaves])
    {'b': 10, 'a': (20, 30)}
    """
    return leaves[0] if structure is ONE_LEAF and len(leaves) == 1 else structure.unflatten(leaves)


def tree_map(
    f: Callable[[Any], Any] | Callable[[Any, Any], Any], tree: Any, *others: Any, caller: str = "trees"
) -> Any:
    """Apply a function leaf by leaf. `caller` is the name shown in errors.

    Raises TreeError if the other trees have another structure.

    >>> tree_map(lambda a, b: a + b, {"x": 1}, {"x": 10})
    {'x': 11}
    """
    leaves, structure = tree_flatten(tree)
    rest = [leaves_like(structure, other, caller) for other in others]
    return tree_unflatten(structure, [f(*row) for row in zip(leaves, *rest, strict=True)])


def leaves_like(structure: Structure, tree: Any, caller: str) -> list[Any]:
    """The leaves of a tree that must have this structure. Raises TreeError, which names `caller`, if it has not."""
    leaves, own = tree_flatten(tree)
    if own is not structure and own != structure:
        raise TreeError(f"{caller}: the structures differ: {shown(structure)} and {shown(own)}.")
    return leaves


def leaves_or_none(structure: Structure, tree: Any, caller: str, nothing: tuple[type, ...]) -> list[Any]:
    """The leaves of a tree that must have this structure, except that a subtree may be missing.

    A missing subtree is None or an instance of the types `nothing`; each of its leaves becomes None. Raises TreeError,
    which names `caller`, for any other structure.
    """

    def is_nothing(value: Any) -> bool:
        return value is None or isinstance(value, nothing)

    tree_flatten(tree)  # registers the dataclasses in it with optree
    parts, own = optree.tree_flatten(tree, is_nothing, namespace=NAMESPACE)
    full = structure.unflatten(range(structure.num_leaves))
    try:
        below = own.flatten_up_to(full)
    except ValueError:
        raise TreeError(f"{caller}: the structures differ: {shown(structure)} and {shown(own)}.") from None
    leaves: list[Any] = []
    for part, subtree in zip(parts, below, strict=True):
        places = optree.tree_structure(subtree, namespace=NAMESPACE)
        if is_nothing(part):
            leaves.extend([None] * places.num_leaves)
        elif places != ONE_LEAF:
            raise TreeError(f"{caller}: the structures differ: {shown(structure)} and {shown(own)}.")
        else:
            leaves.append(part)
    return leaves


def shown(structure: Structure) -> str:
    """A structure as errors show it."""
    return str(structure).removeprefix("PyTreeSpec(").removesuffix(")").removesuffix(", namespace='tapem'")


# Names and shapes -----------------------------------------------------------------------------------------------------

ROOT = "value"
"""The name of a leaf that is the whole tree."""


def leaf_name(way: tuple[str, ...]) -> str:
    """The name of a leaf: the keys on the way to it, joined by dots as in torch's `state_dict`."""
    return ".".join(way) if way else ROOT


def leaf_names(tree: Any, way: tuple[str, ...] = ()) -> Iterator[str]:
    """The names of the leaves of a tree, in the order of `tree_flatten`.

    >>> list(leaf_names({"w": 1.0, "b": (2.0, None)}))
    ['b.0', 'w']
    """
    parts = tree_parts(tree)
    if parts is None:
        yield leaf_name(way)
    for key, part in parts or ():
        yield from leaf_names(part, (*way, key))


def tree_parts(tree: Any) -> list[tuple[str, Any]] | None:
    """The parts of a tree's outermost node, each with its key; None for a leaf.

    >>> tree_parts({"w": 1.0, "b": (2.0, None)}), tree_parts(1.0), tree_parts(None)
    ([('b', (2.0, None)), ('w', 1.0)], None, [])
    """
    if tree is None:
        return []
    if optree.tree_is_leaf(tree, namespace=NAMESPACE):
        return None
    parts, _, entries, _ = optree.tree_flatten_one_level(tree, namespace=NAMESPACE)
    return [(str(key), part) for key, part in zip(getattr(tree, "_fields", entries), parts, strict=True)]


def tree_shapes(tree: Any) -> dict[str, Shape]:
    """The shapes of the leaves of a tree, by their names; a leaf without a shape is a number.

    A name is the way to the leaf, joined by dots as in torch's `state_dict`.

    >>> tree_shapes({"w": np.ones((2, 3)), "b": (0.5, None)})
    {'b.0': (), 'w': (2, 3)}
    """
    shapes = (getattr(leaf, "shape", ()) for leaf in tree_leaves(tree))
    return dict(zip(leaf_names(tree), shapes, strict=True))


def tree_differences(found: Any, wanted: Any) -> list[str]:
    """The leaves that are missing in a tree, unexpected there, or of another shape than wanted: one line for each.

    >>> tree_differences({"w": np.ones((2, 3))}, {"w": np.ones((3, 3)), "b": np.ones(3)})
    ['missing: b (3,)', 'w: is (2, 3), but must be (3, 3)']
    """
    return differences(tree_shapes(found), tree_shapes(wanted))


def differences(found: Mapping[str, object], wanted: Mapping[str, object]) -> list[str]:
    """The names that are missing, unexpected or have another value (a shape or a ShapeDtype), one line for each.

    >>> differences({"w": (2, 3)}, {"w": (3, 3), "b": (3,)})
    ['missing: b (3,)', 'w: is (2, 3), but must be (3, 3)']
    """
    problems = [f"missing: {name} {kind}" for name, kind in wanted.items() if name not in found]
    problems += [f"unexpected: {name} {kind}" for name, kind in found.items() if name not in wanted]
    return problems + [
        f"{name}: is {found[name]}, but must be {kind}"
        for name, kind in wanted.items()
        if name in found and found[name] != kind
    ]
