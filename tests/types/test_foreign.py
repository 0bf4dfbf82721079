"""Arrays of other kinds, at every door and in every place: right by value, or refused by name with the remedy.

Every kind goes to every place. What decides is one list, KINDS, which says whether a kind is taken; what the numbers
should then be is computed from its values with NumPy alone.
"""

from __future__ import annotations

import operator
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import tapem as tm
from tapem.errors import TapeError

# NumPy says what it thinks of matrices, and of comparing records with what is none.
pytestmark = [
    pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning"),
    pytest.mark.filterwarnings("ignore:elementwise .* comparison failed:DeprecationWarning"),
]

VALUES = np.array([1.0, 2.0, 3.0])
W = np.array([2.0, 0.5, -1.0])


class OnDevice:
    """What torch and JAX look like from outside: numbers on a device, handed out by DLPack alone."""

    def __init__(self, values: Any, device: tuple[int, int] = (1, 0)) -> None:
        self.values, self.device = np.asarray(values), device

    def __dlpack__(self, **options: Any) -> Any:
        return self.values.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device


class NeedsGradient(OnDevice):
    """A tensor of torch that requires a gradient."""

    def __dlpack__(self, **options: Any) -> Any:
        raise BufferError("Can't export tensors that require gradient, use tensor.detach()")


class OnlyArray:
    """An object with `__array__` alone."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return VALUES


class Interval:
    """An array of intervals, with operators of its own; as an array it is its midpoints."""

    def __init__(self, low: Any, high: Any) -> None:
        self.low, self.high = low, high

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return (self.low + self.high) / 2

    def __mul__(self, other: Any) -> Any:
        other = np.asarray(other)
        return Interval(self.low * other, self.high * other)

    __add__ = __sub__ = __truediv__ = __pow__ = __matmul__ = __lt__ = __mul__


class Own(np.ndarray[Any, Any]):
    """A user's subclass of ndarray."""


class WithUnits(np.ndarray[Any, Any]):
    """A user's subclass with an `__array_ufunc__` that gives its operands away as plain arrays."""

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        return getattr(ufunc, method)(*(np.asarray(x) for x in inputs), **options)


@dataclass
class Kind:
    """One kind of array: how it is made, whether it is taken, and what its refusal says."""

    name: str
    make: Callable[[], Any]
    values: Any = None
    """The values by which it is taken, or None where it is refused."""
    says: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.name


def memmap() -> Any:
    with tempfile.TemporaryDirectory() as folder:
        found = np.memmap(Path(folder) / "values", np.float64, "w+", shape=(3,))
        found[:] = VALUES
    return found


def recarray() -> Any:
    return np.rec.fromarrays([VALUES, VALUES], names="a,b")


REFUSED = [
    Kind("masked", lambda: np.ma.masked_array(VALUES, [0, 1, 0]), says=("numpy.ma.MaskedArray", "x.filled(")),
    Kind("masked without a mask", lambda: np.ma.masked_array(VALUES), says=("numpy.ma.MaskedArray", "x.filled(")),
    Kind("np.ma.masked", lambda: np.ma.masked, says=("MaskedConstant", "x.filled(")),
    Kind("matrix", lambda: np.asmatrix(np.diag(VALUES)), says=("numpy.matrix", "np.asarray(x)")),
    Kind("subclass", lambda: VALUES.view(Own), says=("Own", "np.asarray(x)")),
    Kind("subclass with ufuncs", lambda: VALUES.view(WithUnits), says=("WithUnits", "np.asarray(x)")),
    Kind("recarray", recarray, says=("numpy.rec.recarray", "np.asarray(x['a'])")),
    Kind("only __array__", OnlyArray, says=("OnlyArray", "np.asarray(x)")),
    Kind("interval", lambda: Interval(VALUES - 1, VALUES + 2), says=("Interval", "np.asarray(x)")),
    Kind("on another device", lambda: OnDevice(VALUES, (2, 0)), says=("OnDevice", "device (2, 0)", "x.cpu()")),
    Kind("needs a gradient", lambda: NeedsGradient(VALUES), says=("NeedsGradient", "detach()")),
    Kind("Series with NA", lambda: pd.Series([1.0, None, 3.0], dtype="Float64"), says=("Series", "x.to_numpy(")),
    Kind("Series of Int64", lambda: pd.Series([1, 2, 3], dtype="Int64"), says=("Series", "Int64", "x.to_numpy(")),
    Kind("Series of objects", lambda: pd.Series([1.0, "a", 2.0]), says=("Series", "object", "x.to_numpy(")),
    Kind("extension array", lambda: pd.array([1.0, None, 3.0], dtype="Float64"), says=("FloatingArray", "x.to_numpy(")),
    Kind("Index", lambda: pd.Index(VALUES), says=("Index", "x.to_numpy(")),
    Kind(
        "DataFrame with NA",
        lambda: pd.DataFrame({"a": VALUES, "b": pd.array([1, None, 2], dtype="Int64")}),
        says=("DataFrame", "column 'b'", "Int64", "x.to_numpy("),
    ),
    Kind("list of masked", lambda: [np.ma.masked_array(1.0, True), 2.0, 3.0], says=("numpy.ma.MaskedArray", "[0]")),
    Kind("object", object, says=("object", "Pass a NumPy array")),
]
FRAME = pd.DataFrame({"a": VALUES, "b": 2 * VALUES, "c": np.arange(3.0)}, index=[7, 3, 5])
TAKEN = [
    Kind("array", VALUES.copy, VALUES),
    Kind("memmap", memmap, VALUES),
    Kind("NumPy scalar", lambda: np.float64(2.0), 2.0),
    Kind("longdouble", lambda: np.longdouble(2.0), np.longdouble(2.0)),
    Kind("float", lambda: 2.0, 2.0),
    Kind("DLPack on the CPU", lambda: OnDevice(VALUES), VALUES),
    Kind("Series", lambda: pd.Series(VALUES, index=[2, 1, 0]), VALUES),
    Kind("DataFrame", lambda: FRAME, FRAME.to_numpy()),
]
ALL = [*TAKEN, *REFUSED]


def result_or_refusal(kind: Kind, place: Callable[[Any], Any], expected: Callable[[Any], Any]) -> None:
    """The place gives what NumPy gives for the values, or refuses the kind by name with the remedy."""
    if kind.values is None:
        with pytest.raises(TypeError) as caught:
            place(kind.make())
        # NumPy has words of its own for the exponent of a matrix, and keeps ours as their cause.
        error = caught.value if isinstance(caught.value, TapeError) else caught.value.__cause__
        assert isinstance(error, TapeError) and all(words in str(error) for words in kind.says), error
        return
    np.testing.assert_allclose(np.asarray(place(kind.make()), float), np.asarray(expected(kind.values), float))


# As an argument ---------------------------------------------------------------------------------------------------


def quadratic(x: Any) -> Any:
    return np.sum(x * x)


def ones(x: Any) -> Any:
    """A direction in which such an argument can move."""
    return np.ones(FRAME.shape if isinstance(x, pd.DataFrame) else () if np.isscalar(x) else (3,))


def in_a_do_program(x: Any) -> Any:
    @tm.do
    def program() -> Any:
        leaf = yield tm.leaf(x)
        total = yield tm.sum(leaf * leaf)
        gradients = yield tm.backward_scalar(total)
        return gradients[leaf]

    return program().eval()


def on_a_tape(x: Any) -> Any:
    leaf, tape = tm.Tape().leaf(x)
    y, tape = tape.record(tm.square, leaf)
    return tape.backward(y, np.ones(y.shape))[leaf]


def as_parameters(x: Any) -> Any:
    return tm.model.grad_params(lambda params, x: params * x, lambda y, t: np.sum(y * y) / 2 * t, x, np.sqrt(2.0), 1.0)


ARGUMENTS: dict[str, Callable[[Any], Any]] = {
    "grad": tm.grad(quadratic),
    "value_and_grad": lambda x: tm.value_and_grad(quadratic)(x)[1],
    "vjp": lambda x: tm.vjp(quadratic, x)[1](1.0)[0],
    "jacrev": tm.jacrev(quadratic),
    "jacfwd": tm.jacfwd(quadratic),
    "linearize": lambda x: tm.grad(lambda t: tm.linearize(quadratic, x)[1](t))(ones(x)),
    "jvp": lambda x: tm.grad(lambda t: tm.jvp(quadratic, (x,), (t,))[1])(ones(x)),
    "hvp": lambda x: tm.hvp(lambda x: np.sum(x * x * x) / 3, (x,), (ones(x),)),
    "hessian": lambda x: tm.grad(lambda t: np.sum(tm.hessian(quadratic)(x) * t))(0.0) * ones(x),
    "custom_vjp": tm.grad(tm.custom_vjp(lambda x: (quadratic(x), x), lambda x, g: (2 * g * x,))),
    "custom_jvp": tm.grad(tm.custom_jvp(quadratic, lambda x, t: (quadratic(*x), np.sum(2 * x[0] * t[0])))),
    "checkpoint": tm.grad(tm.checkpoint(quadratic)),
    "rrule": lambda x: tm.rrule(tm.square, x)[1](ones(x))[1],
    "frule": lambda x: tm.frule((tm.NO_FIELDS, ones(x)), tm.square, x)[1],
    "tape.leaf": on_a_tape,
    "do program": in_a_do_program,
    "ravel": lambda x: np.reshape(2 * tm.ravel(x)[0], ones(x).shape),
    "parameters": as_parameters,
}
ARRAYS = [kind for kind in ALL if kind.name != "list of masked"]  # a list of arguments is a tree of them


@pytest.mark.parametrize("place", ARGUMENTS)
@pytest.mark.parametrize("kind", ARRAYS, ids=str)
def test_as_an_argument(kind: Kind, place: str) -> None:
    factor = 2 * np.size(kind.values) if place == "hessian" else 2
    result_or_refusal(kind, ARGUMENTS[place], lambda x: factor * (np.ones_like(x) if place == "hessian" else x))


MAPPED: dict[str, Callable[[Any], Any]] = {
    "vmap": tm.vmap(lambda row: row * 2.0),
    "vmap of grad": tm.vmap(tm.grad(lambda row: np.sum(row * row))),
    "scan": lambda x: tm.scan(lambda carry, row: (carry, row * 2.0), 0.0, x)[1],
}


@pytest.mark.parametrize("place", MAPPED)
@pytest.mark.parametrize("kind", [kind for kind in ARRAYS if np.ndim(kind.values) or kind in REFUSED], ids=str)
def test_as_a_mapped_argument(kind: Kind, place: str) -> None:
    result_or_refusal(kind, MAPPED[place], lambda x: 2 * x)


@pytest.mark.parametrize("kind", ARRAYS, ids=str)
def test_as_a_direction_and_a_cotangent(kind: Kind) -> None:
    at = np.ones(np.shape(kind.values) if kind.values is not None else (3,))
    _, pullback = tm.vjp(lambda x: 2 * x, at)
    leaf, tape = tm.Tape().leaf(at)
    y, tape = tape.record(tm.scale, leaf, 2.0)
    result_or_refusal(kind, lambda ct: pullback(ct)[0], lambda x: 2 * x)
    result_or_refusal(kind, lambda t: tm.jvp(lambda x: 2 * x, (at,), (t,))[1], lambda x: 2 * x)
    result_or_refusal(
        kind,
        lambda ct: tape.backward(y, ct)[leaf] if np.ndim(ct) == 0 else tape.backward([y], [ct])[leaf],
        lambda x: 2 * x,
    )
    result_or_refusal(kind, lambda ct: tm.rrule(tm.scale, at, 2.0)[1](ct)[1], lambda x: 2 * x)


# As a constant ------------------------------------------------------------------------------------------------------

OPERATORS = [
    operator.add, operator.sub, operator.mul, operator.truediv, operator.pow, operator.mod, operator.floordiv,
    operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne, operator.matmul,
]  # fmt: skip


def differentiated(f: Callable[[Any], Any]) -> Any:
    """The value of f at W, as it is while f is differentiated."""
    return tm.vjp(f, W)[0]


def stepwise(f: Callable[[Any], Any]) -> Any:
    """The value of f at W, as a step on a tape."""
    ref, tape = tm.Tape().leaf(W)
    out, tape = f(ref).run(tape)
    return tape.value(out)


def batched(f: Callable[[Any], Any]) -> Any:
    """The value of f at W, as one example of a batch."""
    return tm.vmap(f)(np.stack([W, W]))[0]


def of_a_batch(f: Callable[[Any], Any]) -> Any:
    """The value of f at W, where f is differentiated inside of a batch."""
    return tm.vmap(lambda w: tm.vjp(f, w)[0])(np.stack([W, W]))[0]


DOORS = [differentiated, batched, of_a_batch, stepwise]


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
@pytest.mark.parametrize("operate", OPERATORS, ids=lambda operate: operate.__name__)
@pytest.mark.parametrize("kind", ALL, ids=str)
def test_on_either_side_of_an_operator(kind: Kind, operate: Any, door: Any) -> None:
    if operate in (operator.eq, operator.ne) and door is stepwise:
        assert type(operate(tm.Tape().leaf(W)[0], kind.make())) is not np.ndarray  # Refs are compared as handles
        return
    if operate is operator.matmul and np.ndim(kind.values) == 0 and kind in TAKEN:
        return  # a scalar has no product of matrices, of whatever kind it is
    left = kind
    if operate is operator.matmul and isinstance(kind.make(), pd.Series | pd.DataFrame):
        left = Kind(kind.name, kind.make, says=(type(kind.make()).__name__, "Pass x.to_numpy()"))  # pandas decides
    with np.errstate(all="ignore"):
        result_or_refusal(kind, lambda c: door(lambda w: operate(w, c)), lambda c: operate(W, c))
        result_or_refusal(left, lambda c: door(lambda w: operate(c, w)), lambda c: operate(c, W))


FUNCTIONS: dict[str, Callable[[Any, Any], Any]] = {
    "np.multiply": lambda w, c: np.multiply(w, c),
    "np.multiply, left": lambda w, c: np.multiply(c, w),
    "np.dot": lambda w, c: np.dot(w, c),
    "np.dot, left": lambda w, c: np.dot(c, w),
    "np.where": lambda w, c: np.where(w > 0, c, w),
    "np.where, the condition": lambda w, c: np.where(c, w, 0.0),
    "np.stack": lambda w, c: np.stack([w, c]),
    "np.maximum": lambda w, c: np.maximum(c, w),
    "np.einsum": lambda w, c: np.einsum("...i,...i->...", c, w),
    "np.trapezoid": lambda w, c: np.trapezoid(w, dx=1.0) + np.sum(np.clip(w, None, c)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("kind", ALL, ids=str)
def test_as_an_argument_of_a_numpy_function(kind: Kind, name: str) -> None:
    if kind in TAKEN and np.shape(kind.values) not in {"np.einsum": [(3,), (3, 3)], "np.stack": [(3,)]}.get(
        name, [np.shape(kind.values)]
    ):
        return  # a shape that the function does not take, of whatever kind
    result_or_refusal(kind, lambda c: differentiated(lambda w: FUNCTIONS[name](w, c)), lambda c: FUNCTIONS[name](W, c))


OPS: dict[str, Callable[[Any], Any]] = {
    "an op of arrays": lambda c: tm.mul(W, c),
    "an op of arrays, left": lambda c: tm.mul(c, W),
    "tape.record": lambda c: recorded(tm.mul, W, c),
    "tape.record, left": lambda c: recorded(lambda w, c: tm.mul(c, w), W, c),
    "an op of a tracer": lambda c: differentiated(lambda w: tm.mul(w, c)),
    "a step in a program": lambda c: program_with(c),
    "detach": lambda c: W * tm.detach(c),
    "cond": lambda c: differentiated(lambda w: tm.cond(True, lambda x: w * x, lambda x: w, c)),
    "while_loop": lambda c: differentiated(
        lambda w: tm.while_loop(lambda s: s[0] < 1, lambda s: (s[0] + 1, s[1] * c), (0, w))[1]
    ),
    "while_loop in a batch": lambda c: batched(
        lambda w: tm.while_loop(lambda s: s[0] < 1, lambda s: (s[0] + 1, s[1] * c), (0.0 * np.sum(w), w))[1]
    ),
    "checkpoint": lambda c: differentiated(tm.checkpoint(lambda w: w * c)),
    "a constant argument of a custom function": lambda c: differentiated(lambda w: product(w, c)),
    "grad of another argument": lambda c: tm.grad(lambda w, c: np.sum(w * c + 0 * w))(W, c) * W,
    "an unmapped argument": lambda c: tm.vmap(lambda w, c: w * c, in_axes=(0, None))(np.stack([W, W]), c)[0],
}


def recorded(op: Any, *operands: Any) -> Any:
    ref, tape = tm.Tape().leaf(operands[0])
    out, tape = tape.record(op, ref, *operands[1:])
    return tape.value(out)


def program_with(c: Any) -> Any:
    @tm.do
    def program() -> Any:
        w = yield tm.leaf(W)
        y = yield c * w
        tape = yield tm.get_tape()
        return tape.value(y)

    return program().eval()


@tm.custom_vjp
def product(w: Any, c: Any) -> Any:
    return w * c


product.defvjp(lambda w, c: (w * c, (w, c)), lambda kept, g: (g * kept[1], None))


@pytest.mark.parametrize("place", OPS)
@pytest.mark.parametrize("kind", [kind for kind in ARRAYS if kind.name not in ("DataFrame", "longdouble")], ids=str)
def test_as_a_constant(kind: Kind, place: str) -> None:
    result_or_refusal(kind, OPS[place], lambda c: c * W)


@pytest.mark.parametrize("kind", ARRAYS, ids=str)
def test_as_a_constant_output_of_a_batch(kind: Kind) -> None:
    result_or_refusal(kind, lambda c: tm.vmap(lambda w: c)(np.ones(2))[1], lambda c: c)
