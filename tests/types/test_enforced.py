"""What an op's annotations say is enforced: whatever they say, by either decorator, through every door.

The judge is jaxtyping, asked by a signature that has seen nothing. An elementwise op whose annotations say no more than
NumPy does is not asked at all, so NumPy must enforce every such annotation: its ufuncs are all tried.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import jaxtyping
import numpy as np
import pytest
from jaxtyping import Bool, Float, Inexact, Integer, Shaped

import tapem as tm
from tapem.errors import DTypeError, ShapeError, TapeError
from tapem.types import Num, Signature, Tensor

KINDS: list[Any] = [Num, Shaped, jaxtyping.Num, Inexact, Float, Integer, Bool]
AXES = ["*#shape", "*shape", "...", "#*shape", "n 3", "#n n", "*batch 3", "_"]
SHAPES: list[tuple[int, ...]] = [(), (5,), (3,), (1, 3), (3, 3)]
DTYPES = ["bool", "int64", "uint8", "float32", "float64"]
ANY: Any = Shaped[Tensor, "..."]
DECORATORS: dict[str, Callable[[Any], Any]] = {
    "primitive": tm.primitive(rrule=(lambda g, y, x: g,), frule=(lambda t, y, x: t,)),
    "elementwise": tm.elementwise(lambda g, y, x: g),
}


def unary(takes: Any, gives: Any) -> Any:
    def copied(x: Any) -> Any:
        return np.array(x)

    copied.__annotations__ = {"x": takes, "return": gives}
    return copied


def refusal(call: Callable[..., Any], *arguments: Any) -> str:
    """The kind of refusal and its first line; nothing if there is none."""
    try:
        call(*arguments)
    except TapeError as error:
        return f"{type(error).__name__}: {error}".split("\n")[0]
    return ""


def doors(op: Any, x: Any) -> Iterator[tuple[str, Callable[[], Any]]]:
    """The op applied to x through every door, and to the mere shape and dtype of x."""
    yield "array", lambda: op(x)
    ref, tape = tm.const(x).run()
    yield "pure", lambda: tape.record(op, ref)
    yield "monadic", lambda: tm.const(x).bind(op).run()
    yield "abstract", lambda: tm.eval_shape(op, x)
    yield "batch", lambda: tm.vmap(op)(np.stack([x, x]))
    if x.dtype.kind == "f":
        yield "direct", lambda: tm.vjp(op, x)
        yield "forward", lambda: tm.jvp(op, (x,), (x,))


@pytest.mark.parametrize("decorator", DECORATORS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_annotation_is_enforced_through_every_door(kind, decorator):
    refused = 0
    for axes, on_result in itertools.product(AXES, (False, True)):
        function = unary(*((ANY, kind[Tensor, axes]) if on_result else (kind[Tensor, axes], ANY)))
        op = DECORATORS[decorator](function)
        for shape, dtype in itertools.product(SHAPES, DTYPES):
            x = np.ones(shape, dtype)
            expected = refusal(Signature.of(function).verify, [x], x)
            refused += bool(expected)
            for door, call in doors(op, x):
                assert refusal(call) == expected, (op, x.shape, dtype, door)
    assert refused > 50


def test_two_operands_are_held_to_their_common_axes():
    annotations: list[Any] = [Num[Tensor, axes] for axes in ("*#shape", "*shape", "...", "n", "*#other")]
    annotations += [Float[Tensor, "*#shape"], Float[Tensor, "..."]]
    arrays: list[Any] = [np.ones(()), np.ones(3), np.ones((1, 3)), np.ones((2, 3), int)]
    outcomes: set[bool] = set()
    for a, b, given in itertools.product(annotations, annotations, (ANY, Num[Tensor, "*shape"], Num[Tensor, "*other"])):

        def plus(x: Any, y: Any) -> Any:
            return np.add(x, y)

        plus.__annotations__ = {"x": a, "y": b, "return": given}
        op = tm.elementwise(lambda g, *_: g, lambda g, *_: g)(plus)
        for x, y in itertools.product(arrays, arrays):
            expected = bool(refusal(Signature.of(plus).verify, [x, y], x + y))
            assert bool(refusal(op, x, y)) is expected, (op, x.shape, y.shape)
            outcomes.add(expected)
    assert outcomes == {True, False}


def test_an_elementwise_op_of_a_fixed_shape():
    @tm.elementwise(lambda g, y, x: 2 * g * x)
    def squares(x: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        return x * x

    with pytest.raises(ShapeError, match=r"squares\(x\): x must have 2 axes but has 1: \(5,\)"):
        squares(np.ones(5))
    with pytest.raises(DTypeError, match=r"squares\(x\): x is int64, where Float is required"):
        squares(np.ones((2, 3), int))
    x = np.arange(24.0).reshape(4, 2, 3)
    np.testing.assert_array_equal(tm.vmap(squares)(x), x * x)
    np.testing.assert_array_equal(tm.vmap(tm.grad(lambda x: np.sum(squares(x))))(x), 2 * x)


# What NumPy enforces is not asked about ------------------------------------------------------------------------------

UFUNCS = [f for f in vars(np).values() if isinstance(f, np.ufunc) and f.signature is None and f.nout == 1]
NAMES = "bool int8 uint8 int16 int64 uint64 float16 float32 float64 complex64 complex128".split()


@pytest.mark.parametrize("ufunc", UFUNCS, ids=lambda ufunc: ufunc.__name__)
@pytest.mark.filterwarnings("ignore")
def test_what_a_ufunc_is_said_to_enforce_it_enforces(ufunc):
    kinds: list[Any] = [
        *KINDS,
        jaxtyping.Real,
        jaxtyping.Complex,
        jaxtyping.Int,
        Integer[Tensor, "*#shape"] | Bool[Tensor, "*#shape"],
    ]
    enforced = 0
    for takes, gives in itertools.product(kinds, kinds):

        def f(*xs: Any) -> Any: ...

        takes = takes[Tensor, "*#shape"] if isinstance(takes, type) and not hasattr(takes, "dim_str") else takes
        gives = gives[Tensor, "*shape"] if isinstance(gives, type) and not hasattr(gives, "dim_str") else gives
        f.__annotations__ = {"xs": takes, "return": gives}
        if not Signature.of(f).is_numpys(ufunc):
            continue
        enforced += 1
        for dtypes in itertools.product(NAMES, repeat=ufunc.nin):
            inputs = [np.ones(2, dtype) for dtype in dtypes]
            try:
                result = ufunc(*inputs)
            except (TypeError, ValueError):
                continue
            if result.dtype != object:
                Signature.of(f).verify(inputs, result)
    assert enforced
