"""The transforms of derivatives: grad, value_and_grad, vjp, jvp, linearize.

A program may be a plain NumPy function, a function of ops, or a `do` program. Arguments may be trees. All transforms
nest in any order; `tracing` says how.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

import numpy as np

from tapem.core import (
    CONTEXT,
    ShapeDtype,
    Structure,
    boundary,
    constant,
    leaves_like,
    quietly,
    shorten,
    shown,
    taken,
    tree_flatten,
    tree_unflatten,
)
from tapem.doors.direct import Tracer
from tapem.doors.monadic import TapeM, lift
from tapem.errors import DTypeError, TreeError
from tapem.sweeps import fit_given, forward, reverse, zeros_of
from tapem.transforms.arguments import (
    as_argnums,
    as_function,
    at_positions,
    hint_at_lists,
    leaf_of_argument,
    merge,
    replace,
    select,
)
from tapem.transforms.tracing import Trace, monadic, scalar_output, through_every_door, trace
from tapem.types import NUMBERS

F = TypeVar("F", bound=Callable[..., Any])


def value_and_grad(
    f: Callable[..., Any] | None = None,
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    allow_int: bool = False,
    holomorphic: bool = False,
) -> Callable[..., Any]:
    """The function that computes the scalar function `f` together with its gradient.

    The gradient has the structure, shapes and dtypes of the arguments that `argnums` selects (a tuple of gradients for
    a tuple of numbers); arguments that f does not use get zeros. With `has_aux`, f returns `(y, aux)`, and so does the
    value: `((y, aux), gradient)`. Integer and bool leaves are an error, or get None with `allow_int`.

    Arguments may be complex, if the output is real. At z = x + iy the gradient is df/dx - i df/dy, as in JAX: a step
    downhill is one along its conjugate. With `holomorphic`, arguments and output are complex, and f has a complex
    derivative, which the gradient is.

    f may overwrite its arguments, since it gets copies of them; the copies cost memory and time.
    Raises NotScalarError if f's output is not of shape (), DTypeError for an integer input and for a complex output
    without `holomorphic`, ArgumentError for an argnum out of range.

    >>> import numpy as np
    >>> value, gradient = value_and_grad(lambda x: np.sum(x**2))(np.array([1.0, 2.0]))
    >>> float(value), gradient
    (5.0, array([2., 4.]))
    """
    if f is None:
        return functools.partial(
            value_and_grad, argnums=argnums, has_aux=has_aux, allow_int=allow_int, holomorphic=holomorphic
        )
    caller = "value_and_grad"
    selected = as_argnums(argnums, caller)
    return boundary(both_of(as_function(f, caller), selected, has_aux, allow_int, holomorphic, caller))


def both_of(
    function: Callable[..., Any],
    argnums: int | tuple[int, ...],
    has_aux: bool,
    allow_int: bool,
    holomorphic: bool,
    caller: str,
) -> Callable[..., Any]:
    """The function that computes value and gradient for `caller`, which is the boundary for tracebacks."""

    @functools.wraps(function)
    def with_gradient(*arguments: Any, **options: Any) -> Any:
        selected = select(arguments, argnums)
        chosen: Any = arguments[selected] if isinstance(selected, int) else tuple(arguments[i] for i in selected)
        leaves, structure = tree_flatten(chosen)
        if monadic(leaves):
            # Not with_gradient itself: a closure that holds itself would keep f alive until the next collection.
            return lift(value_and_grad(function, argnums, has_aux, allow_int, holomorphic))(*arguments, **options)
        positions = differentiable(leaves, structure, allow_int, caller, selected)

        def call(tracers: list[Any]) -> Any:
            values = tracers if positions is None else merge(leaves, positions, tracers)
            inside = tree_unflatten(structure, values)
            try:
                return function(*replace(arguments, selected, inside), **options)
            except Exception as error:
                hint_at_lists(error, arguments)
                raise

        inputs = leaves if positions is None else [leaves[position] for position in positions]
        if holomorphic:
            require_complex(inputs, caller, "an argument")
        traced = trace(call, inputs, has_aux=has_aux)
        output = scalar_output(traced, caller, holomorphic)
        gradients: Sequence[Any] = pull_back(traced, [output], [None], copy=False)
        if positions is not None:
            gradients = merge([None] * len(leaves), positions, gradients)
        gradient = tree_unflatten(structure, gradients)
        value = traced.leave(output)
        return ((value, traced.aux) if has_aux else value), gradient

    return with_gradient


def grad(
    f: Callable[..., Any] | None = None,
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    allow_int: bool = False,
    holomorphic: bool = False,
) -> Callable[..., Any]:
    """The function that computes the gradient of the scalar function `f`: `value_and_grad` without the value.

    With `has_aux` it returns `(gradient, aux)`. Usable as a decorator.

    >>> import numpy as np
    >>> grad(np.sin)(0.0)
    np.float64(1.0)
    >>> grad(grad(np.sin))(0.5) == -np.sin(0.5)
    np.True_
    >>> grad(lambda z: z.real**2 + z.imag**2)(3.0 + 4.0j), grad(lambda z: z**2, holomorphic=True)(3.0 + 4.0j)
    (np.complex128(6-8j), np.complex128(6+8j))
    """
    if f is None:
        return functools.partial(grad, argnums=argnums, has_aux=has_aux, allow_int=allow_int, holomorphic=holomorphic)
    both = both_of(as_function(f, "grad"), as_argnums(argnums, "grad"), has_aux, allow_int, holomorphic, "grad")

    @functools.wraps(f)
    def gradient(*arguments: Any, **options: Any) -> Any:
        try:
            result = both(*arguments, **options)
        except Exception as error:
            shorten(error)
            raise
        if type(result) is tuple:
            return without_value(cast("tuple[Any, Any]", result))
        return cast("TapeM[Any]", result).map(without_value)

    def without_value(result: tuple[Any, Any]) -> Any:
        value, found = result
        return (found, value[1]) if has_aux else found

    return gradient


@boundary
def vjp(f: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """The value of `f` at the primals, and its pullback: `(y, pullback)`, or `(y, pullback, aux)` with `has_aux`.

    `pullback(cotangent)` takes a cotangent of y's structure, and returns a tuple with one cotangent per primal. It can
    be called any number of times. Raises ShapeError, DTypeError or TreeError for a cotangent that does not fit y.

    >>> import numpy as np
    >>> y, pullback = vjp(lambda x, w: np.sin(x) * w, np.array([0.0, 1.0]), 2.0)
    >>> pullback(np.array([1.0, 0.0]))
    (array([2., 0.]), np.float64(0.0))
    """
    traced, pull = pullback_of(as_function(f, "vjp"), primals, has_aux, "vjp")

    def pullback(cotangent: Any) -> Any:
        try:
            traced.check()
            return pull(leaves_like(traced.structure, cotangent, "the cotangent of vjp and the output of f"))
        except Exception as error:
            shorten(error)
            raise

    return (traced.result(), pullback, traced.aux) if has_aux else (traced.result(), pullback)


@through_every_door
def jvp(f: Callable[..., Any], primals: Any, tangents: Any, has_aux: bool = False) -> Any:
    """The value of `f` and its derivative along the tangents: `(y, dy)`, or `(y, dy, aux)` with `has_aux`.

    `primals` and `tangents` are tuples, one entry per argument. Raises ShapeError, DTypeError or TreeError for a
    tangent that does not fit its primal.

    >>> import numpy as np
    >>> y, dy = jvp(np.sin, (0.0,), (2.0,))
    >>> float(y), float(dy)
    (0.0, 2.0)
    """
    primals, tangents = as_arguments(primals, "primals"), as_arguments(tangents, "tangents")
    given, structure = tree_flatten(tangents)
    traced, push = pushforward(as_function(f, "jvp"), primals, has_aux, "jvp")
    if tree_flatten(primals)[1] != structure:
        raise TreeError(f"jvp: primals are {shown(tree_flatten(primals)[1])}, but tangents are {shown(structure)}.")
    y, dy = traced.result(), push(given)
    return (y, dy, traced.aux) if has_aux else (y, dy)


@boundary
def linearize(f: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """The value of `f` at the primals, and its derivative there as a linear function: `(y, derivative)`.

    `derivative(*tangents)` takes one tangent per primal. f runs once; the linear function can be called any number of
    times. With `has_aux`, f returns `(y, aux)`, and the result is `(y, derivative, aux)`. Raises TreeError, ShapeError
    or DTypeError for tangents that do not fit the primals.

    >>> import numpy as np
    >>> y, derivative = linearize(np.sin, 0.0)
    >>> float(derivative(1.0)), float(derivative(3.0))
    (1.0, 3.0)
    """
    traced, push = pushforward(as_function(f, "linearize"), primals, has_aux, "linearize")
    _, structure = tree_flatten(primals)

    def derivative(*tangents: Any) -> Any:
        try:
            traced.check()
            return push(leaves_like(structure, tangents, "the tangents of linearize and the primals"))
        except Exception as error:
            shorten(error)
            raise

    return (traced.result(), derivative, traced.aux) if has_aux else (traced.result(), derivative)


def pushforward(
    f: Callable[..., Any], primals: tuple[Any, ...], has_aux: bool, caller: str
) -> tuple[Trace, Callable[[list[Any]], Any]]:
    """Record f once, and return the function that pushes a list of tangents, one per leaf of the primals, through it.

    `caller` is the name shown in errors.
    """
    traced, _, positions = traced_at(f, primals, has_aux, caller)

    def push(tangents: list[Any]) -> Any:
        seeds = {
            node.id: fit_given(tangent, ShapeDtype.of(node.output), "the tangent", "a value")
            for node, tangent in zip(traced.inputs, at_positions(tangents, positions), strict=True)
        }
        watcher = CONTEXT.get().watcher
        ends = [traced.output_node(output) for output in traced.outputs]
        ids = [node.id for node in ends if node is not None]
        nodes, last, view = traced.recorder.nodes, traced.last, traced.view()
        found = quietly(forward, nodes, seeds, last, outputs=ids, view=view, watcher=watcher)
        results: list[Any] = []
        for output, node in zip(traced.outputs, ends, strict=True):
            tangent = None if node is None else found.get(node.id)
            if node is None or tangent is None:
                results.append(zeros_of(output))
            else:
                results.append(traced.leave(owned(tangent, True, node.output)))
        return tree_unflatten(traced.structure, results)

    return traced, push


def pullback_of(
    f: Callable[..., Any], primals: tuple[Any, ...], has_aux: bool, caller: str
) -> tuple[Trace, Callable[[list[Any]], Any]]:
    """Record f once, and return the function that pulls a list of cotangents, one per leaf of its output, back.

    `caller` is the name shown in errors.
    """
    traced, structure, positions = traced_at(f, primals, has_aux, caller)

    def pull(cotangents: list[Any]) -> Any:
        seeds = [
            fit_given(cotangent, ShapeDtype.of(output), "the cotangent", "a value")
            for cotangent, output in zip(cotangents, traced.outputs, strict=True)
        ]
        gradients = pull_back(traced, traced.outputs, seeds, copy=True)
        return tree_unflatten(structure, merge([None] * structure.num_leaves, positions, gradients))

    return traced, pull


def traced_at(
    f: Callable[..., Any], primals: tuple[Any, ...], has_aux: bool, caller: str
) -> tuple[Trace, Structure, list[int] | None]:
    """Record f at the primals: the trace, their structure, and which leaves are differentiated (None: all of them)."""
    leaves, structure = tree_flatten(primals)
    positions = differentiable(leaves, structure, True, caller)

    def call(tracers: list[Any]) -> Any:
        try:
            return f(*tree_unflatten(structure, merge(leaves, positions, tracers)))
        except Exception as error:
            hint_at_lists(error, primals)
            raise

    return trace(call, at_positions(leaves, positions), has_aux=has_aux), structure, positions


def pull_back(traced: Trace, outputs: Sequence[Any], cotangents: Sequence[Any], copy: bool) -> list[Any]:
    """The cotangents of a trace's inputs, from those of its outputs (None stands for the number 1).

    The caller owns the returned arrays: they share memory with no other array.
    """
    seeds: dict[int, Any] = {}
    for output, cotangent in zip(outputs, cotangents, strict=True):
        node = traced.output_node(output)
        if node is None or not node.requires_grad:
            continue
        seed = node.dtype.type(1) if cotangent is None else cotangent
        seeds[node.id] = seeds[node.id] + seed if node.id in seeds else seed
    quietly(
        reverse,
        traced.recorder.nodes,
        seeds,
        active=traced.active() if traced.nested else None,
        view=traced.view() if traced.nested else None,
        keep=False,
        first=traced.first,
        sources=len(traced.inputs),
        watcher=CONTEXT.get().watcher,
    )
    results: list[Any] = []
    seen: set[int] = set()
    for node in traced.inputs:
        cotangent = seeds.get(node.id)
        if cotangent is None:
            results.append(zeros_of(node.output))
            continue
        if not traced.nested:
            cotangent = owned(cotangent, copy or id(cotangent) in seen, node.output)
            seen.add(id(cotangent))
            if type(cotangent) is np.ndarray:
                results.append(cotangent)
                continue
        results.append(traced.leave(cotangent))
    return results


def owned(value: Any, copy: bool, like: Any) -> Any:
    """An array that no other code holds; a NumPy scalar only if `like` is a Python or NumPy scalar."""
    if type(value) is np.ndarray:
        if value.ndim == 0 and type(like) is not np.ndarray:
            return value[()]
        return value.copy() if copy or value.base is not None or not value.flags.writeable else value
    return np.asarray(value) if type(like) is np.ndarray and issubclass(type(value), np.generic) else value


def as_arguments(values: Any, parameter: str) -> tuple[Any, ...]:
    """Primals or tangents as a tuple with one entry per argument."""
    if isinstance(values, tuple | list):
        return tuple(cast("Sequence[Any]", values))
    raise TreeError(f"jvp: {parameter} must be a tuple with one entry per argument, not {type(values).__name__}.")


def differentiable(
    leaves: list[Any],
    structure: Structure,
    allow_int: bool | None,
    caller: str = "grad",
    selected: int | Sequence[int] | None = None,
) -> list[int] | None:
    """The positions of the leaves that can be differentiated, or None for all of them.

    Replaces arrays of other libraries by NumPy arrays in `leaves`. `caller` and `selected` are for errors: the name of
    the transform, and the positions of the arguments (by default all).

    Raises DTypeError for a leaf of integers or bools unless they are allowed, and for a leaf that is not a tensor. With
    `allow_int` None integers are refused, and the error does not offer to allow them.
    """
    discrete: list[int] = []
    for position, leaf in enumerate(leaves):
        if type(leaf) is np.ndarray or type(leaf) is Tracer:
            kind = leaf.dtype.kind
        elif type(leaf) is float or type(leaf) is complex:
            continue
        elif type(leaf) in NUMBERS:
            kind = ShapeDtype.of(leaf).dtype.kind
        else:
            name = leaf_of_argument(structure, position, selected)
            leaves[position] = leaf = taken(leaf, op=caller, argument=name)
            kind = ShapeDtype.of(leaf).dtype.kind
        if kind in ("f", "c"):
            continue
        if kind not in "iub":
            constant(leaf, op=caller, argument=leaf_of_argument(structure, position, selected))  # raises DTypeError
        if not allow_int:
            name, dtype = leaf_of_argument(structure, position, selected), ShapeDtype.of(leaf).dtype
            raise DTypeError(
                f"{caller}: {name} is {dtype}, and integers and bools have no derivative. Convert it to floats, or "
                "leave it out of argnums"
                + ("." if allow_int is None else "; or pass allow_int=True to get None in its place.")
            )
        discrete.append(position)
    return [position for position in range(len(leaves)) if position not in discrete] if discrete else None


def require_complex(values: Sequence[Any], caller: str, subject: str) -> None:
    """Raise DTypeError unless all values are complex, as a holomorphic function's arguments and outputs are."""
    for value in values:
        dtype = ShapeDtype.of(value).dtype
        if dtype.kind != "c":
            raise DTypeError(
                f"{caller} with holomorphic=True differentiates a complex function of complex arguments, but {subject} "
                f"is {dtype}. Write x.astype(complex), or leave holomorphic=True out where the output is real."
            )


__all__ = ["grad", "jvp", "linearize", "value_and_grad", "vjp"]
