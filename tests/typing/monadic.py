"""What a checker knows at the monadic door: the type of every result, through bind, do and yield from."""

from collections.abc import Generator
from typing import Any, assert_type

import numpy as np

import tapem as tm

x, tape = tm.Tape().leaf(np.ones(3))

# An op on Refs or on steps is a step.
assert_type(tm.sin(x), tm.TapeM[tm.Ref])
assert_type(tm.sin(tm.sin(x)), tm.TapeM[tm.Ref])
assert_type(tm.mul(x, 2.0), tm.TapeM[tm.Ref])
assert_type(tm.mul(2.0, x), tm.TapeM[tm.Ref])
assert_type(tm.mul(np.ones(3), x), tm.TapeM[tm.Ref])
assert_type(tm.mul(np.ones(3), tm.sin(x)), tm.TapeM[tm.Ref])
assert_type(tm.sum(x), tm.TapeM[tm.Ref])
assert_type(tm.sum(x, axis=0, keepdims=True), tm.TapeM[tm.Ref])
assert_type(tm.mean(tm.square(x), axis=(0,)), tm.TapeM[tm.Ref])
assert_type(tm.matmul(x, x), tm.TapeM[tm.Ref])
assert_type(tm.reshape(x, (3, 1)), tm.TapeM[tm.Ref])

# So are operators and indexing.
assert_type(x + 1.0, tm.TapeM[tm.Ref])
assert_type(1.0 - x, tm.TapeM[tm.Ref])
assert_type(-x * x / 2, tm.TapeM[tm.Ref])
assert_type(x @ x, tm.TapeM[tm.Ref])
assert_type(x**2, tm.TapeM[tm.Ref])
assert_type(x[0], tm.TapeM[tm.Ref])
assert_type(x[..., None], tm.TapeM[tm.Ref])
assert_type(tm.sin(x) + x, tm.TapeM[tm.Ref])
assert_type(x + tm.sin(x), tm.TapeM[tm.Ref])
assert_type(tm.sin(x)[0], tm.TapeM[tm.Ref])

# The monad.
assert_type(tm.pure(3), tm.TapeM[int])
assert_type(tm.pure(3).bind(lambda n: tm.pure(str(n))), tm.TapeM[str])
assert_type(tm.pure(3).map(str), tm.TapeM[str])
assert_type(tm.pure(3).then(tm.pure("a")), tm.TapeM[str])
assert_type(tm.pure(3) >> tm.pure("a"), tm.TapeM[str])
assert_type(tm.sin(x).bind(tm.sum), tm.TapeM[tm.Ref])
assert_type(tm.sin(x).map(lambda ref: ref.shape), tm.TapeM[tuple[int, ...]])
assert_type(tm.sin(x).run(tape), tuple[tm.Ref, tm.Tape])
assert_type(tm.sin(x).eval(tape), tm.Ref)
assert_type(tm.sin(x).exec(tape), tm.Tape)
assert_type(tm.get_tape(), tm.TapeM[tm.Tape])
assert_type(tm.set_tape(tape), tm.TapeM[None])
assert_type(tm.leaf(1.0), tm.TapeM[tm.Ref])
assert_type(tm.param(1.0, name="w"), tm.TapeM[tm.Ref])
assert_type(tm.const(1.0), tm.TapeM[tm.Ref])
assert_type(tm.backward_scalar(x), tm.TapeM[tm.Gradients])
assert_type(tm.backward([x], [1.0]), tm.TapeM[tm.Gradients])


def total(so_far: int, item: str) -> tm.TapeM[int]:
    return tm.pure(so_far + len(item))


assert_type(tm.fold(total, 0, ["a", "bc"]), tm.TapeM[int])

# attempt is a sum type that a match takes apart.
match tm.sin(x).attempt(tape):
    case tm.Ok((ref, after)):
        assert_type(ref, tm.Ref)
        assert_type(after, tm.Tape)
    case tm.Err(error):
        assert_type(error, tm.TapeError)


# do: the parameters stay, the result becomes a step; yield from tells the type of each result.
@tm.do
def model(x: tm.Ref, scale: float = 1.0, *, steps: int = 2) -> Generator[tm.TapeM[Any], Any, tm.Ref]:
    h = yield from tm.sin(x)
    assert_type(h, tm.Ref)
    n = yield from tm.pure(3)
    assert_type(n, int)
    before = yield from tm.get_tape()
    assert_type(before, tm.Tape)
    for _ in range(steps):
        h = yield from tm.mul(tm.square(h), scale)
    return h


@tm.do
def train(x: tm.Ref) -> Generator[tm.TapeM[Any], Any, tuple[tm.Gradients, int]]:
    y = yield from model(x, 2.0, steps=3)
    assert_type(y, tm.Ref)
    out = yield from tm.sum(y)
    gradients = yield from tm.backward_scalar(out)
    assert_type(gradients, tm.Gradients)
    return gradients, out.id


assert_type(model(x), tm.TapeM[tm.Ref])
assert_type(model(x, 2.0, steps=1), tm.TapeM[tm.Ref])
assert_type(train(x), tm.TapeM[tuple[tm.Gradients, int]])
assert_type(tm.sum(model(x)), tm.TapeM[tm.Ref])
