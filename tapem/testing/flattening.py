"""Any program as a function from vectors to vectors, so that derivatives can be compared.

A program may be a plain function, a function of ops or a `do` program, may take and return trees, and may have integer
arguments. `Flat` reduces it to its differentiable part: the real inputs and the real outputs, one after the other. A
`Layout` maps a position in such a vector to the argument and the index of the element there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeGuard, cast

import numpy as np
import optree

from tapem.core import NAMESPACE, Array, Shape, ShapeDtype, constant, tree_flatten, tree_unflatten
from tapem.doors.direct import current_recorder
from tapem.doors.monadic import TapeM, run_if_program
from tapem.doors.pure import Ref
from tapem.errors import DTypeError, TapeError
from tapem.testing.given_derivatives import Given, plain
from tapem.transforms import as_function
from tapem.types import argument_names, is_inexact

REFUSALS = (TapeError, TypeError, ValueError, ArithmeticError, NotImplementedError)
"""The exceptions that a program may raise if it does not accept its arguments."""


class Layout:
    """The layout of named arrays, one after the other, in a vector.

    >>> layout = Layout(["w", "b"], [(2, 3), (3,)])
    >>> layout.size, layout.locate(4), layout.locate(7)
    (9, ('w', (1, 1)), ('b', (1,)))
    """

    def __init__(self, names: Sequence[str], shapes: Sequence[Shape]) -> None:
        """Lay out arrays of these names and shapes."""
        self.names = list(names)
        self.shapes = [tuple(shape) for shape in shapes]
        sizes = [int(np.prod(shape, dtype=np.int64)) for shape in shapes]
        self.starts = [sum(sizes[:position]) for position in range(len(sizes) + 1)]

    @property
    def size(self) -> int:
        """The length of the vector."""
        return self.starts[-1]

    def block(self, position: int) -> slice:
        """The part of the vector that holds the array at this position."""
        return slice(self.starts[position], self.starts[position + 1])

    def owner(self, flat: int) -> int:
        """The position of the array that holds this element of the vector."""
        return next(i for i in range(len(self.names)) if self.starts[i] <= flat < self.starts[i + 1])

    def locate(self, flat: int) -> tuple[str, tuple[int, ...]]:
        """The name of the array that holds an element of the vector, and the element's index in it."""
        position = self.owner(flat)
        index = np.unravel_index(flat - self.starts[position], self.shapes[position] or (1,))
        return self.names[position], tuple(map(int, index)) if self.shapes[position] else ()

    def split(self, vector: Any) -> list[Any]:
        """Split a vector into its arrays."""
        return [np.reshape(vector[self.block(i)], shape) for i, shape in enumerate(self.shapes)]


class Flat:
    """A program at a point, as a function from its real input leaves to its real output leaves.

    A complex leaf is two real ones, its real and its imaginary part: so all checks look in both directions, and ask for
    no complex derivative. All other inputs keep their values. `leaves` are the real inputs at the point; `inputs` and
    `outputs` are the layouts. A program with a `given` derivative is never traced: it only gets plain arrays.

    Raises DTypeError for a leaf that is not a tensor and for a result None, ArgumentError for what is no function.

    >>> flat = Flat(lambda x, n: {"y": x[n], "n": n}, (np.array([1.0, 2.0]), 1))
    >>> flat.inputs.names, flat.outputs.names, flat.vector(flat.leaves)
    (['x'], ["output['y']"], array([2.]))
    """

    def __init__(
        self,
        f: Callable[..., Any],
        arguments: tuple[Any, ...],
        names: Sequence[str] | None = None,
        *,
        given: Given | None = None,
        traceable: bool = True,
        real_only: bool = False,
    ) -> None:
        """Run the program once at these arguments to learn its outputs; `real_only`: its annotations say so."""
        self.f = as_function(f, "a gradient check")
        self.given = given
        self.traceable = traceable and given is None
        self.real_only = real_only
        self.all_leaves, self.structure = tree_flatten(arguments)
        for leaf in self.all_leaves:
            constant(leaf, op="a gradient check", argument="one of its arguments")  # raises DTypeError
        paths = leaf_names(arguments, argument_names(f, len(arguments)) if names is None else names)
        self.paths = paths
        self.positions = [i for i, leaf in enumerate(self.all_leaves) if is_inexact(ShapeDtype.of(leaf).dtype)]
        self.discrete = [paths[i] for i in range(len(paths)) if i not in self.positions]
        found = [self.all_leaves[i] for i in self.positions]
        self.of_inputs = [np.iscomplexobj(leaf) for leaf in found]
        self.leaves = real_parts(found, self.of_inputs)
        names = part_names([paths[i] for i in self.positions], self.of_inputs)
        self.inputs = Layout(names, [np.shape(leaf) for leaf in self.leaves])
        # The checks compare arguments afterwards with these copies.
        self.kept = [np.array(leaf) for leaf in self.all_leaves]
        with np.errstate(all="ignore"):
            result = self.run(arguments)
        if result is None:
            raise DTypeError("a gradient check: the function returned None; does it lack a return statement?")
        leaves, self.output_structure = tree_flatten(result)
        for leaf in leaves:
            constant(leaf, op="a gradient check", argument="an output of the function")
        self.real = [i for i, leaf in enumerate(leaves) if is_inexact(ShapeDtype.of(leaf).dtype)]
        self.output_names = out_names = leaf_names((result,), ["output"])
        outputs = [leaves[i] for i in self.real]
        self.of_outputs = [np.iscomplexobj(value) for value in outputs]
        self.values = real_parts(outputs, self.of_outputs)
        names = part_names([out_names[i] for i in self.real], self.of_outputs)
        self.outputs = Layout(names, [np.shape(value) for value in self.values])

    def __call__(self, *leaves: Any) -> list[Any]:
        """The real outputs at these input leaves, which may be arrays or tracers."""
        found = tree_flatten(self.run(self.arguments(leaves)))[0]
        return real_parts([found[i] for i in self.real], self.of_outputs)

    def run(self, arguments: tuple[Any, ...]) -> Any:
        """What the program returns for these arguments, in tapem's or NumPy's terms."""
        result = self.f(*arguments)
        return computed(result) if self.given is None else plain(computed(result))

    def arguments(self, leaves: Sequence[Any]) -> tuple[Any, ...]:
        """The program's arguments with these real input leaves."""
        every = list(self.all_leaves)
        for position, leaf in zip(self.positions, whole(leaves, self.of_inputs), strict=True):
            every[position] = leaf
        return tree_unflatten(self.structure, every)

    def vector(self, leaves: Sequence[Any], dtype: Any = np.float64) -> Array:
        """The real outputs at these input leaves as one vector."""
        return packed(self(*leaves), dtype)

    def near(self, leaves: Sequence[Any]) -> Array:
        """The real outputs at leaves near the point as one vector; NaN if the program refuses them."""
        try:
            with np.errstate(all="ignore"):
                return self.vector(leaves)
        except REFUSALS:
            return np.full(self.outputs.size, np.nan)

    def mutated(self) -> str | None:
        """The name of an argument whose value has changed since the check began, if there is one."""
        for leaf, kept, name in zip(self.all_leaves, self.kept, self.paths, strict=True):
            if not np.array_equal(leaf, kept, equal_nan=is_inexact(kept.dtype)):
                return name
        return None

    def every_name(self) -> list[str]:
        """The names of all input leaves, including those without a derivative."""
        return self.paths

    @property
    def precision(self) -> np.dtype[Any]:
        """The least precise dtype among the real inputs and outputs."""
        kinds = [ShapeDtype.of(value).dtype for value in (*self.leaves, *self.values)]
        return max(kinds, key=lambda dtype: float(np.finfo(dtype).eps), default=np.dtype(np.float64))


def is_array(value: Any) -> TypeGuard[Array]:
    """Whether a value is a NumPy array, not a number or a tracer."""
    return isinstance(value, np.ndarray)


def as_tuple(value: Any) -> tuple[Any, ...]:
    """The results of a call as a tuple; a single result becomes a tuple of one.

    >>> as_tuple(1), as_tuple((1, 2))
    ((1,), (1, 2))
    """
    return cast("tuple[Any, ...]", value) if isinstance(value, tuple) else (value,)


def is_list(value: Any) -> TypeGuard[list[Any]]:
    """Whether a value is a list."""
    return isinstance(value, list)


def real_parts(values: Sequence[Any], are_complex: Sequence[bool]) -> list[Any]:
    """The values, arrays or tracers, with the real and the imaginary part in the place of each complex one.

    >>> real_parts([1 + 2j, 3.0], [True, False])
    [1.0, 2.0, 3.0]
    """
    rows = zip(values, are_complex, strict=True)
    return [part for value, two in rows for part in ([value.real, value.imag] if two else [value])]


def whole(parts: Sequence[Any], are_complex: Sequence[bool], unit: complex = 1j) -> list[Any]:
    """The values of which these are the real parts; with another unit, `unit` times the second part is added instead.

    >>> whole([1.0, 2.0, 3.0], [True, False])
    [(1+2j), 3.0]
    """
    rest = iter(parts)
    return [next(rest) + next(rest) * unit if is_complex else next(rest) for is_complex in are_complex]


def part_names(names: Sequence[str], are_complex: Sequence[bool]) -> list[str]:
    """The names of the real parts of values.

    >>> part_names(["z", "x"], [True, False])
    ['z.real', 'z.imag', 'x']
    """
    rows = zip(names, are_complex, strict=True)
    return [part for name, two in rows for part in ([f"{name}.real", f"{name}.imag"] if two else [name])]


def is_inexact_value(value: Any) -> bool:
    """Whether a value holds floats or complex numbers, so that it can be perturbed."""
    return value is not None and type(value) is not tuple and is_inexact(ShapeDtype.of(value).dtype)


def packed(leaves: Sequence[Any], dtype: Any = np.float64) -> Array:
    """Pack arrays into one vector.

    >>> packed([np.ones((1, 2)), 3.0])
    array([1., 1., 3.])
    """
    return np.concatenate(
        [np.zeros(0, dtype), *(np.asarray(leaf).ravel().astype(dtype, copy=False) for leaf in leaves)]
    )


def magnitude(vector: Array) -> float:
    """The largest finite absolute value; 0 if there is none."""
    return float(np.max(np.abs(vector), initial=0.0, where=np.isfinite(vector)))


def as_leaf(value: Any, like: Any) -> Any:
    """Convert an array to the kind of `like`: a Python number, a NumPy scalar or an array."""
    if np.iscomplexobj(value):
        return np.asarray(value)
    if type(like) is float:
        return float(value)
    array = np.asarray(value, like.dtype)
    return array[()] if isinstance(like, np.generic) else array


def computed(result: Any) -> Any:
    """The values that a program returned; a step runs on the current recorder or on a new tape."""
    if not isinstance(result, TapeM):
        return result
    step = cast("TapeM[Any]", result)
    recorder = current_recorder()
    if recorder is not None:
        return run_if_program(step, recorder)
    value, tape = step.run()
    leaves, structure = tree_flatten(value)
    return tree_unflatten(structure, [np.array(tape.value(leaf)) if isinstance(leaf, Ref) else leaf for leaf in leaves])


def leaf_names(trees: tuple[Any, ...], names: Sequence[str]) -> list[str]:
    """The expression for each leaf of a program's arguments.

    >>> leaf_names(({"w": [1, 2]}, 3), ["params", "x"])
    ["params['w'][0]", "params['w'][1]", 'x']
    """
    tree_flatten(trees)  # registers the dataclasses in it with optree
    return [
        accessor.codify(name)
        for tree, name in zip(trees, names, strict=True)
        for accessor in optree.tree_accessors(tree, namespace=NAMESPACE)
    ]


def first_line(error: Exception) -> str:
    """The first line of an error's message."""
    return next(iter(str(error).splitlines()), type(error).__name__)


def real_input(flat: Flat, caller: str) -> None:
    """Raise DTypeError unless every input leaf is real; `caller` is the name shown in errors."""
    if flat.discrete:
        raise DTypeError(
            f"{caller}: {flat.discrete[0]} holds integers or bools, which cannot be perturbed. Convert it to floats, "
            "or close the function over it."
        )


__all__ = [
    "REFUSALS",
    "Flat",
    "Layout",
    "as_leaf",
    "as_tuple",
    "computed",
    "first_line",
    "is_array",
    "is_inexact_value",
    "is_list",
    "leaf_names",
    "magnitude",
    "packed",
    "real_input",
    "real_parts",
    "whole",
]
