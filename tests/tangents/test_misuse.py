"""What is said where an operation on tangents has no meaning."""

from collections.abc import Callable

import numpy as np
import pytest

from tapem.errors import MutationError, TapeError
from tapem.tangents import (
    Composite,
    FieldError,
    InplaceableThunk,
    TangentError,
    Thunk,
    accumulate,
    add,
    extern,
    multiply,
    thunk,
)

from .operands import (
    A,
    Affine,
    C,
    D,
    I,
    Point,
    T,
    array,
    c,
    instance,
    pair,
    three,
)

MISUSE: list[tuple[Callable[[], object], type[TapeError], str]] = [
    (lambda: Composite(Point, z=1.0), FieldError, "Point has no field 'z'; its fields are x, y"),
    (lambda: Composite(Affine, size=1.0), FieldError, "Affine has no field 'size'; its fields are weight, bias"),
    (lambda: Composite(Point).z, FieldError, "Point has no field 'z'; its fields are x, y"),
    (lambda: Composite(Point)["z"], FieldError, "Point has no field 'z'; its fields are x, y"),
    (lambda: Composite(Point)[2], FieldError, "Point has no field 2; its fields are x, y"),
    (lambda: C[2], FieldError, "tuple has no field 2"),
    (lambda: C.x, FieldError, "tuple has no field 'x'"),
    (lambda: {"w": 1.0} + Composite(dict, b=1.0), FieldError, "dict has no field 'b'"),
    (lambda: C + Composite(list, 1.0), TangentError, "Composite(tuple) of 2 + Composite(list) of 1 has no meaning"),
    (lambda: C + Composite(Point), TangentError, "Composite(tuple) of 2 + Composite(Point) of 2 has no meaning"),
    (lambda: C + c(1), TangentError, "Composite(tuple) of 2 + Composite(tuple) of 1 has no meaning"),
    (lambda: c(1) + pair, TangentError, "tuple of 2 + Composite(tuple) of 1 has no meaning"),
    (lambda: list(pair) + C, TangentError, "list of 2 + Composite(tuple) of 2 has no meaning"),
    (lambda: Point(1.0, 2.0) + C, TangentError, "Point + Composite(tuple) of 2 has no meaning"),
    (lambda: C * np.ones(2), TangentError, "Composite(tuple) of 2 * ndarray of shape (2,) has no meaning"),
    (lambda: C @ 2.0, TangentError, "Composite(tuple) of 2 @ float has no meaning"),
    (lambda: C * C, TangentError, "Composite(tuple) of 2 * Composite(tuple) of 2 has no meaning"),
    (lambda: C + I, TangentError, "One + Composite(tuple) of 2 has no meaning"),
    (lambda: C - pair, TangentError, "Composite(tuple) of 2 - tuple of 2 has no meaning"),
    (lambda: thunk(C) - pair, TangentError, "Composite(tuple) of 2 - tuple of 2 has no meaning"),
    (lambda: add(pair, pair), TangentError, "tuple of 2 + tuple of 2 has no meaning"),
    (lambda: add(thunk([1.0]), [2.0]), TangentError, "list of 1 + list of 1 has no meaning"),
    (lambda: add(Point(1.0, 2.0), Point(1.0, 2.0)), TangentError, "Point + Point has no meaning"),
    (lambda: thunk(pair) + A, TangentError, "tuple of 2 + ndarray of shape (2,) has no meaning"),
    (lambda: multiply(thunk([1.0]), 2), TangentError, "list of 1 * int has no meaning"),
    (lambda: Composite(Point, 1.0), TangentError, "Composite(Point, ...): a tuple or list takes its elements by pos"),
    (lambda: Composite(tuple, x=1.0), TangentError, "Composite(tuple, ...): a tuple or list takes its elements by"),
    (lambda: Composite(dict, 1.0), TangentError, "a dict its values by name or in one mapping"),
    (lambda: Composite(float), TangentError, "Composite(float, ...): a tuple or list takes its elements by position"),
    (lambda: Composite(pair), TangentError, "Composite takes the type of its primal first, not (1.0, 2.0)"),
    (lambda: Composite(instance, weight=1.0), TangentError, "Composite takes the type of its primal first"),
    (lambda: setattr(Composite(Point), "x", 1.0), MutationError, "Composite(Point) of 2 is immutable: 'x'"),
    (lambda: delattr(Composite(Point), "x"), MutationError, "Composite(Point) of 2 is immutable: 'x'"),
    (lambda: Thunk(three), TangentError, "Thunk takes a function of no arguments, not int"),
    (lambda: InplaceableThunk(three, np.copy), TangentError, "InplaceableThunk takes a function of no arguments"),
    (lambda: InplaceableThunk(T, array), TangentError, "adds into an array, not ndarray of shape (2,)"),
    (lambda: accumulate(array, InplaceableThunk(T, np.copy)), TangentError, "must return the array it was given"),
    (lambda: extern(D), TangentError, "DoesNotExist() has no value"),
    (lambda: extern(Composite(tuple, D)), TangentError, "DoesNotExist() has no value"),
]


@pytest.mark.parametrize(("misuse", "error", "message"), MISUSE)
def test_misuse_is_a_clear_error(misuse: Callable[[], object], error: type[TapeError], message: str) -> None:
    with pytest.raises(error) as caught:
        misuse()
    assert message in str(caught.value)


def test_missing_fields_behave_as_python_expects() -> None:
    assert not hasattr(Composite(Point), "z") and getattr(C, "x", None) is None
    assert issubclass(FieldError, AttributeError) and issubclass(FieldError, LookupError)
    assert issubclass(TangentError, TypeError) and issubclass(TangentError, TapeError)
    with pytest.raises(TypeError):
        C[0] = 1.0  # type: ignore[index]
