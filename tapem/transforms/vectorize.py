"""vmap: from the function of one example, the function of many."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import optree

from tapem.core import NAMESPACE, ShapeDtype, Structure, constant, is_several, taken, tree_flatten, tree_unflatten
from tapem.doors.direct import Recorder, Tracer, new_recorder, opened
from tapem.doors.monadic import run_if_program
from tapem.errors import ArgumentError, ConcretizationError, ShapeError, TreeError
from tapem.sweeps import Batched, batch, from_front, to_front
from tapem.transforms.arguments import as_function
from tapem.transforms.tracing import through_every_door


def vmap(
    f: Callable[..., Any] | None = None,
    in_axes: Any = 0,
    out_axes: Any = 0,
    axis_name: str | None = None,
    axis_size: int | None = None,
) -> Callable[..., Any]:
    """The function that maps `f` over an axis of its arguments, all examples at once.

    `in_axes` and `out_axes` say which axis is the batch axis: an int (negative ones count from the end), None for an
    argument that is not mapped, or a tree of them that matches the arguments from the top. Keyword arguments are mapped
    over axis 0. `axis_size` is needed only if no argument is mapped; `axis_name` names the axis in errors.

    f runs once, with the shapes of one example, so it cannot read values: `if x > 0` raises ConcretizationError.
    Raises ShapeError if batch sizes differ, ArgumentError for an axis that does not exist.

    >>> import numpy as np
    >>> vmap(np.dot, in_axes=(0, None))(np.eye(2), np.array([3.0, 4.0]))
    array([3., 4.])
    """
    if f is None:
        return functools.partial(vmap, in_axes=in_axes, out_axes=out_axes, axis_name=axis_name, axis_size=axis_size)
    function = as_function(f, "vmap")

    @through_every_door
    @functools.wraps(function)
    def mapped(*arguments: Any, **options: Any) -> Any:
        leaves, structure = tree_flatten((arguments, options))
        axes_tree: Any = tuple(cast("list[Any]", in_axes)) if isinstance(in_axes, list) else in_axes
        if is_several(axes_tree) and len(axes_tree) != len(arguments):
            raise ArgumentError(
                f"vmap: in_axes={in_axes!r} has {len(axes_tree)} entries, but f was called with {len(arguments)} "
                "positional arguments; give one entry per argument."
            )
        axes = [*axes_of(axes_tree, arguments, "in_axes"), *(0 for _ in tree_flatten(options)[0])]
        leaves = [
            leaf if axis is None else taken(leaf, op="vmap", argument="a mapped argument")
            for leaf, axis in zip(leaves, axes, strict=True)
        ]
        axes = [normal_axis(axis, leaf, "in_axes") for axis, leaf in zip(axes, leaves, strict=True)]
        size = batch_size(leaves, axes, axis_size, axis_name)

        def record(recorder: Recorder) -> tuple[dict[int, Batched], list[Any], Structure]:
            inputs: dict[int, Batched] = {}
            inside: list[Any] = []
            for leaf, axis in zip(leaves, axes, strict=True):
                if axis is None:
                    inside.append(leaf)
                    continue
                kind = ShapeDtype.of(leaf)
                node = recorder.leaf(ShapeDtype(kind.shape[:axis] + kind.shape[axis + 1 :], kind.dtype))
                value = leaf if type(leaf) is Tracer else np.asarray(constant(leaf, op="vmap"))
                inputs[node.id] = Batched((value, axis), True)
                inside.append(Tracer(recorder, node))
            positional, keywords = tree_unflatten(structure, inside)
            return inputs, *tree_flatten(run_if_program(function(*positional, **keywords), recorder))

        recorder = new_recorder(abstract=True)
        inputs, outputs, out_structure = opened(recorder, record)
        # The outer recorder, if any, is current again, and records the computations of the sweep.
        ready = {id: Batched(to_front(*item.value), True) for id, item in inputs.items()}
        own = [out.node.id for out in outputs if type(out) is Tracer and out.recorder is recorder]
        found = iter(batch(recorder.nodes, size, ready, own))
        results = [
            next(found) if type(out) is Tracer and out.recorder is recorder else Batched(out, False) for out in outputs
        ]
        out_axis = axes_of(out_axes, tree_unflatten(out_structure, outputs), "out_axes")
        stack = [stacked(result, axis, size, axis_name) for result, axis in zip(results, out_axis, strict=True)]
        return tree_unflatten(out_structure, apart(stack))

    return mapped


def stacked(result: Batched, axis: int | None, size: int, axis_name: str | None) -> Any:
    """A result with its batch axis at the position that `out_axes` gives."""
    if axis is None:
        if result.mapped:
            raise ConcretizationError(
                f"vmap{named(axis_name)}: out_axes is None for an output that depends on the mapped axis; "
                "give the axis along which the examples are to be stacked."
            )
        return result.value
    if not result.mapped:
        result = Batched(taken(result.value, op="vmap", argument="an output"), False)
    rank = np.ndim(result.value) + (not result.mapped)
    if not -rank <= axis < rank:
        raise ArgumentError(f"vmap: out_axes={axis} is out of range for an output with {rank} axes.")
    return from_front(result, axis % rank, size)


def apart(values: list[Any]) -> list[Any]:
    """The same results, writeable and without shared memory, so that a change of one does not change another."""
    roots: set[int] = set()
    for position, value in enumerate(values):
        if type(value) is np.ndarray:
            root = value
            while type(root.base) is np.ndarray:
                root = root.base
            if id(root) in roots or not value.flags.writeable:
                values[position] = value.copy()
            roots.add(id(root))
    return values


def axes_of(axes: Any, tree: Any, parameter: str) -> list[int | None]:
    """One axis per leaf of the tree: `axes` is an int or None, or a tree of them that matches from the top.

    Raises TreeError if it does not match, ArgumentError for an axis that is not an integer.
    """
    leaves, _ = tree_flatten(tree)  # teaches optree the dataclasses in it
    given = None if axes is None or isinstance(axes, int) else children_of(axes)
    parts = None if given is None else children_of(tree)
    if given is None or parts is None:
        if axes is not None and (isinstance(axes, bool) or not isinstance(axes, int)):
            raise ArgumentError(f"vmap: {parameter} must hold integers and None, not {axes!r}.")
        return [axes] * len(leaves)
    if len(given[0]) != len(parts[0]) or given[1] != parts[1]:
        raise TreeError(f"vmap: {parameter}={axes!r} does not match the structure of the values it belongs to.")
    pairs = zip(given[0], parts[0], strict=True)
    return [axis for one, part in pairs for axis in axes_of(one, part, parameter)]


def children_of(tree: Any) -> tuple[Sequence[Any], Any] | None:
    """The parts of a node of a tree and what else it is made of; None for a leaf."""
    try:
        parts, metadata, *_ = optree.tree_flatten_one_level(tree, none_is_leaf=True, namespace=NAMESPACE)
    except ValueError:
        return None
    return parts, metadata


def normal_axis(axis: int | None, leaf: Any, parameter: str) -> int | None:
    """The axis counted from the front; raises ArgumentError if the leaf does not have the axis."""
    if axis is None:
        return None
    shape = ShapeDtype.of(leaf).shape if type(leaf) is Tracer else np.shape(constant(leaf, op="vmap"))
    if not -len(shape) <= axis < len(shape):
        raise ArgumentError(
            f"vmap: {parameter}={axis} names no axis of an argument of shape {shape}; use None for an argument that is "
            "not mapped, and np.array(...) for a list, since a list is a tree of its numbers."
        )
    return axis % len(shape)


def batch_size(leaves: Sequence[Any], axes: Sequence[int | None], given: int | None, axis_name: str | None) -> int:
    """The size of the batch axis, on which all mapped arguments must agree."""
    sizes = [
        (position, np.shape(leaf)[axis], np.shape(leaf))
        for position, (leaf, axis) in enumerate(zip(leaves, axes, strict=True))
        if axis is not None
    ]
    if given is not None:
        sizes.insert(0, (-1, given, ()))
    if not sizes:
        raise ArgumentError(f"vmap{named(axis_name)}: nothing is mapped; give axis_size, or map an argument.")
    first = sizes[0]
    for other in sizes[1:]:
        if other[1] != first[1]:
            one = "axis_size" if first[0] < 0 else f"leaf {first[0]} of shape {first[2]}"
            raise ShapeError(
                f"vmap{named(axis_name)}: the batch sizes differ: {first[1]} in {one}, but {other[1]} in leaf "
                f"{other[0]} of shape {other[2]}."
            )
    return int(first[1])


def named(axis_name: str | None) -> str:
    """The mapped axis as errors name it."""
    return "" if axis_name is None else f" over {axis_name!r}"
