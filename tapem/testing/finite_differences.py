"""Finite differences: derivatives computed from values alone, which judge all rules.

There are five methods. `central`, `forward` and `backward` are the textbook's, with one step. `extrapolated` takes
central differences at two steps and removes their leading error (Richardson), with smaller steps if the two disagree;
the checks use it, and it is right to about ten digits in float64. `complex` is the imaginary part of `f(x + ih) / h`,
which loses no digits, but needs a function whose code is analytic.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from tapem.core import Array, tree_unflatten
from tapem.errors import ArgumentError, NotScalarError, TapeError
from tapem.testing.flattening import Flat, as_leaf, first_line, magnitude, packed, real_input, whole

# From a displacement t to the displaced leaves and the actual displacement, which rounding may have changed.
Path: TypeAlias = Callable[[Any], "tuple[list[Any], Any]"]

METHODS = ("central", "forward", "backward", "extrapolated", "complex")

# Large enough against the error of rounding, small enough against the error of truncation.
STEPS = {np.dtype(np.float64): 1e-4, np.dtype(np.float32): 1e-2, np.dtype(np.float16): 1e-1}


def finite_diff(f: Callable[..., Any], x: Any, eps: float | None = None, method: str = "central") -> Any:
    """The gradient of the scalar function `f` at `x`, from differences of its values: a tree like x.

    `x` is an array or a tree of them. `eps` is the step, in the units of x; by default 1e-4 in float64, 1e-2 in float32
    and 1e-1 in float16, times |x| for elements greater than 1. `method`:

    - "central": `(f(x+h) - f(x-h)) / 2h`, two calls per element, an error of order h**2.
    - "forward": `(f(x+h) - f(x)) / h`, and "backward": `(f(x) - f(x-h)) / h`, an error of order h.
    - "extrapolated": central differences of two steps or more, an error of order h**4.
    - "complex": `imag(f(x+ih)) / h`, exact to rounding, if f takes complex numbers and its code is analytic (no abs, no
      comparison, no conj), and x itself is real.

    For complex x = a + ib the gradient is df/da - i df/db, as in `grad`.

    Raises NotScalarError if f is not scalar, DTypeError for integers in x, ArgumentError for an unknown method, for a
    step that is lost in rounding, or if "complex" is not possible.

    >>> finite_diff(lambda x: np.sum(x**2), np.array([1.0, 2.0])).round(6)
    array([2., 4.])
    >>> finite_diff(np.sin, 0.0, method="complex")
    np.float64(1.0)
    """
    flat = Flat(f, (x,))
    real_input(flat, "finite_diff")
    if flat.outputs.shapes != [()]:
        raise NotScalarError(
            f"finite_diff needs a function that returns one real scalar, but it returned the shapes "
            f"{flat.outputs.shapes}. Use finite_diff_jacobian."
        )
    row = difference_matrix(flat, eps, method)[0]
    gradient = of_inputs(flat, flat.inputs.split(row))
    return tree_unflatten(flat.structure, gradient)[0]


def finite_diff_jacobian(f: Callable[..., Any], x: Any, eps: float | None = None, method: str = "central") -> Any:
    """The Jacobian of `f` at `x`, from differences of its values.

    The result has for every leaf of the output a tree like x, whose leaves have shape `output.shape + input.shape` and
    the dtype of the input, as in `jacfwd`. `eps`, `method` and the errors are those of `finite_diff`.

    >>> finite_diff_jacobian(lambda x: x[0] * x, np.array([1.0, 2.0])).round(6)
    array([[2., 0.],
           [2., 1.]])
    """
    flat = Flat(f, (x,))
    real_input(flat, "finite_diff_jacobian")
    matrix = difference_matrix(flat, eps, method)
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


def difference_matrix(
    flat: Flat, eps: float | None = None, method: str = "central", columns: Sequence[int] | None = None
) -> Array:
    """The Jacobian as a matrix, outputs by inputs, or some columns of it."""
    wanted = range(flat.inputs.size) if columns is None else columns
    found = [difference(flat, element(flat, column), eps, method).value for column in wanted]
    if method == "complex":
        refuse_unless_analytic(flat, found, wanted)
    return np.stack(found, axis=1) if found else np.zeros((flat.outputs.size, 0))


class Difference(NamedTuple):
    """A directional derivative of all outputs, and a bound for the error of rounding in each of them."""

    value: Array
    noise: Array


class Direction(NamedTuple):
    """A straight path through the point, and a scale for the step along it."""

    path: Path
    scale: float


def element(flat: Flat, column: int) -> Direction:
    """The path along which one element of one input changes."""
    position = flat.inputs.owner(column)
    leaf = flat.leaves[position]
    at = column - flat.inputs.starts[position]

    def path(t: Any) -> tuple[list[Any], Any]:
        moved = np.array(leaf)
        if isinstance(t, complex):
            moved = moved.astype(np.result_type(moved.dtype, np.complex64))
        before = moved.flat[at]
        moved.flat[at] = before + t
        leaves = list(flat.leaves)
        leaves[position] = as_leaf(moved, leaf)
        return leaves, t if isinstance(t, complex) else float(moved.flat[at]) - float(before)

    return Direction(path, max(1.0, abs(float(np.asarray(leaf).flat[at]))))


def along(flat: Flat, direction: Array) -> Direction:
    """The path on which all inputs change at once, in proportion to a vector of their size."""
    parts = flat.inputs.split(direction)
    at = packed(flat.leaves)
    moving = direction != 0

    def path(t: Any) -> tuple[list[Any], Any]:
        leaves = [as_leaf(np.asarray(leaf) + t * part, leaf) for leaf, part in zip(flat.leaves, parts, strict=True)]
        return leaves, t

    # A step is small enough for every element if it is for the smallest one, which counts as of order one.
    return Direction(
        path, 1.0 / max(1.0, float(np.max(np.abs(direction / np.maximum(1, np.abs(at)))[moving], initial=0)))
    )


def difference(
    flat: Flat,
    direction: Direction,
    eps: float | None = None,
    method: str = "extrapolated",
    *,
    inside: Array | float = 0.0,
) -> Difference:
    """The derivative of all outputs along a direction, by one of the methods.

    `inside` is the error of rounding in each output, if it is known to be more than the last digits.
    """
    if method not in METHODS:
        raise ArgumentError(f"finite differences: method={method!r} is not one of {', '.join(METHODS)}.")
    if method == "complex" and any(flat.of_inputs):
        raise ArgumentError(
            'finite differences: method="complex" steps into the complex plane from a real point, but an input is '
            'complex. Use method="extrapolated", which steps in both of its directions.'
        )
    if eps is not None and not (eps > 0 and np.isfinite(eps)):
        raise ArgumentError(f"finite differences: the step eps={eps} must be positive.")
    precision = flat.precision
    rounding = float(np.finfo(precision).eps)
    with np.errstate(all="ignore"):
        if method == "complex":
            return Difference(complex_step(flat, direction, eps), np.zeros(flat.outputs.size))
        if method == "extrapolated":
            return extrapolated(flat, direction, eps, rounding, inside)
        step = STEPS.get(precision, 1e-4) * direction.scale if eps is None else eps
        ahead, behind = {"central": (step, -step), "forward": (step, 0.0), "backward": (0.0, -step)}[method]
        return slope(flat, direction, ahead, behind, rounding, inside)


def slope(
    flat: Flat, direction: Direction, ahead: float, behind: float, rounding: float, inside: Array | float
) -> Difference:
    """The difference quotient between two displacements."""
    there, reached = direction.path(ahead)
    back, left = direction.path(behind)
    if reached == left:
        raise ArgumentError(
            f"finite differences: the step {ahead - behind:.3g} is lost in rounding, since the input is "
            f"{flat.precision} and large; choose a larger eps."
        )
    one, other = flat.vector(there), flat.vector(back)
    last_digits = 16 * rounding * max(magnitude(one), magnitude(other))
    noise = np.maximum(np.full(one.shape, last_digits), 2 * inside) / abs(reached - left)
    return Difference((one - other) / (reached - left), noise)


def extrapolated(
    flat: Flat, direction: Direction, eps: float | None, rounding: float, inside: Array | float
) -> Difference:
    """Richardson's extrapolation of central differences, for every output at the step where two of them agree best."""
    # At this step the errors of truncation, of order h**4, and of rounding, of order rounding / h, are equal.
    step = rounding**0.2 * direction.scale if eps is None else eps
    size = flat.outputs.size
    value, noise, error = np.full(size, np.nan), np.zeros(size), np.full(size, np.inf)
    for _ in range(4 if rounding < 1e-10 else 2):
        wide = slope(flat, direction, step, -step, rounding, inside)
        narrow = slope(flat, direction, step / 2, -step / 2, rounding, inside)
        refined = (4 * narrow.value - wide.value) / 3
        doubt = np.nan_to_num(np.abs(refined - narrow.value), nan=np.inf)
        closer = doubt < error
        value = np.where(closer, refined, value)
        noise = np.where(closer, narrow.noise, noise)
        error = np.where(closer, doubt, error)
        if np.all(error <= np.maximum(1e-6 * np.maximum(np.abs(value), 1e-2 * magnitude(value)), noise)):
            break
        step /= 8
    # The two differences disagree if the function is less smooth or noisier than the step assumes.
    doubt = np.minimum(4 * error, 1e6 * rounding * max(1.0, magnitude(packed(flat.values))))
    return Difference(value, noise + doubt)


def complex_step(flat: Flat, direction: Direction, eps: float | None) -> Array:
    """The imaginary part of f at a small imaginary displacement: there is no difference, so nothing cancels."""
    step = 1e-20 if eps is None else eps
    leaves, _ = direction.path(complex(0.0, step))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            values = flat(*leaves)
    except (TapeError, TypeError, ValueError, np.exceptions.ComplexWarning) as error:
        raise ArgumentError(
            f'finite differences: method="complex" calls the function with complex numbers, which it refuses: '
            f'{first_line(error)}. Use method="extrapolated".'
        ) from error
    return packed([np.imag(value) for value in values]) / step


def refuse_unless_analytic(flat: Flat, columns: Sequence[Array], wanted: Sequence[int]) -> None:
    """Raise ArgumentError if complex steps contradict differences of values, as they do if f uses abs or compares."""
    probe = np.zeros(flat.inputs.size)
    probe[list(wanted)] = np.random.default_rng().normal(size=len(wanted))
    expected = difference(flat, along(flat, probe)).value
    found = np.zeros(flat.outputs.size)
    for column, partial in zip(wanted, columns, strict=True):
        found += probe[column] * partial
    loose = 1e-4 if flat.precision == np.float64 else 5e-2
    scale = np.max(np.abs([expected, found]), initial=1.0, where=np.isfinite([expected, found]))
    wrong = np.abs(found - expected) > loose * scale
    if wrong.any():
        name, index = flat.outputs.locate(int(np.argmax(wrong)))
        raise ArgumentError(
            f'finite differences: method="complex" contradicts differences of values at {name}{list(index)}: f is not '
            "analytic as it is written (abs, sign, maximum, conj and norms are not). "
            'Use method="extrapolated".'
        )


__all__ = [
    "METHODS",
    "Difference",
    "along",
    "difference",
    "difference_matrix",
    "element",
    "finite_diff",
    "finite_diff_jacobian",
]
