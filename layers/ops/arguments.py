"""Checks of numbers that are arguments of ops and of layers, so that both report a wrong number in the same words."""

from __future__ import annotations

from typing import Any

import numpy as np

from tapem import ArgumentError, DTypeError


def is_integer(value: Any) -> bool:
    """Whether a value is an integer, and not a bool.

    >>> is_integer(3), is_integer(np.int64(3)), is_integer(3.0), is_integer(True)
    (True, True, False, False)
    """
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Whether a value is a real number, and not a bool.

    >>> is_number(3), is_number(np.float32(3)), is_number("3"), is_number(True)
    (True, True, False, False)
    """
    return isinstance(value, float | np.floating) or is_integer(value)


def check_count(caller: str, name: str, value: Any, least: int = 1) -> None:
    """Raise ArgumentError for a size that is not an integer of at least `least`; `caller` is the name shown in errors.

    >>> check_count("Linear", "in_features", 0)
    Traceback (most recent call last):
    tapem.errors.ArgumentError: Linear: in_features is 0, but must be an integer of at least 1.
    """
    if not is_integer(value) or value < least:
        raise ArgumentError(f"{caller}: {name} is {value!r}, but must be an integer of at least {least}.")


def check_real(caller: str, **tensors: Any) -> None:
    """Raise DTypeError for a complex tensor, by its name: no layer has a meaning for it.

    >>> check_real("Tanh()", x=np.ones(2, complex))
    Traceback (most recent call last):
    tapem.errors.DTypeError: Tanh(): x is complex128, but layers take real numbers only. Give its parts, x.real and ...
    """
    for name, tensor in tensors.items():
        if np.iscomplexobj(tensor):
            dtype = getattr(tensor, "dtype", "complex")
            raise DTypeError(
                f"{caller}: {name} is {dtype}, but layers take real numbers only. Give its parts, {name}.real and "
                f"{name}.imag, or np.abs({name})."
            )


__all__ = ["check_count", "check_real", "is_integer", "is_number"]
