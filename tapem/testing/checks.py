"""Check the derivatives of any function: `check_gradient` returns a result, `check_grads` raises an error.

The derivatives are tapem's, or those given as `gradient=`, `jvp=` or `vjp=`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from operator import index
from typing import Any, NamedTuple, SupportsIndex

import numpy as np

from tapem.core import Array
from tapem.display import Displayed, Fold, Mark, Sheet, Table, shows
from tapem.errors import ArgumentError
from tapem.testing.comparison import Tolerance, all_orders
from tapem.testing.findings import GradientMismatch, number
from tapem.testing.flattening import Flat, as_tuple, is_list, real_input
from tapem.testing.given_derivatives import given_derivatives
from tapem.testing.judges import Judgment, judgment
from tapem.testing.linear_maps import ad_matrix, known_modes, linear_map
from tapem.testing.purity import adjointness, purity, steadiness
from tapem.testing.stencils import known_accuracy
from tapem.types import argument_names

Element = tuple[tuple[Any, ...], float, float, float]


@dataclass(frozen=True)
class GradientCheck(Displayed):
    """The comparison of a gradient with complex steps or finite differences; its truth value is `passed`.

    The errors are over all checked elements; the relative error is relative to the larger of the two values.
    `failed_indices` has `(index, autodiff, finite_diff, abs_error)` for each element that failed, the worst first. The
    index is that of the element in the argument. If the function is not scalar, the index of the output precedes it. If
    there are several leaves, the name of the leaf precedes each part. `judge` tells what the gradient was compared
    with, and `source` where it comes from: "autodiff", or the option that gave it.

    >>> check_gradient(lambda x: np.sum(x**2), np.array([1.0, 2.0])).passed
    True
    """

    max_abs_error: float
    max_rel_error: float
    mean_abs_error: float
    mean_rel_error: float
    failed_indices: list[Element]
    passed: bool
    num_checked: int
    num_failed: int
    name: str = "x"
    worst: list[Element] = field(default_factory=list[Element], repr=False)
    judge: str = ""
    source: str = "autodiff"

    def __bool__(self) -> bool:
        return self.passed

    def __repr__(self) -> str:
        verdict = "passed" if self.passed else f"FAILED at {self.num_failed}"
        head = f"GradientCheck of {self.name}: {verdict} of {self.num_checked} elements"
        if self.passed:
            head = f"GradientCheck of {self.name}: passed, {self.num_checked} elements"
        lines = [
            head,
            f"  judge: {self.judge}",
            f"  abs error: max {self.max_abs_error:.3g}, mean {self.mean_abs_error:.3g}"
            f"   rel error: max {self.max_rel_error:.3g}, mean {self.mean_rel_error:.3g}",
        ]
        shown = (self.failed_indices or self.worst)[:8]
        rows = [("index", self.source, "expected", "abs error"), *rows_of(shown)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines += ["  " + "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
        if self.num_failed > len(shown):
            lines.append(f"  ... and {self.num_failed - len(shown)} more")
        return "\n".join(lines)


@shows(GradientCheck)
def check_sheet(check: GradientCheck) -> Sheet:
    """The verdict, the errors, and the elements that failed; if none did, the worst ones, folded."""
    verdict = f"passed, {check.num_checked} elements"
    failed = f"FAILED at {check.num_failed} of {check.num_checked} elements"
    errors = Table(
        ("error", "max", "mean"),
        (
            ("absolute", f"{check.max_abs_error:.3g}", f"{check.mean_abs_error:.3g}"),
            ("relative", f"{check.max_rel_error:.3g}", f"{check.mean_rel_error:.3g}"),
        ),
    )
    worst = Table(("index", check.source, "expected", "abs error"), rows_of((check.failed_indices or check.worst)[:40]))
    return Sheet(
        f"GradientCheck of {check.name}",
        (
            Mark(f"\N{CHECK MARK} {verdict}", True) if check.passed else Mark(f"\N{BALLOT X} {failed}", False),
            f"judge: {check.judge}",
            errors,
            worst if check.failed_indices else Fold("the largest errors", (worst,)),
        ),
    )


def rows_of(elements: Sequence[Element]) -> tuple[tuple[str, ...], ...]:
    """Elements as rows of text: index, derivative, expected one, error."""
    return tuple((index_text(index), number(ad), number(fd), f"{error:.3g}") for index, ad, fd, error in elements)


def index_text(index: tuple[Any, ...]) -> str:
    """An index as text."""
    return "[" + ", ".join(map(str, index)) + "]"


def check_gradient(
    f: Callable[..., Any],
    x: Any,
    eps: float | None = None,
    rtol: float = 2e-3,
    atol: float = 2e-3,
    verbose: bool = False,
    check_indices: Sequence[int] | None = None,
    method: str = "auto",
    accuracy: int | None = None,
    *,
    gradient: Callable[[Any], Any] | None = None,
    jvp: Callable[[Any, Any], Any] | None = None,
    vjp: Callable[[Any, Any], Any] | None = None,
) -> GradientCheck:
    """Compare the gradient of `f` at `x` with complex steps or finite differences, element by element.

    An element passes if its absolute error is at most `atol`, its relative error is at most `rtol`, or the error is
    within that of the difference itself; NaN fails. x may be a tree, and f may return several outputs of any shape:
    then the whole Jacobian is compared. `check_indices` are the flat indices of the elements of x to check (of all its
    leaves, one after the other). `verbose` prints the result. `eps`, `method` and `accuracy` are those of
    `finite_diff`; with `eps` alone the method is "central". For both modes and higher orders use `check_grads`.

    The gradient is tapem's, in reverse mode, unless one is given; then f and it are called with plain arrays and never
    traced, so they may belong to any library:

    - `gradient(x)`: a tree like x; for an output that is not a scalar its Jacobian, of shape `output.shape + x.shape`
      (SciPy's `jac=`);
    - `jvp(x, tangent)`: the tangent of the output;
    - `vjp(x, cotangent)`: a tree like x.

    Raises DTypeError for integers in x, ArgumentError for an index out of range and where f is not defined beside x;
    ShapeError, DTypeError or TreeError if a given derivative does not fit; GradientMismatch if f changes x or is
    random.

    >>> check_gradient(lambda x: np.sum(x**3), np.array([0.0, 2.0]), gradient=lambda x: 3 * x)  # should be x**2
    GradientCheck of x: FAILED at 1 of 2 elements
      judge: complex step
      abs error: max 6, mean 3   rel error: max 0.5, mean 0.25
      index  gradient  expected  abs error
      [1]    6         12        6
    """
    caller = "check_gradient"
    given = given_derivatives(caller, gradient, jvp, vjp, alone=True)
    if given is not None and len(given.modes) > 1:
        raise ArgumentError(f"{caller} tests one derivative, but jvp= and the reverse mode are given.")
    flat = Flat(f, (x,), given=given)
    real_input(flat, caller)
    columns = list(range(flat.inputs.size)) if check_indices is None else whole_numbers(check_indices)
    for column in columns:
        if not 0 <= column < flat.inputs.size:
            raise ArgumentError(
                f"check_gradient: check_indices has {column}, but x has {flat.inputs.size} elements (0 to "
                f"{flat.inputs.size - 1})."
            )
    judge = Judge(eps, method, accuracy)
    result = compared(flat, columns, judge, rtol, atol, argument_names(f, 1)[0])
    if verbose:
        print(result)
    return result


def whole_numbers(indices: Iterable[SupportsIndex]) -> list[int]:
    """The positions of the elements to check. Raises ArgumentError for what is no list of integers."""
    try:
        return [index(i) for i in indices]
    except TypeError:
        raise ArgumentError(
            f"check_gradient: check_indices={indices!r} must be a list of integers, which count the elements of x."
        ) from None


def check_gradients(
    f: Callable[..., Any],
    xs: Sequence[Any],
    eps: float | None = None,
    rtol: float = 2e-3,
    atol: float = 2e-3,
    verbose: bool = False,
    method: str = "auto",
    accuracy: int | None = None,
) -> list[GradientCheck]:
    """Compare the gradients of `f(*xs)` with finite differences: one GradientCheck per argument, as `check_gradient`.

    Raises DTypeError for an argument of integers or bools; close f over such arguments.

    >>> all(check_gradients(lambda x, w: np.sum(x * w), [np.ones(3), np.arange(3.0)]))
    True
    """
    results: list[GradientCheck] = []
    names = argument_names(f, len(xs))
    for position, x in enumerate(xs):
        others = list(xs)

        def of_one(value: Any, position: int = position, others: list[Any] = others) -> Any:
            return f(*others[:position], value, *others[position + 1 :])

        flat = Flat(of_one, (x,), [names[position]])
        real_input(flat, "check_gradients")
        judge = Judge(eps, method, accuracy)
        results.append(compared(flat, range(flat.inputs.size), judge, rtol, atol, names[position]))
    if verbose:
        print(*results, sep="\n")
    return results


class Judge(NamedTuple):
    """How the derivatives are computed with which a gradient is compared; as for `finite_diff`."""

    eps: float | None
    method: str
    accuracy: int | None

    def columns(self, flat: Flat, wanted: Sequence[int]) -> Judgment:
        """The columns of the Jacobian, and the error in them."""
        simple = self.method == "auto" and not (self.eps is None and self.accuracy is None)
        method = "central" if simple else self.method
        known_accuracy(method, self.accuracy)
        return judgment(flat, wanted, self.eps, method, self.accuracy)


def compared(flat: Flat, columns: Sequence[int], judge: Judge, rtol: float, atol: float, name: str) -> GradientCheck:
    """Compare some columns of the Jacobian, in the given mode or in reverse mode, with the judge's."""
    mode = "rev" if flat.given is None else flat.given.modes[0]
    actual = ad_matrix(flat, mode, linear_map(flat, mode), columns)
    expected, noise, _, told = judge.columns(flat, columns)
    unsteady = list(steadiness(flat))
    if unsteady:
        raise GradientMismatch(name, unsteady)
    with np.errstate(all="ignore"):
        error = np.abs(actual - expected)
        error[actual == expected] = 0.0
        larger = np.maximum(np.abs(actual), np.abs(expected))
        relative = np.where(error == 0, 0.0, error / larger)
    error[np.isnan(error)] = relative[np.isnan(relative)] = np.inf
    wrong = ~((error <= atol) | (relative <= rtol) | (error <= noise))

    def described(flat_index: int) -> Element:
        row, at = divmod(flat_index, len(columns))
        index = position(flat, row, columns[at])
        return index, float(actual[row, at]), float(expected[row, at]), float(error[row, at])

    order = np.argsort(-error, axis=None, kind="stable")
    return GradientCheck(
        max_abs_error=float(np.max(error, initial=0.0)),
        max_rel_error=float(np.max(relative, initial=0.0)),
        mean_abs_error=mean(error),
        mean_rel_error=mean(relative),
        failed_indices=[described(int(i)) for i in order if wrong.flat[i]],
        passed=not wrong.any(),
        num_checked=error.size,
        num_failed=int(wrong.sum()),
        name=name,
        worst=[described(int(i)) for i in order[:3]],
        judge=told,
        source="autodiff" if flat.given is None else flat.given.name(mode),
    )


def position(flat: Flat, row: int, column: int) -> tuple[Any, ...]:
    """The index that a GradientCheck gives for an element of the Jacobian."""
    in_name, in_index = flat.inputs.locate(column)
    out_name, out_index = flat.outputs.locate(row)
    of_output = (out_name, *out_index) if len(flat.outputs.names) > 1 else out_index
    return (*of_output, in_name, *in_index) if len(flat.inputs.names) > 1 else (*of_output, *in_index)


def mean(values: Array) -> float:
    """The mean; 0 if there are no values."""
    return float(np.mean(values)) if values.size else 0.0


def check_grads(
    f: Callable[..., Any],
    args: Any,
    order: int = 2,
    modes: Sequence[str] = ("fwd", "rev"),
    *,
    eps: float | None = None,
    rtol: float | None = None,
    atol: float | None = None,
    seed: int | None = None,
    gradient: Callable[..., Any] | None = None,
    jvp: Callable[[Any, Any], Any] | None = None,
    vjp: Callable[[Any, Any], Any] | None = None,
) -> None:
    """Check the derivatives of `f(*args)` up to an order, in every nesting of the modes.

    `args` is a tuple of arrays or trees (integers are constants); f may return trees. Up to 100 inputs and outputs the
    whole Jacobian is compared with complex steps where f is analytic, else with finite differences; beyond that random
    directions are, new ones at every call (`seed` repeats those of a failure). Higher orders are checked on the
    derivative along a random direction. Arguments and cotangents must not change, and results must not share memory
    with anything.

    Tolerances suit the least precise dtype in sight unless given: `rtol` is 1e-5 in float64 and 1e-2 in float32, and
    1e-7 where a complex step judges.

    A given derivative is checked in place of tapem's, to the first order; it and f are then called with plain arrays
    and never traced: `gradient(*args)`, with one gradient for each argument (None for integers), `jvp(args, tangents)`,
    or `vjp(args, cotangent)`. With a jvp and one of the others their agreement is checked as well.

    Raises GradientMismatch, an AssertionError, with every finding: argument, index, expected and actual value.

    >>> check_grads(lambda x, w: np.sin(x) * w["scale"], (np.array([0.1, 2.0]), {"scale": 3.0}))
    >>> check_grads(np.dot, (np.ones(2), np.arange(2.0)), gradient=lambda a, b: (b, a))
    """
    arguments = as_tuple(tuple(args) if is_list(args) else args)
    given = given_derivatives("check_grads", gradient, jvp, vjp, alone=False)
    chosen = known_modes("check_grads", modes, given)
    if order < 1 or order % 1:
        raise ArgumentError(f"check_grads: order={order} must be an integer, at least 1.")
    seed = int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else seed
    rng = np.random.default_rng(seed)
    flat = Flat(f, arguments, given=given)
    findings = list(steadiness(flat))
    if not findings:
        findings = all_orders(flat, order if given is None else 1, chosen, rng, Tolerance.of(flat, rtol, atol, eps))
    if not findings:
        findings = list(purity(flat, chosen, rng))
    if not findings and given is not None and len(chosen) == 2:
        findings = list(adjointness(flat, rng))
    if findings:
        name = getattr(f, "__name__", type(f).__name__)
        what = f"{name}({', '.join(argument_names(f, len(arguments)))})"
        raise GradientMismatch(what, findings, f"  the same again: check_grads({name}, ..., seed={seed})")


__all__ = ["GradientCheck", "check_gradient", "check_gradients", "check_grads"]
