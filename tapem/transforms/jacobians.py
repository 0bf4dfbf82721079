"""Derivatives of functions with many outputs: jacfwd, jacrev, hessian, hvp. Each runs f once.

Many directions are one batched sweep. A few directions of a small function are one sweep each: recording the sweep in
order to batch it costs several sweeps.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tapem.core import ShapeDtype, boundary, tree_flatten, tree_leaves, tree_map, tree_unflatten
from tapem.errors import ArgumentError, DTypeError
from tapem.transforms.arguments import as_argnums, as_function, merge, select
from tapem.transforms.derivatives import (
    as_arguments,
    differentiable,
    grad,
    jvp,
    pullback_of,
    pushforward,
    require_complex,
)
from tapem.transforms.tracing import Trace, through_every_door
from tapem.transforms.vectorize import vmap

Argnums = int | Sequence[int]

FEW, SMALL = 5, 10_000
"""A sweep for each of at most so many directions is cheaper, if no value on the way has more elements than this."""


def jacfwd(
    f: Callable[..., Any] | None = None,
    argnums: Argnums = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    chunk_size: int | None = None,
) -> Callable[..., Any]:
    """The function that computes the Jacobian of `f` in forward mode: cheap for few inputs and many outputs.

    For every leaf of the output it returns a tree like the arguments that `argnums` selects, whose leaves have shape
    `output.shape + input.shape` and the dtype of the input; complex for a complex output. With `has_aux`, it returns
    `(jacobian, aux)`. With `holomorphic`, inputs and outputs are complex, and the derivatives are the complex ones.

    f runs once. One sweep goes along all basis vectors of the inputs, or along `chunk_size` of them at a time, which
    takes less memory; for a few directions of a small f, one sweep for each is cheaper, and is what happens.

    Raises DTypeError for an integer input, and for a complex one without `holomorphic`; ArgumentError for a chunk_size
    that is not a positive integer.

    >>> import numpy as np
    >>> jacfwd(lambda x: x**2)(np.array([1.0, 2.0]))
    array([[2., 0.],
           [0., 4.]])
    """
    if f is None:
        return functools.partial(
            jacfwd, argnums=argnums, has_aux=has_aux, holomorphic=holomorphic, chunk_size=chunk_size
        )
    return forward_jacobian(f, argnums, has_aux, holomorphic, chunk_size, "jacfwd")


def forward_jacobian(
    f: Callable[..., Any], argnums: Argnums, has_aux: bool, holomorphic: bool, chunk_size: int | None, caller: str
) -> Callable[..., Any]:
    """`jacfwd`, under the name of the transform that errors are about."""
    function = as_function(f, caller)
    argnums = as_argnums(argnums, caller)
    check_chunk_size(chunk_size, caller)

    @through_every_door
    @functools.wraps(function)
    def jacobian_of(*arguments: Any, **options: Any) -> Any:
        call, chosen, selected, single = partially(function, arguments, options, argnums)
        leaves, structure = tree_flatten(chosen)
        differentiable(leaves, structure, None, caller, selected)
        if holomorphic:
            require_complex(leaves, caller, "an argument")
        else:
            require_real(
                leaves,
                caller,
                "an argument",
                "which has two directions at each element"
                + (". Use jacrev if the output is real" if caller == "jacfwd" else ""),
            )
        traced, push = pushforward(call, chosen, has_aux, caller)
        if holomorphic:
            require_complex(traced.outputs, caller, "an output")
        columns = along_basis(push, leaves, traced, chunk_size, axis=-1)

        def rows(output: Any) -> Any:
            parts = split(output, leaves, axis=-1)
            blocks = [
                cast(np.reshape(part, (*np.shape(output)[:-1], *np.shape(leaf))), leaf)
                for part, leaf in zip(parts, leaves, strict=True)
            ]
            tree = tree_unflatten(structure, blocks)
            return tree[0] if single else tree

        jacobian = tree_map(rows, columns)
        return (jacobian, traced.aux) if has_aux else jacobian

    return jacobian_of


def jacrev(
    f: Callable[..., Any] | None = None,
    argnums: Argnums = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    chunk_size: int | None = None,
) -> Callable[..., Any]:
    """The function that computes the Jacobian of `f` in reverse mode: cheap for few outputs and many inputs.

    The result is that of `jacfwd`. Inputs may be complex, if the outputs are real: the derivatives are those of `grad`.
    `chunk_size` is as in `jacfwd`; the directions are the basis vectors of the outputs.

    Raises DTypeError for an integer input or output, and for a complex output without `holomorphic`; ArgumentError for
    a chunk_size that is not a positive integer.

    >>> import numpy as np
    >>> jacrev(lambda x: np.sum(x**2))(np.array([1.0, 2.0]))
    array([2., 4.])
    """
    if f is None:
        return functools.partial(
            jacrev, argnums=argnums, has_aux=has_aux, holomorphic=holomorphic, chunk_size=chunk_size
        )
    return reverse_jacobian(f, argnums, has_aux, holomorphic, chunk_size, "jacrev")


def reverse_jacobian(
    f: Callable[..., Any], argnums: Argnums, has_aux: bool, holomorphic: bool, chunk_size: int | None, caller: str
) -> Callable[..., Any]:
    """`jacrev`, under the name of the transform that errors are about."""
    function = as_function(f, caller)
    argnums = as_argnums(argnums, caller)
    check_chunk_size(chunk_size, caller)

    @through_every_door
    @functools.wraps(function)
    def jacobian_of(*arguments: Any, **options: Any) -> Any:
        call, chosen, selected, single = partially(function, arguments, options, argnums)
        leaves, structure = tree_flatten(chosen)
        differentiable(leaves, structure, None, caller, selected)
        traced, pull = pullback_of(call, chosen, has_aux, caller)
        outputs, out_structure = tree_flatten(traced.result())
        if holomorphic:
            require_complex(leaves, caller, "an argument")
            require_complex(outputs, caller, "an output")
        else:
            require_real(
                outputs,
                caller,
                "an output",
                f"of which {caller} would have to lose a part"
                + (". Use jacfwd if the input is real" if caller == "jacrev" else ""),
            )

        rows = along_basis(pull, outputs, traced, chunk_size, axis=0)
        parts = [split(leaf, outputs, axis=0) for leaf in tree_flatten(rows)[0]]

        def block(position: int, output: Any) -> Any:
            tree = tree_unflatten(
                structure,
                [
                    cast(np.reshape(part[position], (*np.shape(output), *np.shape(leaf))), leaf)
                    for part, leaf in zip(parts, leaves, strict=True)
                ],
            )
            return tree[0] if single else tree

        jacobian = tree_unflatten(out_structure, [block(position, output) for position, output in enumerate(outputs)])
        return (jacobian, traced.aux) if has_aux else jacobian

    return jacobian_of


jacobian = jacrev


def hessian(f: Callable[..., Any] | None = None, argnums: Argnums = 0, holomorphic: bool = False) -> Callable[..., Any]:
    """The function that computes the matrix of second derivatives of `f`: forward over reverse.

    The leaves have shape `output.shape + input.shape + input.shape`. `holomorphic` is as in `jacfwd`.

    >>> import numpy as np
    >>> hessian(lambda x: np.sum(x**3))(np.array([1.0, 2.0]))
    array([[ 6.,  0.],
           [ 0., 12.]])
    """
    if f is None:
        return functools.partial(hessian, argnums=argnums, holomorphic=holomorphic)
    rows = reverse_jacobian(f, argnums, False, holomorphic, None, "hessian")
    return forward_jacobian(rows, argnums, False, holomorphic, None, "hessian")


@boundary
def hvp(f: Callable[..., Any], primals: Any, tangents: Any) -> Any:
    """The Hessian of the scalar function `f` times a vector, at a small multiple of the cost of a gradient.

    It is forward over reverse. `primals` and `tangents` are tuples with one entry per argument; the result is like the
    only argument, or a tuple for several. A single argument may be given as an array.

    >>> import numpy as np
    >>> hvp(lambda x: np.sum(x**3), (np.array([1.0, 2.0]),), (np.array([1.0, 1.0]),))
    array([ 6., 12.])
    """
    if not isinstance(primals, tuple | list):
        primals, tangents = (primals,), (tangents,)
    primals, tangents = as_arguments(primals, "primals"), as_arguments(tangents, "tangents")
    _, product = jvp(grad(as_function(f, "hvp"), argnums=tuple(range(len(primals)))), primals, tangents)
    return product[0] if len(primals) == 1 else product


def partially(
    f: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any], argnums: Argnums
) -> tuple[Callable[..., Any], tuple[Any, ...], tuple[int, ...], bool]:
    """f as a function of the selected arguments alone, these arguments, their positions, and whether there is one."""
    selected = select(arguments, argnums)
    single = isinstance(selected, int)
    positions = (selected,) if isinstance(selected, int) else selected
    chosen = tuple(arguments[i] for i in positions)

    def call(*inputs: Any) -> Any:
        return f(*merge(arguments, positions, inputs), **options)

    return call, chosen, positions, single


def check_chunk_size(chunk_size: Any, caller: str) -> None:
    """Raise ArgumentError unless it is a positive integer or None."""
    if chunk_size is not None and (type(chunk_size) is not int or chunk_size < 1):
        raise ArgumentError(f"{caller}: chunk_size={chunk_size!r} must be a positive integer, or None for all at once.")


def along_basis(
    sweep: Callable[[list[Any]], Any], leaves: Sequence[Any], traced: Trace, chunk_size: int | None, axis: int
) -> Any:
    """The results of a sweep along every basis vector of the space of these leaves, stacked along an axis."""
    total = sum(map(size_of, leaves))
    size = chunk_size or (1 if 0 < total <= few_for(traced) else total)
    if size >= total and size != 1:
        return vmap(sweep, out_axes=axis)(basis(leaves, 0, total))
    parts: list[Any] = []
    for start in range(0, total, size):
        stop = min(start + size, total)
        directions = basis(leaves, start, stop)
        one = stop - start == 1
        parts.append(sweep([part[0] for part in directions]) if one else vmap(sweep, out_axes=axis)(directions))
        if one:
            parts[-1] = tree_map(lambda part: np.expand_dims(part, axis), parts[-1])
    structure = tree_flatten(parts[0])[1]
    columns = zip(*(tree_leaves(part) for part in parts), strict=True)
    return tree_unflatten(structure, [np.concatenate(column, axis) for column in columns])


def few_for(traced: Trace) -> int:
    """Up to how many directions one sweep for each is cheaper than a batched one."""
    if traced.nested:  # each sweep is recorded, as a batched one is
        return 1
    outputs = (node.output for node in traced.recorder.nodes[traced.first : traced.last + 1])
    parts = itertools.chain.from_iterable(output if type(output) is tuple else (output,) for output in outputs)
    return FEW if all(size_of(part) <= SMALL for part in parts) else 1


def size_of(leaf: Any) -> int:
    """The number of elements."""
    return math.prod(np.shape(leaf))


def basis(leaves: Sequence[Any], first: int, last: int) -> list[Any]:
    """Vectors of the standard basis of the space of these leaves: for each leaf, its part of them, stacked."""
    start, parts = first, list[Any]()
    for leaf in leaves:
        size = size_of(leaf)
        part = np.eye(last - first, size, start, dtype=ShapeDtype.of(leaf).dtype)
        parts.append(part.reshape(last - first, *np.shape(leaf)))
        start -= size
    return parts


def split(value: Any, leaves: Sequence[Any], axis: int) -> list[Any]:
    """Split a stack of all basis directions into the parts of each leaf."""
    parts: list[Any] = []
    start = 0
    for leaf in leaves:
        stop = start + size_of(leaf)
        parts.append(value[..., start:stop] if axis == -1 else value[start:stop])
        start = stop
    return parts


def require_real(values: Sequence[Any], what: str, subject: str, why: str) -> None:
    """Raise DTypeError unless all values are real; `why` says what a complex one lacks, and what to use instead."""
    for value in values:
        dtype = ShapeDtype.of(value).dtype
        if dtype.kind == "c":
            raise DTypeError(
                f"{what}: {subject} is {dtype}, {why}; for a complex derivative pass holomorphic=True; for any other "
                "function split it into real and imaginary parts."
            )
        if dtype.kind != "f":
            raise DTypeError(f"{what} needs real outputs, but f returned one of dtype {dtype}.")


def cast(value: Any, leaf: Any) -> Any:
    """Cast a block of a Jacobian to the dtype of its input; to the complex one of that precision if it is complex."""
    dtype = ShapeDtype.of(leaf).dtype
    if value.dtype.kind == "c":
        dtype = np.result_type(dtype, np.complex64)
    return value if value.dtype == dtype else value.astype(dtype)
