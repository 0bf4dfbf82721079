"""Tapes for the tests of tapes."""

import numpy as np
import pytest
from hypothesis import settings

import tapem as tm

calm = settings(deadline=None)  # a busy machine is no failure

# The longest tape: 100,000 nodes in every run, and 1,000,000 in one with `-m slow`.
LONG = [
    100_000,
    pytest.param(1_000_000, marks=pytest.mark.slow),
]


def small():
    """x -> sin(x) -> sum, with a leaf that nothing uses and a constant one: every role a node can have."""
    x, tape = tm.Tape().leaf(np.array([0.5, 1.0, 2.0]), name="x")
    unused, tape = tape.leaf(np.ones((2, 2)), name="unused")
    scale, tape = tape.leaf(np.array([1.0, 10.0, 100.0]), name="scale", requires_grad=False)
    y, tape = tape.record(tm.sin, x)
    z, tape = tape.record(tm.mul, y, scale)
    out, tape = tape.record(tm.sum, z)
    return tape, x, unused, scale, y, z, out


def chain(length):
    """A tape of `length` nodes whose last is x * 1.0 * 1.0 ..."""
    x, tape = tm.Tape().leaf(2.0, name="x")
    y = x
    for _ in range(length - 1):
        y, tape = tape.record(tm.mul, y, 1.0)
    return tape, x, y
