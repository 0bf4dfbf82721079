"""The checkers of notebook 9, both modes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import tapem as tm
from checker import compare, exercise, need

RANDOM = np.random.default_rng(9)
WIDE, TALL = RANDOM.normal(size=(2, 5)), RANDOM.normal(size=(6, 3))
MIX = RANDOM.normal(size=(4, 4))


def bowl(x: Any) -> Any:
    """A convex function of four numbers."""
    return np.sum(np.exp(MIX @ x)) + np.sum(x * x)


def jacobian_of(f: Callable[..., Any], x: Any) -> Any:
    """The judge: a Jacobian by differences."""
    return tm.testing.finite_diff_jacobian(f, x, method="extrapolated")


def hessian_of(f: Callable[..., Any], x: Any) -> Any:
    """The judge: a Hessian, by differences of a gradient by complex steps."""
    return jacobian_of(lambda x: tm.testing.finite_diff(f, x, method="complex"), x)


@exercise
def jacobian(function: Callable[..., Any], jvp: Callable[..., Any], vjp: Callable[..., Any]) -> str:
    """A Jacobian by the cheaper mode."""
    for matrix in (WIDE, TALL):
        x = RANDOM.normal(size=matrix.shape[1])
        sweeps = {"forward": 0, "backward": 0}

        def f(x: Any, matrix: Any = matrix) -> Any:
            return np.sum(np.tanh(matrix * x), axis=1)

        def counted_jvp(*args: Any, sweeps: Any = sweeps) -> Any:
            sweeps["forward"] += 1
            return jvp(*args)

        def counted_vjp(*args: Any, sweeps: Any = sweeps) -> Any:
            y, pull = vjp(*args)

            def counted(g: Any) -> Any:
                sweeps["backward"] += 1
                return pull(g)

            return y, counted

        what = f"for {matrix.shape[1]} inputs and {matrix.shape[0]} outputs"
        compare(function(f, x, counted_jvp, counted_vjp), jacobian_of(f, x), f"{what}, the Jacobian")
        told = " and ".join(f"{count} {name}" for name, count in sweeps.items() if count)
        need(sum(sweeps.values()) > 0, f"{what}: use the jvp and vjp that you are given.")
        need(
            sum(sweeps.values()) <= min(matrix.shape),
            f"{what}, you make {told} sweeps; {min(matrix.shape)} are enough.",
        )
    return "by rows if there are fewer outputs, by columns if there are fewer inputs."


@exercise
def bend(function: Callable[..., Any], jvp: Callable[..., Any]) -> str:
    """A second derivative along a direction."""
    x, v = 0.3 * RANDOM.normal(size=(4, 1)), RANDOM.normal(size=(4, 1))
    expected = (v.T @ np.reshape(hessian_of(bowl, x), (4, 4)) @ v)[0, 0]
    slope = np.sum(tm.testing.finite_diff(bowl, x, method="complex") * v)
    found = function(bowl, x, v, jvp)
    need(not np.allclose(found, slope), "that is the slope along v; now the slope of the slope.")
    compare(found, expected, "the bend of the function along v", tolerance=1e-5)
    return "forward over forward; no tape has to be kept for it."


@exercise
def newton_step(function: Callable[..., Any], grad: Callable[..., Any], hvp: Callable[..., Any]) -> str:
    """A Newton step by conjugate gradients."""
    x = 0.3 * RANDOM.normal(size=(4, 1))
    products: list[int] = []

    def counted(*args: Any) -> Any:
        products.append(1)
        return hvp(*args)

    found = function(bowl, x, grad, counted)
    need(products, "no product with H is computed yet: Hp should be hvp(f, x, p).")
    gradient = tm.testing.finite_diff(bowl, x, method="complex")
    expected = np.linalg.solve(np.reshape(hessian_of(bowl, x), (4, 4)), -gradient)
    if np.allclose(found, -expected, rtol=1e-4):
        need(False, "this step goes uphill: the right-hand side is minus the gradient.")
    compare(found, expected, "the step", "H s should be minus the gradient.", tolerance=1e-4)
    need(len(products) <= 5, f"right, but {len(products)} products with H are more than one per dimension.")
    return f"{len(products)} products with H, and no matrix."


@exercise
def other_hvp(function: Callable[..., Any], grad: Callable[..., Any], jvp: Callable[..., Any]) -> str:
    """A Hessian-vector product, reverse over forward."""
    x, v = 0.3 * RANDOM.normal(size=(4, 1)), RANDOM.normal(size=(4, 1))
    calls: list[str] = []

    def seen(name: str, transform: Callable[..., Any]) -> Callable[..., Any]:
        def called(f: Any, *args: Any) -> Any:
            calls.append(f"{name} of f" if f is bowl else name)
            return transform(f, *args)

        return called

    found = function(bowl, x, v, seen("grad", grad), seen("jvp", jvp))
    expected = np.reshape(hessian_of(bowl, x), (4, 4)) @ v
    compare(found, expected, "the product H v", tolerance=1e-5)
    need("grad of f" not in calls, "right, but this is forward over reverse: grad belongs on the outside.")
    need("jvp of f" in calls, "right, but without jvp.")
    return "the same numbers; forward over reverse keeps less, as its outer sweep needs no second tape."
