"""Judges that know nothing of tapem's derivatives: complex steps, differences, loops.

What a program keeps constant (`no_grad`, `detach`) is a constant of every derivative. A judge that displaces the input
must not displace it: it runs the program once at the point, keeps what was constant, and gives the same back whenever
it runs the program again near that point.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from .language import Program, depth
from .running import Namespace
from .tools import TOOLS
from .vocabulary import DIFFERENCED, PLAIN


class Doubtful(Exception):
    """The judge does not agree with itself: the program has a kink there, or is too steep to judge."""


class Plain:
    """What the judge's texts may ask: constants that stay, and derivatives by differences, of complex numbers too."""

    def __init__(self, scale: float = 1.0) -> None:
        """Begin by keeping what is constant; differences are taken at this scale."""
        self.step = 2e-3 * scale
        self.kept: list[Any] = []
        self.keeping = True
        self.position = 0

    def frozen(self, value: Any) -> Any:
        """A value that is constant: that of the first run."""
        if self.keeping:
            self.kept.append(np.real(value) * 1)
        elif self.position >= len(self.kept):
            raise Doubtful("near the point the program goes another way")
        found = self.kept[self.position]
        self.position += 1
        return found

    def decided(self, value: Any, threshold: Any) -> Any:
        """The real part of a value that is compared with a threshold; Doubtful where only rounding decides."""
        distance = np.abs(np.real(value) - threshold)
        if np.any((0 < distance) & (distance < 1e-6)):
            raise Doubtful("rounding decides")
        return np.real(value)

    def greatest(self, value: Any, axis: int | None = None) -> Any:
        """The position of the greatest element; Doubtful where only rounding decides."""
        return np.argmax(self.decided(value, np.max(np.real(value), axis=axis, keepdims=True)), axis=axis)

    def silent(self, f: Callable[..., Any], z: Any) -> Any:
        """What a function gives, kept constant."""
        return self.frozen(f(z))

    def near(self, f: Callable[..., Any], z: Any) -> tuple[Any, Callable[..., Any]]:
        """What a function gives for z, and the function for values near z: what was constant at z stays so."""
        start = self.position
        value = f(z)
        end, keeping = self.position, self.keeping

        def again(displaced: Any) -> Any:
            self.position, self.keeping = start, False
            try:
                return f(displaced)
            finally:
                self.position, self.keeping = end, keeping

        return value, again

    def derivative(self, f: Callable[..., Any], z: Any, v: Any) -> Any:
        """The derivative of a function along `v`, by differences that are extrapolated."""
        y, again = self.near(f, z)
        return slope(lambda t: again(z + t * v), self.step, y)

    def gradient(self, f: Callable[..., Any], z: Any) -> Any:
        """The gradient of the sum of what a function gives."""
        y, again = self.near(f, z)
        return gradient(lambda z: np.sum(again(z)), z, self.step, np.sum(y))

    def pulled(self, f: Callable[..., Any], z: Any) -> Any:
        """The cotangent of z for a cotangent that is the cosine of the value."""
        y, again = self.near(f, z)
        w = np.cos(y)
        return gradient(lambda z: np.sum(again(z) * w), z, self.step, np.sum(y * w))

    def loop(self, f: Callable[..., Any], z: Any) -> Any:
        """What a function gives for one row after another."""
        return np.stack([f(row) for row in z])

    def fori(self, f: Callable[..., Any], state: Any) -> Any:
        """Two turns of a loop."""
        return f(1, f(0, state))

    def scan(self, f: Callable[..., Any], carry: Any, rows: Any) -> Any:
        """What a loop over rows gives for each."""
        carry, found = np.float64(carry), []
        for row in rows:
            carry, y = f(carry, row)
            found.append(y)
        return np.stack(found)

    def repeat(self, going: Callable[..., Any], f: Callable[..., Any], state: Any) -> Any:
        """Up to three turns of a loop."""
        for _ in range(3):
            if not going(state):
                break
            state = f(state)
        return state


def gradient(f: Callable[..., Any], z: Any, step: float, y: Any) -> Any:
    """The gradient of a function that gives one number, `y` at z, by differences; z may be complex."""
    z = np.asarray(z)
    found = []
    for index in np.ndindex(z.shape):
        unit = np.zeros(z.shape)
        unit[index] = 1.0
        found.append(slope(lambda t, unit=unit: f(z + t * unit), step, y))
    return np.reshape(np.array(found), z.shape)  # complex where the function closes over complex numbers


def slope(f: Callable[[float], Any], step: float, middle: Any = None) -> Any:
    """The derivative at 0 of a function of a number: central differences at two steps, extrapolated to none.

    Doubtful if the function, whose value at 0 is `middle`, has a kink there.
    """
    right, left = f(step), f(-step)
    wide = (right - left) / (2 * step)
    if middle is not None:
        bend = np.max(np.abs(right - 2 * middle + left), initial=0.0) / step
        if not bend <= 0.05 * max(1.0, np.max(np.abs(wide), initial=0.0)):
            raise Doubtful("a kink where a derivative inside of the program is taken")
    narrow = (f(step / 2) - f(-step / 2)) / step
    return (4 * narrow - wide) / 3


def curvature(f: Callable[[float], Any], step: float) -> Any:
    """The second derivative at 0, likewise."""
    middle = 2 * f(0.0)
    wide = (f(step) - middle + f(-step)) / step**2
    narrow = (f(step / 2) - middle + f(-step / 2)) / (step / 2) ** 2
    return (4 * narrow - wide) / 3


class Judge:
    """The value and the derivatives of a program at each of its points; all that takes differences, at this scale."""

    def __init__(self, program: Program, scale: float = 1.0) -> None:
        """Of a program; nothing is computed before it is asked for."""
        self.program = program
        self.scale = scale
        self.batch = np.array(program.points)
        self.v = np.cos(1.0 + np.arange(self.batch.shape[1]))

    def tolerance(self, order: int) -> float:
        """How far a derivative of this order may be from the judge's."""
        first = 1e-9 if self.program.analytic else 1e-6
        return min(1e-2, first * 30.0 ** (order - 1 + depth(self.program.statements, DIFFERENCED)))

    @functools.cached_property
    def functions(self) -> list[Callable[[Any], Any]]:
        """The program near each of its points."""
        return [judged(self.program, x, self.scale) for x in self.batch]

    def each(self, f: Callable[..., Any]) -> Any:
        """What `f(program, point)` gives at every point."""
        with np.errstate(all="ignore"):
            return np.stack([f(near, x) for near, x in zip(self.functions, self.batch, strict=True)])

    @functools.cached_property
    def values(self) -> Any:
        """f at every point."""
        return self.each(lambda f, x: f(x))

    def jacobian(self, f: Callable[[Any], Any], x: Any) -> Any:
        """The Jacobian: by complex steps, exact to rounding, or else by differences."""
        units = np.eye(len(x))
        if self.program.analytic:
            return np.stack([np.imag(f(x + 1e-30j * unit)) / 1e-30 for unit in units], axis=-1)
        step = 2e-3 * self.scale
        return np.stack([slope(lambda t, unit=unit: f(x + t * unit), step) for unit in units], axis=-1)

    @functools.cached_property
    def jacobians(self) -> Any:
        """J at every point."""
        return self.each(self.jacobian)

    def gradient(self, f: Callable[[Any], Any], x: Any) -> Any:
        """The gradient of g at x."""
        return np.array([1.0, 0.3]) @ self.jacobian(f, x)

    @functools.cached_property
    def products(self) -> Any:
        """The second derivatives of g at every point, times v."""
        step = 2e-3 * self.scale
        return self.each(lambda f, x: slope(lambda t: self.gradient(f, x + t * self.v), step))

    @functools.cached_property
    def third(self) -> Any:
        """The second derivative of the gradient of g along v, at the first point."""
        f, x = self.functions[0], self.batch[0]
        with np.errstate(all="ignore"):
            return curvature(lambda t: self.gradient(f, x + t * self.v), 4e-3 * self.scale)

    def insist(self) -> None:
        """Doubtful where the program has a kink at a point, is not finite, or is too steep to judge."""
        if not np.max(np.abs(self.jacobians), initial=0.0) < 1e3:
            raise Doubtful("too steep")
        along = self.jacobians @ self.v
        near = self.each(lambda f, x: (f(x + 2e-4 * self.v) - f(x - 2e-4 * self.v)) / 4e-4)
        if not np.allclose(near, along, 1e-3, 1e-3 * max(1.0, np.max(np.abs(along)))):
            raise Doubtful("complex steps and differences do not agree")


def judged(program: Program, x: Any, scale: float) -> Callable[[Any], Any]:
    """The program for values near x, in the judge's own form."""
    tools = Plain(scale)
    f = Namespace({"np": np, "judge": tools, **TOOLS}, PLAIN).run(program)
    with np.errstate(all="ignore"):
        f(x)
    tools.keeping = False

    def again(x: Any) -> Any:
        tools.position = 0
        return f(x)

    return again


judge_of = functools.lru_cache(maxsize=4)(Judge)
"""The judge of a program, and what it has computed, for as long as the program is looked at."""
