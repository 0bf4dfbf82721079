"""Refusals of signatures: every message, word for word."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from jaxtyping import Bool, Float, Float32, Float64, Int, Real, Shaped

from tapem.types import Signature, Tensor

from .signatures import (
    Eigen,
    chunks,
    eigen,
    f32,
    halves,
    linear,
    masked,
    message,
    stack,
)


def test_axis_conflict() -> None:
    labels = ["node 0 'w1'", "node 1 'b1'", "node 7"]
    assert message(linear, [f32(128, 784), f32(128), f32(32, 64)], labels=labels) == (
        "ShapeError: linear(weight, bias, x): axis 'in' is 784 in weight (128, 784) but 64 in x (32, 64)\n"
        "  weight: Float[Tensor, \"out in\"]     f32[128,784]  node 0 'w1'\n"
        "  bias:   Float[Tensor, \"out\"]        f32[128]      node 1 'b1'\n"
        '  x:      Float[Tensor, "*batch in"]  f32[32,64]    node 7'
    )


def test_a_transposition_is_advised_only_where_it_fits() -> None:
    assert message(linear, [f32(784, 128), f32(128), f32(32, 784)]) == (
        "ShapeError: linear(weight, bias, x): axis 'out' is 784 in weight (784, 128) but 128 in bias (128,)\n"
        '  weight: Float[Tensor, "out in"]     f32[784,128]\n'
        '  bias:   Float[Tensor, "out"]        f32[128]\n'
        '  x:      Float[Tensor, "*batch in"]  f32[32,784]\n'
        "  hint: transpose weight: weight.T fits"
    )
    text = message(linear, [f32(4, 3), f32(4), f32(2, 3, 5)], labels=["node 0"])
    assert text.splitlines()[1:] == [
        '  weight: Float[Tensor, "out in"]     f32[4,3]    node 0',
        '  bias:   Float[Tensor, "out"]        f32[4]',
        '  x:      Float[Tensor, "*batch in"]  f32[2,3,5]',
        "  hint: transpose x: np.swapaxes(x, -1, -2) fits",
    ]


def test_one_axis_twice_in_one_operand() -> None:
    assert message(eigen, [f32(3, 4)]) == (
        "ShapeError: eigen(x): axis 'n' is both 3 and 4 in x (3, 4)\n"  #
        '  x: Float[Tensor, "n n"]  f32[3,4]'
    )


def test_fixed_size() -> None:
    def rgb(x: Float[Tensor, "*b 3 rows=8 w"]) -> Float[Tensor, "..."]: ...

    assert message(rgb, [f32(9, 4, 8, 5)]) == (
        "ShapeError: rgb(x): axis -3 of x (9, 4, 8, 5) must be 3 but is 4\n"
        '  x: Float[Tensor, "*b 3 rows=8 w"]  f32[9,4,8,5]'
    )
    assert message(rgb, [f32(3, 7, 5)]).startswith("ShapeError: rgb(x): axis -2 of x (3, 7, 5) must be 8 but is 7\n")


def test_rank() -> None:
    assert message(linear, [f32(4, 3), f32(4, 1), f32(3)]) == (
        "ShapeError: linear(weight, bias, x): bias must have 1 axis but has 2: (4, 1)\n"
        '  weight: Float[Tensor, "out in"]     f32[4,3]\n'
        '  bias:   Float[Tensor, "out"]        f32[4,1]\n'
        '  x:      Float[Tensor, "*batch in"]  f32[3]'
    )
    assert message(linear, [f32(4, 3), f32(4), f32()]).startswith(
        "ShapeError: linear(weight, bias, x): x must have at least 1 axis but has 0: ()\n"
    )

    def scalar(x: Float[Tensor, ""]) -> Float[Tensor, ""]: ...

    assert message(scalar, [f32(3)]) == (
        "ShapeError: scalar(x): x must have 0 axes but has 1: (3,)\n"  #
        '  x: Float[Tensor, ""]  f32[3]'
    )


def test_symbolic_axis() -> None:
    def twice(x: Float[Tensor, "n"], y: Float[Tensor, "2*n"]) -> Float[Tensor, "n+1"]: ...

    assert message(twice, [f32(3), f32(7)]) == (
        "ShapeError: twice(x, y): axis '2*n' of y (7,) must be 6 (n = 3 in x (3,)) but is 7\n"
        '  x: Float[Tensor, "n"]    f32[3]\n'
        '  y: Float[Tensor, "2*n"]  f32[7]'
    )
    assert message(twice, [f32(3), f32(6)], f32(3)) == (
        "ShapeError: twice(x, y): axis 'n+1' of result (3,) must be 4 (n = 3 in x (3,)) but is 3\n"
        '  x:      Float[Tensor, "n"]    f32[3]\n'
        '  y:      Float[Tensor, "2*n"]  f32[6]\n'
        '  result: Float[Tensor, "n+1"]  f32[3]\n'
        "  hint: the inputs fit: the op or its return annotation is wrong"
    )


def test_axis_given_by_a_static_parameter() -> None:
    def split(w: Float[Tensor, "d"], x: Float[Tensor, "{h}*d"], *, h: int) -> Float[Tensor, "{h} d"]: ...

    assert message(split, [f32(3), f32(8)], static={"h": 2}) == (
        "ShapeError: split(w, x): axis '{h}*d' of x (8,) must be 6 (h = 2, d = 3 in w (3,)) but is 8\n"
        '  w: Float[Tensor, "d"]      f32[3]\n'
        '  x: Float[Tensor, "{h}*d"]  f32[8]'
    )
    assert message(split, [f32(3), f32(6)]) == (
        'TapeError: split(w, x): the annotation Float[Tensor, "{h}*d"] of x cannot be evaluated: '
        "Cannot process symbolic axis '{h}*d' as some axis names have not been processed"
    )


def test_batch_axes() -> None:
    def dot(x: Float[Tensor, "*b n"], y: Float[Tensor, "*b n"]) -> Float[Tensor, "*b"]: ...

    assert message(dot, [f32(32, 4, 5), f32(8, 5)]) == (
        "ShapeError: dot(x, y): axes '*b' are (32, 4) in x (32, 4, 5) but (8,) in y (8, 5)\n"
        '  x: Float[Tensor, "*b n"]  f32[32,4,5]\n'
        '  y: Float[Tensor, "*b n"]  f32[8,5]'
    )


def test_axes_that_broadcast() -> None:
    def add(x: Float[Tensor, "*#b"], y: Float[Tensor, "*#b"], z: Float[Tensor, "*#b"]) -> Float[Tensor, "*b"]: ...

    def scale(x: Float[Tensor, "n"], y: Float[Tensor, "#n"], z: Float[Tensor, "#3"]) -> Float[Tensor, "n"]: ...

    Signature.of(add).verify([f32(2, 1), f32(3), f32()], f32(2, 3))
    Signature.of(scale).verify([f32(2), f32(1), f32(1)], f32(2))
    assert message(add, [f32(2, 1), f32(3), f32(4)]).startswith(
        "ShapeError: add(x, y, z): axes '*b' are (2, 3) in x (2, 1) with y (3,) but (4,) in z (4,), "
        "which do not broadcast\n"
    )

    def between(x: Float[Tensor, "*b"], y: Float[Tensor, "*#b"], z: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]: ...

    assert message(between, [f32(), f32(), f32(4)]).startswith(
        "ShapeError: between(x, y, z): axes '*b' are () in x () but (4,) in z (4,)\n"
    )
    assert message(scale, [f32(2), f32(3), f32(1)]).startswith(
        "ShapeError: scale(x, y, z): axis 'n' is 2 in x (2,) but 3 in y (3,)\n"
    )
    assert message(scale, [f32(2), f32(1), f32(2)]).startswith(
        "ShapeError: scale(x, y, z): axis 0 of z (2,) must be 3 or 1 but is 2\n"
    )


def test_dtypes() -> None:
    x = np.ones((2, 3), int)
    assert message(linear, [f32(4, 3), f32(4), x], labels=("node 0", None, None)) == (
        "DTypeError: linear(weight, bias, x): x is int64, where Float is required\n"
        '  weight: Float[Tensor, "out in"]     f32[4,3]  node 0\n'
        '  bias:   Float[Tensor, "out"]        f32[4]\n'
        '  x:      Float[Tensor, "*batch in"]  i64[2,3]\n'
        "  hint: use x.astype(np.float32)"
    )


@pytest.mark.parametrize(
    ("annotation", "x", "complaint", "hint"),
    [
        (Float[Tensor, ""], 2, "int64, where Float", "float(x)"),
        (Float[Tensor, ""], True, "bool, where Float", "float(x)"),
        (Float[Tensor, ""], np.complex64(2), "complex64, where Float", "x.real"),
        (Float64[Tensor, ""], np.float32(2), "float32, where Float64", "x.astype(np.float64)"),
        (Int[Tensor, ""], np.float32(2), "float32, where Int", "x.astype(np.int64)"),
        (Bool[Tensor, ""], np.float32(2), "float32, where Bool", "x.astype(np.bool)"),
        (Float32[Tensor, ""] | Int[Tensor, ""], 2.0, "float64, where Float32 or Int", "int(x)"),
        (Real[Float[Tensor, "n"], ""], np.int64(2), "int64, where Real", "x.astype(np.float64)"),
        (npt.NDArray[np.float32], np.int64(2), "int64, where NDArray[float32]", "x.astype(np.float32)"),
    ],
)
def test_dtype_hints(annotation: Any, x: object, complaint: str, hint: str) -> None:
    def f(x: Any) -> None: ...

    f.__annotations__ = {"x": annotation}
    lines = message(f, [x]).splitlines()
    assert lines[0] == f"DTypeError: f(x): x is {complaint} is required"
    assert lines[-1] == f"  hint: use {hint}"


@pytest.mark.parametrize(
    ("x", "found", "hint"),
    [
        (None, "None", ""),
        ("abc", "of type str", ""),
        ([1.0], "of type list", "\n  hint: use np.asarray(x)"),
        ((1.0, 2.0), "a tuple of 2", ""),
        (np.array([None]), "an array of object", ""),
        (np.array(["a"]), "an array of <U1", ""),
        (np.float32, "an array of <attribute 'dtype' of 'numpy.generic' objects>", ""),
    ],
)
def test_what_is_no_tensor(x: object, found: str, hint: str) -> None:
    expected = (
        f'DTypeError: masked(x, mask): x is {found}, where Float[Tensor, "n"] is required\n'
        f'  x:    Float[Tensor, "n"]        {found}\n'
        f'  mask: Bool[Tensor, "n"] | None  {"None":{len(found)}}'
    )
    assert message(masked, [x, None]) == expected.rstrip() + hint

    def anything(x: Shaped[Tensor, "..."], y: npt.NDArray[Any]) -> None: ...

    expected = f"DTypeError: anything(x, y): y is {found}, where Tensor is required\n"
    assert message(anything, [f32(), x]).startswith(expected)


def test_number_of_inputs() -> None:
    assert message(masked, []) == (
        'TapeError: masked(x: Float[Tensor, "n"], mask: Bool[Tensor, "n"] | None) -> Float[Tensor, "n"]: got 0 tensors'
    )
    assert message(halves, [f32(2), f32(2)]).endswith(": got 2 tensors")
    assert message(linear, [f32(2)]).endswith(": got 1 tensor")


def test_results() -> None:
    assert message(masked, [f32(3)], np.ones(4)) == (
        "ShapeError: masked(x, mask): axis 'n' is 3 in x (3,) but 4 in result (4,)\n"
        '  x:      Float[Tensor, "n"]        f32[3]\n'
        '  mask:   Bool[Tensor, "n"] | None  None\n'
        '  result: Float[Tensor, "n"]        f64[4]\n'
        "  hint: the inputs fit: the op or its return annotation is wrong"
    )
    assert message(halves, [f32(6)], (f32(3), f32(2))) == (
        "ShapeError: halves(x): axis 'n' is 3 in result[0] (3,) but 2 in result[1] (2,)\n"
        '  x:         Float[Tensor, "m"]  f32[6]\n'
        '  result[0]: Float[Tensor, "n"]  f32[3]\n'
        '  result[1]: Float[Tensor, "n"]  f32[2]\n'
        "  hint: the inputs fit: the op or its return annotation is wrong"
    )
    assert message(eigen, [f32(3, 3)], Eigen(np.ones(3), np.ones((3, 2)))).startswith(
        "ShapeError: eigen(x): axis 'n' is 3 in x (3, 3) but 2 in result[1] (3, 2)\n"
    )
    assert message(chunks, [f32(6)], [*[f32(3)] * 49, f32(2)]).startswith(
        "ShapeError: chunks(x): axis 'k' is 3 in result[0] (3,) but 2 in result[49] (2,)\n"
    )
    assert message(halves, [f32(6)], (f32(3),)).splitlines()[0] == (
        'DTypeError: halves(x): result is a tuple of 1, where tuple[Float[Tensor, "n"], Float[Tensor, "n"]] is required'
    )
    assert message(masked, [f32(3)], (f32(3),)).splitlines()[0] == (
        'DTypeError: masked(x, mask): result is a tuple of 1, where Float[Tensor, "n"] is required'
    )


def test_variadic_operands() -> None:
    assert message(stack, [f32(2), f32(2), f32(3)], labels=["node 4", "node 5", "node 6"]) == (
        "ShapeError: stack(*xs): axes '*s' are (2,) in xs[0] (2,) but (3,) in xs[2] (3,)\n"
        '  xs[0]: Float[Tensor, "*s"]  f32[2]  node 4\n'
        '  xs[1]: Float[Tensor, "*s"]  f32[2]  node 5\n'
        '  xs[2]: Float[Tensor, "*s"]  f32[3]  node 6'
    )
    lines = message(stack, [*[f32(2)] * 500, f32(3), *[f32(2)] * 500]).splitlines()
    rows = [f'  {f"xs[{i}]:":9} Float[Tensor, "*s"]  f32[{3 if i == 500 else 2}]' for i in (0, 1, 2, *range(498, 503))]
    assert lines[1:] == [*rows, "  (1001 tensors in all)"]


def test_several_alternatives() -> None:
    def f(x: Float[Tensor, "2"] | Float[Tensor, "a a"] | Int[Tensor, "k"]) -> None: ...

    assert message(f, [f32(3, 4)]) == (
        "ShapeError: f(x): x must have 1 axis but has 2: (3, 4) and axis 'a' is both 3 and 4 in x (3, 4)\n"
        '  x: Float[Tensor, "2"] | Float[Tensor, "a a"] | Int[Tensor, "k"]  f32[3,4]'
    )


def test_an_annotation_that_cannot_be_evaluated() -> None:
    def f(x: Float[Tensor, "n"], y: Float[Tensor, "6//n"]) -> None: ...

    Signature.of(f).verify([f32(2), f32(3)])
    assert message(f, [f32(0), f32(3)]) == (
        'TapeError: f(x, y): the annotation Float[Tensor, "6//n"] of y cannot be evaluated: '
        "integer division or modulo by zero"
    )
