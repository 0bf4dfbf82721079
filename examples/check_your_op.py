"""Check your op: two bugs that pass the usual test, found in one line.

    python examples/check_your_op.py

writes an op with its own derivative rules, tests it in the usual way, and then lets `tm.testing.check_op` read its
types, draw examples and shrink those that fail. This finds two bugs; the corrected op passes. Read the file from top to
bottom. It needs Hypothesis besides tapem: the extra `test`.
"""

import time
from typing import Any, TypeAlias

import hypothesis
import hypothesis.strategies as st
import numpy as np
import numpy.typing as npt
from jaxtyping import Float

import tapem as tm

Array: TypeAlias = npt.NDArray[Any]

# ---------------------------------------------------------------------------------------------------------------------
# 1. An op
#
# Huber's loss is a parabola for small residuals and a straight line for large ones, so that outliers do not dominate a
# fit. This one has a weight for every feature, and takes any number of leading axes. The parameters with jaxtyping
# annotations are operands; `delta`, where the parabola ends, is static.
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
# 2. Its rules, a first attempt
#
# The op carries its own derivative. In reverse mode there is one rule per operand: it gets the cotangent g of the value
# y, then y and the operands, and gives that operand's cotangent. These rules are short, plausible, and wrong twice.


def slope(x: Array, delta: float) -> Array:
    """The derivative of the loss of one residual, with a bug."""
    return np.where(np.abs(x) < delta, x, np.sign(x))


def to_x(g: Array, y: Array, x: Array, weight: Array, *, delta: float) -> Array:
    """The cotangent of the residuals."""
    return g[..., None] * weight * slope(x, delta)


def to_weight(g: Array, y: Array, x: Array, weight: Array, *, delta: float) -> Array:
    """The cotangent of the weights, with another bug."""
    return g[..., None] * loss_of_each(x, delta)


first: Any = tm.primitive(rrule=(to_x, to_weight), name="huber")(huber)


# ---------------------------------------------------------------------------------------------------------------------
# 3. The usual test, which passes
#
# It compares the gradient with finite differences at one point. There are residuals on both branches, and the test
# passes.


def usual_test(op: Any) -> bool:
    """Whether both gradients are right at one point."""
    x, weight = np.array([0.3, -0.7, 1.8, -2.5]), np.array([1.0, 2.0, 0.5, 1.5])
    return all(tm.testing.check_gradients(op, (x, weight)))


# ---------------------------------------------------------------------------------------------------------------------
# 4. The property test, which fails
#
# `check_op` knows the op's operands from the annotations: any `*batch`, any `n`, the same n in both operands. Static
# arguments are given, or drawn if they are strategies. Each example runs through every check: the Jacobian in both
# modes, second derivatives, dtypes, the batch rule, the three doors. A failing example is shrunk before it is shown.


def property_test(op: Any) -> str | None:
    """The errors of the op on the smallest failing example; None if there are none."""
    try:
        tm.testing.check_op(op, delta=st.sampled_from([1.0, 0.5, 2.0]), max_examples=EXAMPLES, seed=0)
    except tm.testing.GradientMismatch as mismatch:
        return str(mismatch)
    return None


EXAMPLES = 20

# ---------------------------------------------------------------------------------------------------------------------
# 5. The corrections
#
# The reports show the place. With several rows each weight is used in all of them, so its cotangent is the sum over the
# rows: the usual test had only one row. And on the line the slope is delta, not 1: the usual test had delta = 1.


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
    """Test the three attempts in both ways."""
    # Hypothesis tries what failed in an earlier run first; here every run is to find each bug anew.
    hypothesis.settings.register_profile("anew", database=None)
    hypothesis.settings.load_profile("anew")
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
