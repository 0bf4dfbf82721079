"""Taylor's test: with right derivatives, what is left of a function after k of its terms vanishes like t**(k+1).

Nothing is compared with a difference here, so no step must be chosen well: the rates tell, over seven steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from tapem.core import Array, shown, tree_flatten
from tapem.errors import ArgumentError, MissingExtraError, ShapeError, TreeError
from tapem.testing.findings import GradientMismatch
from tapem.testing.flattening import Flat, packed, real_input, real_parts
from tapem.testing.given_derivatives import given_derivatives
from tapem.testing.linear_maps import along_direction, derivative, like, linear_map
from tapem.testing.purity import steadiness
from tapem.testing.rounding import rounding_error
from tapem.testing.stencils import along, values_on
from tapem.types import argument_names

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COUNT, FACTOR = 7, 4.0
"""How many steps there are, and how many times each is smaller than the one before it."""

STARTS = (0.25, 0.25 / 64, 0.25 / 64**2)
"""The first steps to try: a function that changes fast needs smaller ones."""

CLEAR = 20.0
"""A remainder this many times larger than the error of rounding is measured to a twentieth."""

LOOSE = 0.25
"""How far a rate may be below the one that is expected."""


@dataclass(frozen=True)
class TaylorTest:
    """The remainders of a function's Taylor polynomials along a direction; true where all their rates are right.

    `remainders[k]` are those of order k at `steps`; `rates[k]` is the power of t with which they vanish: at least k + 1
    if the derivatives are right, None if rounding hides it at all steps. `rounding[k]` is the first step where rounding
    sets in, or None. `derivatives` are those along the direction; `source` tells whose they are.

    >>> print(taylor_test(np.exp, 0.5, direction=1.0, orders=1))
    TaylorTest of x: passed, rates 1.00 (1 expected), 2.00 (2 expected)
      step      order 0   order 1
      0.25      0.4683    0.0561
      0.0625    0.1063    0.003288
      0.01562   0.02596   0.0002023
      0.003906  0.006453  1.26e-05
      0.0009766 0.001611  7.864e-07
      0.0002441 0.0004026 4.914e-08
      6.104e-05 0.0001006 3.071e-09
    """

    steps: tuple[float, ...]
    remainders: tuple[tuple[float, ...], ...]
    rates: tuple[float | None, ...]
    rounding: tuple[float | None, ...]
    derivatives: tuple[float, ...]
    name: str = "x"
    source: str = "autodiff"

    @property
    def right(self) -> tuple[bool, ...]:
        """For every order, whether its rate is right."""
        return tuple(rate is None or rate >= order + 1 - LOOSE for order, rate in enumerate(self.rates))

    @property
    def passed(self) -> bool:
        """Whether all rates are right."""
        return all(self.right)

    def __bool__(self) -> bool:
        return self.passed

    def __repr__(self) -> str:
        told = [
            f"{'hidden by rounding' if rate is None else f'{rate:.2f}'} ({order + 1} expected)"
            for order, rate in enumerate(self.rates)
        ]
        verdict = "passed"
        if not self.passed:
            verdict = f"FAILED, the derivative of order {self.right.index(False)} is wrong or does not exist"
        whose = "" if self.source == "autodiff" else f" with the given {self.source}"
        lines = [f"TaylorTest of {self.name}{whose}: {verdict}, rates {', '.join(told)}"]
        rows = [["step", *(f"order {order}" for order in range(len(self.remainders)))]]
        for at, step in enumerate(self.steps):
            cells = [f"{step:.4g}"]
            for row, start in zip(self.remainders, self.rounding, strict=True):
                cells.append(f"{row[at]:.4g}{' (rounding)' if start is not None and step <= start else ''}")
            rows.append(cells)
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines += ["  " + " ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join(lines)

    __str__ = __repr__

    def draw(self, path: str | None = None) -> Figure:
        """Draw the remainders over the steps, with a line of the expected slope beside each; `path` saves it.

        Returns matplotlib's Figure. Raises MissingExtraError without matplotlib.
        """
        try:
            from matplotlib.figure import Figure
        except ImportError as error:
            raise MissingExtraError(
                'TaylorTest.draw needs matplotlib: pip install "tapem[examples]"; str() shows the same numbers.'
            ) from error
        figure = Figure(figsize=(5.5, 4), layout="constrained")
        axes: Any = figure.subplots()
        steps = np.array(self.steps)
        for order, (row, rate) in enumerate(zip(self.remainders, self.rates, strict=True)):
            seen = np.array(row)
            seen[seen == 0] = np.nan
            label = f"order {order}: " + ("hidden by rounding" if rate is None else f"rate {rate:.2f}")
            (line,) = axes.loglog(steps, seen, marker="osD^v"[order % 5], label=label)
            expected = seen[0] * (steps / steps[0]) ** (order + 1)
            axes.loglog(steps, expected, ":", color=line.get_color(), label=f"slope {order + 1}")
            start = self.rounding[order]
            if start is not None:
                axes.axvspan(steps[-1], start, color=line.get_color(), alpha=0.08)
        axes.set(xlabel="step", ylabel="remainder", title=f"Taylor test of {self.name}")
        axes.legend()
        if path is not None:
            cast("Any", figure).savefig(path)
        return figure


def taylor_test(
    f: Callable[..., Any],
    x: Any,
    direction: Any = None,
    orders: int = 2,
    *,
    gradient: Callable[[Any], Any] | None = None,
    jvp: Callable[[Any, Any], Any] | None = None,
    vjp: Callable[[Any, Any], Any] | None = None,
    seed: int | None = None,
) -> TaylorTest:
    """Measure the rates at which the remainders of f's Taylor polynomials at x vanish: 1, 2, 3 for orders 0, 1, 2.

    x may be a tree, and f may return trees: their elements are summed with random weights. `direction` is a tree like
    x; by default it is random, and large where x is. `orders` is 0, 1 or 2. The first derivative is tapem's in reverse
    mode, the second its derivative in forward mode; or the first is given, as `gradient(x)`, `jvp(x, tangent)` or
    `vjp(x, cotangent)`, and then orders end with 1, and f and it are called with plain arrays and never traced.

    The test looks for steps that are small enough for f. A rate above the expected one is right too, as for even
    functions at 0. `seed` repeats the random choices.

    Raises ArgumentError for float16, for an order that cannot be measured, and where f is not defined beside x;
    TreeError or ShapeError if the direction does not fit x; GradientMismatch if f is random.

    >>> result = taylor_test(lambda x: np.sum(np.sin(x)), np.array([0.3, 1.0]), seed=0)
    >>> bool(result), [round(rate, 1) for rate in result.rates]
    (True, [1.0, 2.0, 3.0])
    >>> bool(taylor_test(lambda x: np.sum(x**3), np.array([0.3, 1.0]), gradient=lambda x: 3 * x, seed=0))
    False
    """
    given = given_derivatives("taylor_test", gradient, jvp, vjp, alone=True)
    if given is not None and len(given.modes) > 1:
        raise ArgumentError("taylor_test tests one derivative, but jvp= and the reverse mode are given.")
    if orders not in (0, 1, 2):
        raise ArgumentError(f"taylor_test: orders={orders!r} must be 0, 1 or 2.")
    flat = Flat(f, (x,), given=given)
    real_input(flat, "taylor_test")
    if flat.precision == np.float16:
        raise ArgumentError("taylor_test: float16 has too few digits for a rate; give x in float32 or float64.")
    name = argument_names(f, 1)[0]
    if not np.isfinite(packed(flat.leaves)).all():
        raise ArgumentError(f"taylor_test: {name} has elements that are not finite; choose a finite point.")
    unsteady = list(steadiness(flat))
    if unsteady:
        raise GradientMismatch(name, unsteady)
    rng = np.random.default_rng(seed)
    v = random_step(flat, rng) if direction is None else vector_like(flat, direction)
    weights = np.ones(1) if flat.outputs.size == 1 else rng.normal(size=flat.outputs.size)
    mode = "rev" if given is None else next(iter(given.modes))
    terms = [float(weights @ packed(flat.values)), first_derivative(flat, mode, v, weights)]
    if given is None and orders == 2:
        higher = derivative(flat, "rev", weights)
        terms.append(float(v @ packed(along_direction(higher, "fwd", flat.leaves, like(flat.leaves, v)))))
    terms = terms[: orders + 1]
    noise = float(np.abs(weights) @ rounding_error(flat, rng))
    source = "autodiff" if given is None else given.name(mode)
    found = [measured(flat, v, weights, terms, noise, start, name, source) for start in STARTS]
    there = [one for one in found if one is not None]
    if not there:
        raise ArgumentError(
            f"taylor_test: the function leaves its domain beside {name}: it is not finite at {name} + "
            f"{STARTS[-1]:.2g} direction; choose a point further inside, or another direction."
        )
    return next((one for one in there if one.passed), there[0])


def random_step(flat: Flat, rng: np.random.Generator) -> Array:
    """A random direction: each element in proportion to its own size, or of order one for a zero."""
    size = np.abs(packed(flat.leaves))
    return rng.normal(size=flat.inputs.size) * np.where(size > 0, size, 1.0)


def vector_like(flat: Flat, direction: Any) -> Array:
    """A direction, which is a tree like x, as one vector."""
    found, structure = tree_flatten((direction,))
    if structure != flat.structure:
        raise TreeError(
            f"taylor_test: direction is the tree {shown(structure)}, but x is {shown(flat.structure)}; they must be "
            "the same."
        )
    leaves = real_parts(found, flat.of_inputs)
    if [np.shape(leaf) for leaf in leaves] != flat.inputs.shapes:
        raise ShapeError(
            f"taylor_test: direction has the shapes {[np.shape(leaf) for leaf in leaves]}, but x has "
            f"{flat.inputs.shapes}; they must be the same."
        )
    vector = packed(leaves)
    if not np.isfinite(vector).all():
        raise ArgumentError("taylor_test: direction has elements that are not finite.")
    return vector


def first_derivative(flat: Flat, mode: str, v: Array, weights: Array) -> float:
    """The derivative along v of the weighted sum of the outputs."""
    linear = linear_map(flat, mode)
    if mode == "fwd":
        return float(weights @ packed(linear(like(flat.leaves, v))))
    return float(packed(linear(like(flat.values, weights))) @ v)


def measured(
    flat: Flat, v: Array, weights: Array, terms: Sequence[float], noise: float, start: float, name: str, source: str
) -> TaylorTest | None:
    """The test with steps that begin at `start`; None if the function is not defined there."""
    steps = start / FACTOR ** np.arange(COUNT)
    values = values_on(flat, along(flat, v), [float(step) for step in steps]) @ weights
    if not np.isfinite(values).all():
        return None
    digits = 2 * float(np.finfo(flat.precision).eps) * (np.abs(values) + abs(terms[0]))
    polynomial = np.zeros(COUNT)
    remainders: list[tuple[float, ...]] = []
    rates: list[float | None] = []
    rounding: list[float | None] = []
    for order, term in enumerate(terms):
        polynomial = polynomial + term * steps**order / (1, 1, 2)[order]
        rest = np.abs(values - polynomial)
        # Only if the rate is wrong, rounding is taken for as large as it can be.
        for floor in (digits, digits + noise):
            clear = rest > CLEAR * floor
            count = COUNT if clear.all() else int(np.argmin(clear))  # the steps before rounding sets in
            rate = slope(steps[:count], rest[:count])
            if rate is None or rate >= order + 1 - LOOSE:
                break
        remainders.append(tuple(map(float, rest)))
        rates.append(rate)
        rounding.append(None if count == COUNT else float(steps[count]))
    return TaylorTest(
        tuple(map(float, steps)), tuple(remainders), tuple(rates), tuple(rounding), tuple(terms), name, source
    )


def slope(steps: Array, rest: Array) -> float | None:
    """The power of the step with which the last few remainders vanish; None if there is no second one."""
    last = slice(max(0, len(steps) - 3), None)
    if len(steps) < 2:
        return None
    return float(np.polyfit(np.log(steps[last]), np.log(rest[last]), 1)[0])


__all__ = ["TaylorTest", "taylor_test"]
