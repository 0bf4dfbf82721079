"""What the tests of steps and programs start from, and what they compare."""

import numpy as np
from hypothesis import settings

import tapem as tm

calm = settings(deadline=None)  # a busy machine is no failure

DEEP = 100_000


def start():
    """A tape of two leaves."""
    x, tape = tm.Tape().leaf(np.array([0.5, 1.0, 2.0]), name="x")
    w, tape = tape.leaf(np.array([3.0, 4.0, 5.0]), name="w")
    return x, w, tape


def contents(tape):
    """All that a tape says, as plain data that can be compared."""
    return [
        (n.id, n.op, tuple(n.parents), dict(n.static), n.name, n.requires_grad, n.shape, n.dtype, n.value.tobytes())
        for n in tape
    ]


def outcome(step, tape):
    """What a step does on a tape: its result and the tape, or its error."""
    result = step.attempt(tape)
    if isinstance(result, tm.Err):
        return type(result.error), str(result.error)
    value, after = result.value
    return (("ref", value.id) if isinstance(value, tm.Ref) else value), contents(after)


X, W, TAPE = start()
