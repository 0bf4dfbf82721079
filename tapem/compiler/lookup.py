"""Looking up: what a call has in common with the calls that run the same program.

`tree_flatten` sorts the keys of dicts and looks up every type; that takes longer than all else that a call needs. Plain
trees of arrays and numbers are read here as they are, with dicts in the order of their keys.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from itertools import chain, count
from typing import Any

from numpy import ndarray

from tapem.core import Structure, tree_leaves

_NUMBERS = (float, int, bool, complex)

PLAIN = frozenset({ndarray, *_NUMBERS})
"""The types of leaves that a program takes as they are."""


def key_of(structure: Structure, static: Hashable, leaves: Sequence[Any]) -> Hashable:
    """What is to be equal in two calls, from the leaves of a tree: an array's dtype and shape, a number's type.

    The keys 1, 1.0 and True of dicts are equal, but of different types.
    """
    ways = tuple(map(type, chain.from_iterable(structure.paths())))
    key: list[Any] = [structure, static, ways]
    for leaf in leaves:
        if type(leaf) in _NUMBERS:
            key.append(type(leaf))
        else:
            key.append(leaf.dtype)
            key.append(leaf.shape)
    return tuple(key)


def kind_of_tree(tree: Any, leaves: list[Any]) -> Any:
    """What is to be equal in two calls, and in `leaves` the leaves; raises LookupError for what is no plain tree."""
    kind = type(tree)
    if kind is ndarray:
        leaves.append(tree)
        return tree.dtype, tree.shape
    if kind is dict:
        return tuple(tree), tuple(map(type, tree)), kinds_of_trees(tree.values(), leaves)
    if kind is tuple or kind is list:
        return kind, kinds_of_trees(tree, leaves)
    if kind in _NUMBERS:
        leaves.append(tree)
        return kind
    raise LookupError


def kinds_of_trees(trees: Iterable[Any], leaves: list[Any]) -> tuple[Any, ...]:
    """The kinds of some trees; of an array two, since most trees are arrays, and a call for each takes longer."""
    kinds: list[Any] = []
    for tree in trees:
        if type(tree) is ndarray:
            leaves.append(tree)
            kinds.append(tree.dtype)
            kinds.append(tree.shape)
        else:
            kinds.append(kind_of_tree(tree, leaves))
    return tuple(kinds)


def order_of_leaves(tree: Any) -> list[int]:
    """For each leaf as `tree_flatten` orders them, its position in the order of `kind_of_tree`."""
    return tree_leaves(numbered(tree, count()))


def numbered(tree: Any, numbers: Iterator[int]) -> Any:
    """The tree with numbers for leaves."""
    if isinstance(tree, dict):
        return {key: numbered(value, numbers) for key, value in tree.items()}  # pyright: ignore
    if isinstance(tree, tuple | list):
        return type(tree)([numbered(value, numbers) for value in tree])  # pyright: ignore
    return next(numbers)


__all__ = ["PLAIN", "key_of", "kind_of_tree", "order_of_leaves"]
