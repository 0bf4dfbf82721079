"""What a checker must refuse: every line with an ignore is an error, and an ignore without an error is one too."""

from collections.abc import Generator
from typing import Any

import numpy as np

import layers
import tapem as tm

x, tape = tm.Tape().leaf(np.ones(3))

# A step is not yet a Ref, nor an array.
print(tm.sin(x).size)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownArgumentType]
array: np.ndarray[Any, Any] = tm.sin(x)  # pyright: ignore[reportAssignmentType]
step: tm.TapeM[tm.Ref] = tm.sin(np.ones(3))  # pyright: ignore[reportAssignmentType]
# There are no names but those that there are.
print(tm.nothing)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownArgumentType]
print(tm.optim.nothing)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownArgumentType]
print(layers.nothing)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownArgumentType]
# The results of steps have types.
number: int = tm.pure("a").eval()  # pyright: ignore[reportAssignmentType]
tm.pure(3).bind(lambda n: n + 1)  # pyright: ignore[reportArgumentType]
tm.pure(3).bind(str)  # pyright: ignore[reportArgumentType]
tm.pure(3) >> 3  # pyright: ignore[reportOperatorIssue, reportUnusedExpression]
# Values cannot be changed.
x.id = 3  # pyright: ignore[reportAttributeAccessIssue]
tape[0] = tape[0]  # pyright: ignore[reportIndexIssue]


@tm.do
def model(x: tm.Ref) -> Generator[tm.TapeM[Any], Any, tm.Ref]:
    h = yield from tm.sin(x)
    wrong: str = h  # pyright: ignore[reportAssignmentType]
    return (yield from tm.mul(h, float(len(wrong))))


model()  # pyright: ignore[reportCallIssue]
model("x")  # pyright: ignore[reportArgumentType]
text: tm.TapeM[str] = model(x)  # pyright: ignore[reportAssignmentType]
# Of what is made from one definition for images, a checker knows the parameters as well.
layers.conv3d(np.ones((1,) * 5), None, np.ones((1,) * 4), strides=2)  # pyright: ignore[reportCallIssue]
layers.max_pool1d(np.ones((1, 4)))  # pyright: ignore[reportCallIssue]
layers.Conv1d(3, 8)  # pyright: ignore[reportCallIssue]
layers.MaxPool3d(2).padding = 1  # pyright: ignore[reportAttributeAccessIssue]
tm.model.grad_x(model, tm.sub, x, x)  # pyright: ignore[reportCallIssue]
