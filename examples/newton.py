"""Newton's method, and why gradient descent is slow: curvature from automatic differentiation, on real patients.

    python examples/newton.py

fits a logistic regression to 569 breast tumors in four ways, which differ in what they know about the curvature of the
loss: nothing (gradient descent), a guess (SciPy's L-BFGS), the Hessian times a vector (Newton-CG), the whole Hessian
(Newton). It draws `newton.png`. Read the file from top to bottom. It needs the extra `examples`: scikit-learn for the
data, with SciPy, tqdm for the progress bar, matplotlib for the picture.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.optimize
from matplotlib.figure import Figure
from sklearn.datasets import load_breast_cancer
from threadpoolctl import threadpool_limits
from tqdm import tqdm

import losses
import tapem as tm

Array: TypeAlias = npt.NDArray[Any]

# ---------------------------------------------------------------------------------------------------------------------
# 1. The data
#
# Each tumor has 30 numbers, measured on an image of its cells: for ten properties of a cell, such as radius, perimeter,
# area and texture, the mean over the cells, its standard error, and the extreme. Was the tumor benign? Every number is
# shifted and scaled to have mean 0 and standard deviation 1 over the tumors to learn from.
# Source: W. H. Wolberg, W. N. Street and O. L. Mangasarian, Breast Cancer Wisconsin (Diagnostic), UCI Machine Learning
# Repository, 1995.


class Data(NamedTuple):
    """Measurements, one row per tumor, and whether each was benign (1.0) or malignant (0.0)."""

    x: Array
    benign: Array


def split_data() -> tuple[Data, Data]:
    """80 % of the tumors to learn from, and 20 % for the test."""
    data: Any = load_breast_cancer()
    order = tm.random.permutation(tm.random.key(0), len(data.data))
    learn, test = np.split(order, [int(0.8 * len(order))])
    mean, scale = data.data[learn].mean(axis=0), data.data[learn].std(axis=0)
    x, benign = (data.data - mean) / scale, data.target.astype(float)
    return Data(x[learn], benign[learn]), Data(x[test], benign[test])


# ---------------------------------------------------------------------------------------------------------------------
# 2. The model, and the objective
#
# The log-odds of "benign" are a linear function of the measurements. The loss measures how much the truth surprises the
# model. The penalty keeps the weights finite and makes the loss strictly convex: there is one minimum, which all
# methods seek.


def log_odds(params: Any, x: Any) -> Any:
    """The model's log-odds that a tumor is benign: positive if the probability is above one half."""
    return x @ params["weights"] + params["bias"]


def objective(params: Any, data: Data, penalty: float = 1e-3) -> Any:
    """The cross-entropy of the data, plus half the penalty times the squared length of the weights."""
    return losses.bce_with_logits(log_odds(params, data.x), data.benign) + penalty / 2 * np.sum(params["weights"] ** 2)


# ---------------------------------------------------------------------------------------------------------------------
# 3. Derivatives
#
# A model has its parameters by name, but an optimization method needs one vector. `tm.ravel` turns a tree into a vector
# and returns the function that turns it back. So the loss is a function of a vector, with these derivatives:
#
#     value_and_grad   the loss and its gradient g, from one run of the program and one sweep back
#     hvp              the Hessian H times a vector v, which is the derivative of g along v. It is twice the work of g
#                      for any number of parameters; H itself, with a row for each parameter, is never made.
#     hessian          all of H: the hvp of every unit vector, in one batch


class Problem:
    """A loss of a vector, with its derivatives."""

    def __init__(self, loss: Callable[[Any], Any]) -> None:
        """Make a problem from any function from a vector to a scalar."""
        self.loss = loss
        self.value_and_grad = tm.value_and_grad(loss)
        self.hessian = tm.hessian(loss)

    def hvp(self, vector: Array, direction: Array) -> Array:
        """The Hessian at a point, times a direction."""
        return tm.hvp(self.loss, (vector,), (direction,))


# ---------------------------------------------------------------------------------------------------------------------
# 4. Four methods
#
# Each yields its current point and the work so far, counted in gradients: an hvp counts as 2, a Hessian of n rows as
# n + 1. (This is their arithmetic: a gradient multiplies by the matrix of data twice, an hvp four times.)


class State(NamedTuple):
    """The current point of a method."""

    work: int
    vector: Array
    value: float
    slope: float


def gradient_descent(problem: Problem, start: Array, steps: int) -> Iterator[State]:
    """Steps down the gradient with the safe length 1 / L, where L is the largest curvature of this loss.

    The curvature of the cross-entropy is largest where the odds are even, which is where we start.
    """
    vector, longest = start, 1 / np.linalg.eigvalsh(problem.hessian(start))[-1]
    for step in range(1, steps + 1):
        value, gradient = problem.value_and_grad(vector)
        yield State(step, vector, value, float(np.linalg.norm(gradient)))
        vector = vector - longest * gradient


def newton(problem: Problem, start: Array, enough: float = 1e-10) -> Iterator[State]:
    """Steps to the minimum of the parabola that has the loss's value, slope and curvature here: solve H d = -g."""

    def direction(vector: Array, gradient: Array) -> tuple[Array, int]:
        return np.linalg.solve(problem.hessian(vector), -gradient), len(vector) + 1

    return downhill(problem, start, direction, enough)


def newton_cg(problem: Problem, start: Array, enough: float = 1e-10) -> Iterator[State]:
    """Newton's method without a Hessian: conjugate gradients, which only multiply by H, solve H d = -g.

    Far from the minimum a rough solution is enough, so the tolerance falls with the gradient.
    Source: Nocedal and Wright, Numerical Optimization, 2nd edition 2006, algorithm 7.1.
    """

    def direction(vector: Array, gradient: Array) -> tuple[Array, int]:
        size = float(np.linalg.norm(gradient))
        tolerance = min(0.5, size**0.5) * size
        solution, products = conjugate_gradients(lambda v: problem.hvp(vector, v), -gradient, tolerance)
        return solution, 2 * products

    return downhill(problem, start, direction, enough)


def conjugate_gradients(product: Callable[[Array], Array], goal: Array, tolerance: float) -> tuple[Array, int]:
    """x with `product(x)` near the goal, and the number of products; `product` is linear and positive definite."""
    x, residual, products = np.zeros_like(goal), goal, 0
    direction = residual
    while np.linalg.norm(residual) > tolerance and products < 10 * len(goal):
        image = product(direction)
        length = (residual @ residual) / (direction @ image)
        x, before, residual = x + length * direction, residual, residual - length * image
        direction = residual + (residual @ residual) / (before @ before) * direction
        products += 1
    return x, products


def downhill(
    problem: Problem, start: Array, find: Callable[[Array, Array], tuple[Array, int]], enough: float
) -> Iterator[State]:
    """Steps along the found directions, halved until the loss falls enough, until the gradient is nearly 0."""
    vector, (value, gradient), work = start, problem.value_and_grad(start), 1
    yield State(work, vector, value, float(np.linalg.norm(gradient)))
    while np.linalg.norm(gradient) > enough:
        direction, cost = find(vector, gradient)
        length, promised, before = 1.0, gradient @ direction, value
        value, gradient = problem.value_and_grad(vector + direction)
        while value > before + 1e-4 * length * promised and length > 1e-8:
            length, cost = length / 2, cost + 1
            value, gradient = problem.value_and_grad(vector + length * direction)
        vector, work = vector + length * direction, work + cost + 1
        yield State(work, vector, value, float(np.linalg.norm(gradient)))


def lbfgs(problem: Problem, start: Array, enough: float = 1e-10) -> Iterator[State]:
    """SciPy's L-BFGS, which guesses the curvature from the changes of the gradient in the last steps.

    Source: Zhu, Byrd, Lu and Nocedal, L-BFGS-B, ACM Transactions on Mathematical Software 23, 1997.
    """
    states: list[State] = []

    def evaluated(vector: Array) -> tuple[float, Array]:
        value, gradient = problem.value_and_grad(vector)
        states.append(State(len(states) + 1, vector.copy(), value, float(np.linalg.norm(gradient))))
        return value, gradient

    settings: Any = {"maxiter": 1000, "ftol": 0.0, "gtol": enough}
    scipy.optimize.minimize(evaluated, start, jac=True, method="L-BFGS-B", options=settings)
    yield from states


# ---------------------------------------------------------------------------------------------------------------------
# 5. The picture
#
# At the minimum the loss is a bowl, and the eigenvalues of its Hessian are its curvatures in each direction. Many of
# the measurements are nearly equal (red squares off the diagonal are such pairs), so some directions are a hundred
# times flatter than others. Gradient descent needs steps that are short enough for the steepest direction, and then
# hardly moves in the flattest: with the curvature c and the largest curvature L, a step leaves 1 - c / L of the way.
# Newton's step divides by c: it is equally fast in all directions. L-BFGS, which learns the curvature on its way, does
# the least work here; Newton's methods take the fewest steps, and end at the limit of the numbers' precision.

INK, DOWN, GUESS, CG, FULL = "#22303c", "#c8553d", "#d9a441", "#2a7f62", "#4a6fa5"
COLORS = {"gradient descent": DOWN, "L-BFGS (SciPy)": GUESS, "Newton-CG": CG, "Newton": FULL}
LEAST = 1e-16  # a gap of 0 is drawn here


class Run(NamedTuple):
    """The points of a method, and the time that it took."""

    states: list[State]
    seconds: float


def draw(path: Path, runs: dict[str, Run], best: State, curvature: Array) -> None:
    """Draw the gap to the minimum against the work; the Hessian; and the remaining way in each of its directions."""
    figure: Any = Figure(figsize=(15, 4.9), layout="constrained")
    race, square, ways = figure.subplots(1, 3, width_ratios=[1.25, 0.95, 1.15])

    for name, run in runs.items():
        work = [state.work for state in run.states]
        gaps = [max(state.value - best.value, LEAST) for state in run.states]
        dots = "o" if name.startswith("Newton") else None
        race.plot(work, gaps, color=COLORS[name], linewidth=2, marker=dots, markersize=4.5, label=name)
    race.set(
        xscale="log", yscale="log", ylim=(LEAST / 3, 2), xlabel="work, in gradients", ylabel="loss above its minimum"
    )
    race.set_title("Four ways to the same minimum", color=INK, fontsize=13, pad=10)
    race.legend(frameon=False, loc="lower left")

    scale = np.abs(curvature).max()
    square.imshow(np.sign(curvature) * np.abs(curvature / scale) ** 0.5, cmap="RdBu_r", vmin=-1, vmax=1)
    for axis in (square.xaxis, square.yaxis):
        axis.set_ticks([0, 5.5, 15.5, 25.5], ["bias", "means", "errors", "extremes"])
    square.tick_params(axis="y", labelrotation=90)
    square.tick_params(length=0)
    for label in square.get_yticklabels():
        label.set_verticalalignment("center")
    square.set_title("The Hessian at the minimum", color=INK, fontsize=13, pad=10)

    steepness, directions = np.linalg.eigh(curvature)
    start = runs["gradient descent"].states[0].vector

    def left(state: State) -> Array:
        """The remaining share of the way to the minimum, direction by direction."""
        return np.abs(directions.T @ (state.vector - best.vector)) / np.abs(directions.T @ (start - best.vector))

    slow, quick = runs["gradient descent"].states, runs["Newton-CG"].states
    for step, shade in ((100, "#ecc3b8"), (1000, "#dd9483"), (5000, DOWN)):
        if step <= len(slow):
            ways.plot(steepness, left(slow[step - 1]), "o", color=shade, label=f"gradient descent, {step:,} steps")
    ways.plot(steepness, left(quick[-3]), "o", color=CG, label=f"Newton-CG, {len(quick) - 3} steps")
    ways.set(xscale="log", yscale="log", ylim=(1e-8, 5), xlabel="curvature of the direction")
    ways.set(ylabel="part of the way to the minimum that is left")
    ways.set_title("Gradient descent leaves the flat directions", color=INK, fontsize=13, pad=10)
    ways.legend(frameon=False, loc="lower left", fontsize=9)
    for axes in (race, ways):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)


# ---------------------------------------------------------------------------------------------------------------------
# 6. All together


def main(arguments: Sequence[str] | None = None) -> None:
    """Compare the derivatives, run the four methods, test, draw."""
    parser = argparse.ArgumentParser(description="Fit a logistic regression by four methods.")
    parser.add_argument("--steps", type=int, default=5000, help="steps of gradient descent (default 5000)")
    parser.add_argument("--out", type=Path, default=Path("newton.png"), help="the picture (default newton.png)")
    options = parser.parse_args(arguments)
    if options.steps < 1:
        parser.error(f"--steps must be at least 1, not {options.steps}")
    if not options.out.parent.is_dir():
        parser.error(f"--out: there is no directory {options.out.parent}")

    learn, test = split_data()
    start, unravel = tm.ravel({"weights": np.zeros(30), "bias": np.zeros(())})
    problem = Problem(lambda vector: objective(unravel(vector), learn))

    direction = tm.random.normal(tm.random.key(1), start.shape)
    product, curvature = problem.hvp(start, direction), problem.hessian(start)
    print(f"The Hessian has shape {curvature.shape}; times a vector it differs from hvp by at most", end=" ")
    print(f"{np.abs(curvature @ direction - product).max():.0e}.\n")

    methods = {
        "gradient descent": gradient_descent(problem, start, options.steps),
        "L-BFGS (SciPy)": lbfgs(problem, start),
        "Newton-CG": newton_cg(problem, start),
        "Newton": newton(problem, start),
    }
    runs: dict[str, Run] = {}
    with threadpool_limits(1):  # one thread is fastest for matrices as small as these
        for name, method in methods.items():
            began = time.perf_counter()
            total = options.steps if name == "gradient descent" else None
            runs[name] = Run(list(tqdm(method, desc=name, total=total, unit="step")), time.perf_counter() - began)

    best = min((run.states[-1] for run in runs.values()), key=lambda state: state.slope)
    curvature = problem.hessian(best.vector)
    steepness = np.linalg.eigvalsh(curvature)
    draw(options.out, runs, best, curvature)

    print("\nmethod             steps     work   seconds   above the minimum   gradient")
    for name, (states, seconds) in runs.items():
        last = states[-1]
        gap = max(last.value - best.value, 0.0)
        print(f"{name:16} {len(states):7,} {last.work:8,} {seconds:9.2f} {gap:19.1e} {last.slope:10.1e}")

    params = unravel(best.vector)
    accuracy = np.mean((log_odds(params, test.x) > 0) == (test.benign == 1))
    print(f"\nThe steepest direction is curved {steepness[-1] / steepness[0]:.0f} times as much as the flattest.")
    print(f"Newton-CG needed {len(runs['Newton-CG'].states) - 1} steps to a gradient of", end=" ")
    print(f"{runs['Newton-CG'].states[-1].slope:.0e}; after {options.steps:,}, gradient descent is at", end=" ")
    print(f"{runs['gradient descent'].states[-1].slope:.0e}.")
    print(f"Test accuracy: {accuracy:.2%} of {len(test.x)} tumors that it had never seen.")
    print(f"The picture is in {options.out}.")


if __name__ == "__main__":
    main()
