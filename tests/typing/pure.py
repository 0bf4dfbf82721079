"""What a checker knows at the pure door."""

from typing import Any, assert_type

import numpy as np
import numpy.typing as npt

import tapem as tm

a = np.array(2.0)
x, tape = tm.Tape().leaf(a, name="x")

assert_type(x, tm.Ref)
assert_type(tape, tm.Tape)
assert_type(x.id, int)
assert_type(x.shape, tuple[int, ...])
assert_type(x.ndim, int)
assert_type(x.size, int)
assert_type(tape.record(tm.sin, x), tuple[tm.Ref, tm.Tape])
assert_type(tm.sin(x).run(tape), tuple[tm.Ref, tm.Tape])
assert_type(tape[x], tm.Node)
assert_type(tape[0], tm.Node)
assert_type(len(tape), int)
assert_type([node for node in tape], list[tm.Node])
assert_type(tape[x].name, str | None)
assert_type(tape[x].requires_grad, bool)

value: npt.NDArray[Any] = tape.value(x)
gradients = tape.backward_scalar(x)
assert_type(gradients, tm.Gradients)
assert_type(tape.backward([x], [a]), tm.Gradients)
assert_type(gradients + gradients, tm.Gradients)
gradient: npt.NDArray[Any] = gradients[x]
gradient = gradients[x.id]
dense: list[npt.NDArray[Any]] = tape.backward_dense(x)
ids: list[int] = list(gradients)
