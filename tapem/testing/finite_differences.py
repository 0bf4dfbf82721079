"""Finite differences: derivatives computed from values alone, which judge all rules.

`central`, `forward` and `backward` are the textbook's, with one step; `extrapolated` is Richardson's, which finds its
step and is right to about ten digits in float64. `complex` is the imaginary part of `f(x + ih) / h`, which loses no
digits, but needs a function whose code is analytic; `auto` takes it where that is so, else `extrapolated`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tapem.core import Array, tree_unflatten
from tapem.errors import ArgumentError, NotScalarError
from tapem.testing.flattening import Flat, magnitude, real_input, whole
from tapem.testing.judges import judgment
from tapem.testing.stencils import known_accuracy


def finite_diff(
    f: Callable[..., Any], x: Any, eps: float | None = None, method: str = "central", accuracy: int | None = None
) -> Any:
    """The gradient of the scalar function `f` at `x`, from differences of its values: a tree like x.

    `x` is an array or a tree of them. `eps` is the step, in the units of x; by default each element has a step of its
    own: 1e-4 in float64, 1e-2 in float32 and 1e-1 in float16, times |x| for elements greater than 1, and for small
    elements if f is not defined at that distance. `method`, with the order of its error, which `accuracy` chooses:

    - "central": `(f(x+h) - f(x-h)) / 2h`, two calls per element, order 2; `accuracy=4` takes the five-point stencil,
      and 6 and 8 longer ones, each with the step that suits it.
    - "forward": `(f(x+h) - f(x)) / h`, and "backward": `(f(x) - f(x-h)) / h`, order 1; `accuracy` up to 4.
    - "extrapolated": Richardson's extrapolation of central differences, which finds its step; order 4, 6 or 8.
    - "complex": `imag(f(x+ih)) / h`, exact to rounding, if f takes complex numbers and its code is analytic (no abs, no
      comparison, no conj), and x itself is real.
    - "auto": "complex" for the outputs where it is exact, else "extrapolated".

    For complex x = a + ib the gradient is df/da - i df/db, as in `grad`.

    Raises NotScalarError if f is not scalar, DTypeError for integers in x, ArgumentError for an unknown method or
    accuracy, for a step that is lost in rounding, where f is not defined beside x, or if "complex" is not possible.

    >>> finite_diff(lambda x: np.sum(x**2), np.array([1.0, 2.0])).round(6)
    array([2., 4.])
    >>> finite_diff(np.sin, 0.0, method="complex")
    np.float64(1.0)
    >>> finite_diff(np.exp, 0.0, method="central", accuracy=4).round(12)
    np.float64(1.0)
    """
    flat = Flat(f, (x,))
    real_input(flat, "finite_diff")
    if flat.outputs.shapes != [()]:
        raise NotScalarError(
            "finite_diff needs a function that returns one real scalar, but it returned "
            + (f"the shapes {flat.outputs.shapes}. Use finite_diff_jacobian." if flat.outputs.shapes else "no floats.")
        )
    row = difference_matrix(flat, eps, method, accuracy)[0]
    gradient = of_inputs(flat, flat.inputs.split(row))
    return tree_unflatten(flat.structure, gradient)[0]


def finite_diff_jacobian(
    f: Callable[..., Any], x: Any, eps: float | None = None, method: str = "central", accuracy: int | None = None
) -> Any:
    """The Jacobian of `f` at `x`, from differences of its values.

    The result has for every leaf of the output a tree like x, whose leaves have shape `output.shape + input.shape` and
    the dtype of the input, as in `jacfwd`. `eps`, `method`, `accuracy` and the errors are those of `finite_diff`.

    >>> finite_diff_jacobian(lambda x: x[0] * x, np.array([1.0, 2.0])).round(6)
    array([[2., 0.],
           [2., 1.]])
    """
    flat = Flat(f, (x,))
    real_input(flat, "finite_diff_jacobian")
    matrix = difference_matrix(flat, eps, method, accuracy)
    of_parts = [
        [
            np.reshape(matrix[flat.outputs.block(o), flat.inputs.block(i)], (*out_shape, *in_shape))
            for o, out_shape in enumerate(flat.outputs.shapes)
        ]
        for i, in_shape in enumerate(flat.inputs.shapes)
    ]
    columns = [whole(column, flat.of_outputs) for column in of_parts]
    blocks: list[Any] = []
    for o, is_complex in enumerate(flat.of_outputs):
        parts = [column[o] for column in columns]
        blocks.append(tree_unflatten(flat.structure, of_inputs(flat, parts, is_complex))[0])
    if len(flat.real) != flat.output_structure.num_leaves:
        raise NotScalarError("finite_diff_jacobian: f also returns integers or bools, which have no derivative.")
    return tree_unflatten(flat.output_structure, blocks)


def of_inputs(flat: Flat, parts: Sequence[Array], holomorphic: bool = False) -> list[Any]:
    """The derivatives in the inputs, in their dtypes, from those in their real parts.

    At a + ib the derivative of a real output is d/da - i d/db. A complex output has one only if it is `holomorphic`:
    then d/db is i d/da. Raises ArgumentError if it is not.
    """
    leaves = [flat.all_leaves[position] for position in flat.positions]
    found = whole(parts, flat.of_inputs, -1j)
    if holomorphic:
        against = whole(parts, flat.of_inputs, 1j)  # twice the derivative by the conjugate
        for at, is_complex in enumerate(flat.of_inputs):
            if is_complex and magnitude(np.abs(against[at]).ravel()) > 1e-2 * magnitude(np.abs(found[at]).ravel()):
                raise ArgumentError(
                    "finite_diff_jacobian: f is not complex differentiable, so its two derivatives by "
                    f"{flat.paths[flat.positions[at]]} are not one. Differentiate its real and imaginary part."
                )
        found = [part / 2 if is_complex else part for part, is_complex in zip(found, flat.of_inputs, strict=True)]
    return [like_input(value, leaf) for value, leaf in zip(found, leaves, strict=True)]


def like_input(value: Array, leaf: Any) -> Any:
    """Convert a derivative to the dtype of its input; the complex one of its precision, if it is complex."""
    dtype = np.asarray(leaf).dtype
    return value.astype(np.result_type(dtype, np.complex64) if np.iscomplexobj(value) else dtype)[()]


def difference_matrix(flat: Flat, eps: float | None, method: str, accuracy: int | None) -> Array:
    """The Jacobian as a matrix, outputs by inputs."""
    known_accuracy(method, accuracy)
    return judgment(flat, range(flat.inputs.size), eps, method, accuracy, estimate=False).value


__all__ = ["finite_diff", "finite_diff_jacobian"]
