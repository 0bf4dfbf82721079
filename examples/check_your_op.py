"""Check your op: two bugs that pass the usual test, found in one line.

    python examples/check_your_op.py

writes an op with its own derivative rules, tests it as one usually does, and then lets `tm.testing.check_op` read its
types, draw examples and shrink those that fail. Two bugs come to light; the corrected op passes. Read it from top to
bottom. Needs Hypothesis besides tapem: the extra `test`.
"""

import time
from typing import Any, TypeAlias

import hypothesis.strategies as st
import numpy as np
import numpy.typing as npt
from jaxtyping import Float

import tapem as tm

Array: TypeAlias = npt.NDArray[Any]

# ---------------------------------------------------------------------------------------------------------------------
# 1. An op
#
# Huber's loss is a parabola for small residuals and a straight line for large ones, so that outliers do not rule a fit.
# Ours has a weight for every feature, and takes any number of leading axes. What is annotated with jaxtyping is an
# operand; `delta`, where the parabola ends, is not, so it is static.
# Source: P. J. Huber, Robust Estimation of a Location Parameter, 1964.

Residuals = Float[tm.Tensor, "*batch n"]
Weights = Float[tm.Tensor, "n"]
Losses = Float[tm.Tensor, "*batch"]


def loss_of_each(x: Array, delta: float) -> Array:
    """Huber's loss, residual by residual."""
    return np.where(np.abs(x) < delta, 0.5 * x * x, delta * (np.abs(x) - 0.5 * delta))


def huber(x: Residuals, weight: Weights, *, delta: float = 1.0) -> Losses:
    """The weighted sum of the losses of the last axis."""
    return np.sum(weight * loss_of_each(x, delta), axis=-1)


# ---------------------------------------------------------------------------------------------------------------------
# 2. Its rules, at the first attempt
#
# The op carries its own derivative. In reverse mode there is one rule per operand: it gets the cotangent g of the value
# y, then y and the operands, and gives that operand's cotangent. These rules are short, plausible, and wrong twice.


def slope(x: Array, delta: float) -> Array:
    """The derivative of the loss of one residual: a bug is here."""
    return np.where(np.abs(x) < delta, x, np.sign(x))


def to_x(g: Array, y: Array, x: Array, weight: Array, *, delta: float) -> Array:
    """The cotangent of the residuals."""
    return g[..., None] * weight * slope(x, delta)


def to_weight(g: Array, y: Array, x: Array, weight: Array, *, delta: float) -> Array:
    """The cotangent of the weights: and here is another."""
    return g[..., None] * loss_of_each(x, delta)


first: Any = tm.primitive(rrule=(to_x, to_weight), name="huber")(huber)


# ---------------------------------------------------------------------------------------------------------------------
# 3. The usual test, which passes
#
# One compares the gradient with finite differences, at one point that comes to mind. There are residuals on both
# branches, and all is well.


def usual_test(op: Any) -> bool:
    """Whether both gradients are right, at one point."""
    x, weight = np.array([0.3, -0.7, 1.8, -2.5]), np.array([1.0, 2.0, 0.5, 1.5])
    return all(tm.testing.check_gradients(op, (x, weight)))


# ---------------------------------------------------------------------------------------------------------------------
# 4. The property test, which does not
#
# `check_op` knows from the annotations what the op takes: any `*batch`, any `n`, the same n in both operands. Static
# arguments are given, or drawn if they are strategies. On each example all is compared that can be: the Jacobian in
# both modes, second derivatives, dtypes, the batch rule, the three doors. What fails is shrunk before it is shown.


def property_test(op: Any) -> str | None:
    """What is wrong with the op, shown on the smallest example; None if nothing is."""
    try:
        tm.testing.check_op(op, delta=st.sampled_from([1.0, 0.5, 2.0]), max_examples=EXAMPLES, seed=0)
    except tm.testing.GradientMismatch as mismatch:
        return str(mismatch)
    return None


EXAMPLES = 20

# ---------------------------------------------------------------------------------------------------------------------
# 5. The corrections
#
# The reports say where to look. With several rows each weight serves them all, so its cotangent is the sum over the
# rows: the usual test had one row only. And on the line the slope is delta, not 1: the usual test had delta = 1.


def to_weight_summed(g: Array, y: Array, x: Array, weight: Array, *, delta: float) -> Array:
    """The cotangent of the weights, summed over the axes that they were broadcast along."""
    return np.sum(g[..., None] * loss_of_each(x, delta), axis=tuple(range(x.ndim - 1)))


def to_x_clipped(g: Array, y: Array, x: Array, weight: Array, *, delta: float) -> Array:
    """The cotangent of the residuals, whose slope ends at delta."""
    return g[..., None] * weight * np.clip(x, -delta, delta)


second: Any = tm.primitive(rrule=(to_x, to_weight_summed), name="huber")(huber)
third: Any = tm.primitive(rrule=(to_x_clipped, to_weight_summed), name="huber")(huber)


# ---------------------------------------------------------------------------------------------------------------------
# 6. All together


def main() -> None:
    """Test the three attempts, in both ways."""
    start = time.perf_counter()
    found = 0
    for name, op in (("first", first), ("second", second), ("third", third)):
        print(f"The {name} attempt")
        print(f"  the usual test: {'passed' if usual_test(op) else 'failed'}")
        report = property_test(op)
        found += report is not None
        print("  check_op: " + ("passed" if report is None else report.replace("\n", "\n  ")) + "\n")
    seconds = time.perf_counter() - start
    print(f"Bugs found: {found} of 2. The corrected op passed {EXAMPLES} random examples; all took {seconds:.1f} s.")


if __name__ == "__main__":
    main()
