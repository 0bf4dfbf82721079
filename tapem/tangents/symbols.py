"""Tangents that are not arrays: the base of them all, and the symbols, which cost nothing."""

from collections.abc import Callable
from typing import Any, TypeAlias, final

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from tapem.errors import TangentError
from tapem.foreign import NoArray

# A number, an array, a tracer, a tangent or, beside a Composite, its primal: told apart as the program runs.
Operand: TypeAlias = Any
Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

ALGEBRA: dict[np.ufunc, Callable[..., Operand]] = {}
"""What NumPy's ufuncs, and so Python's operators, mean where a tangent is an operand: tapem.tangents.algebra tells."""


class Tangent(NDArrayOperatorsMixin, NoArray):
    """Base of the tangents that are not arrays: NumPy's mixin makes ufuncs of operators, the algebra answers them."""

    __slots__ = ()

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Operand, **kwargs: Operand) -> Operand:
        """Apply the algebra if `ufunc` belongs to it; if not, NumPy raises a TypeError that names the operands."""
        if ufunc not in ALGEBRA or method != "__call__" or kwargs.keys() - {"out"}:
            return NotImplemented
        out: tuple[Operand, ...] = kwargs.get("out", ())
        result = ALGEBRA[ufunc](*inputs)
        if not out or isinstance(out[0], Tangent):  # `tangent += x`: it is immutable, so Python rebinds the name
            return result
        # `array += tangent`: whoever else holds the array must see the sum in it.
        np.copyto(out[0], extern(result), casting="same_kind")
        return out[0]

    def __array__(self, dtype: Operand = None, copy: bool | None = None) -> Array:
        """Refuse to become an array: an object array would hide a mistake."""
        raise TangentError(f"{self!r} has no shape or dtype, so it cannot become an array; add it to one instead")

    # What a Composite has besides its fields has a dunder name, because no field of a primal is called so.

    def __extern__(self) -> Operand:
        """Give the plain value, for `extern`."""
        raise TangentError(f"{self!r} has no value: it marks a perturbation that has no meaning")

    def __described__(self) -> str:
        """Say what this is, for `described`."""
        return type(self).__name__


def extern(x: Operand) -> Operand:
    """Plain value of a tangent: all thunks evaluated, a Composite turned into a value of its primal type.

    Zero and One become 0 and 1, which promote nothing, as ChainRulesCore makes them `false` and `true`. The result may
    share memory with `x`. For tests and for looking: `+` and `unthunk` do for the rest.

    Raises TangentError for DoesNotExist, which has no value.

    >>> extern(Zero()), extern(tm.Composite(tuple, tm.thunk(2.0), Zero(), One()))
    (0, (2.0, 0, 1))
    """
    return x.__extern__() if isinstance(x, Tangent) else x


class Symbol(Tangent):
    """Base of the tangents that have one instance, so that `x is Zero()` and `type(x) is Zero` say the same."""

    __slots__ = ()

    def __hash__(self) -> int:
        """Hash by identity, as equality compares."""
        return object.__hash__(self)

    def __reduce__(self) -> tuple[type["Symbol"], tuple[()]]:
        """Copy and unpickle to the one instance."""
        return type(self), ()

    def __repr__(self) -> str:
        """Show as it is written."""
        return f"{type(self).__name__}()"


class AbstractZero(Symbol):
    """Zero or DoesNotExist: a rule that receives nothing else need not run, for every rule is linear."""

    __slots__ = ()

    def __bool__(self) -> bool:
        """Be false, as the number 0 is."""
        return False


@final
class Zero(AbstractZero):
    """Additive identity of every space of tangents: it adds nothing, and times anything it is Zero, at no cost.

    Later ChainRulesCore calls it ZeroTangent.

    >>> np.ones(2) + Zero(), Zero() * np.ones(2)
    (array([1., 1.]), Zero())
    """

    __slots__ = ()

    def __new__(cls) -> "Zero":
        """Return the one instance."""
        return _ZERO

    def __extern__(self) -> Operand:
        return 0


@final
class DoesNotExist(AbstractZero):
    """Tangent of what cannot be perturbed, such as an index or a shape: it does as Zero does, and says why.

    It does not say that a derivative is not implemented. Later ChainRulesCore calls it NoTangent, and settled that
    DoesNotExist + Zero is DoesNotExist while DoesNotExist * Zero is Zero, so that a product can select.

    >>> 3.0 + DoesNotExist(), 3.0 * DoesNotExist(), DoesNotExist() + Zero(), DoesNotExist() * Zero()
    (3.0, DoesNotExist(), DoesNotExist(), Zero())
    """

    __slots__ = ()

    def __new__(cls) -> "DoesNotExist":
        """Return the one instance."""
        return _DOES_NOT_EXIST


@final
class One(Symbol):
    """Multiplicative identity: the number 1, which changes no dtype.

    Later ChainRulesCore uses Julia's `true` instead; Python's `True` is not such a number, so One stays.

    >>> np.float32(2) * One(), One() + One()
    (np.float32(2.0), 2)
    """

    __slots__ = ()

    def __new__(cls) -> "One":
        """Return the one instance."""
        return _ONE

    def __extern__(self) -> Operand:
        return 1


# Made here and not by the first call, so that two threads cannot make two.
_ZERO, _DOES_NOT_EXIST, _ONE = object.__new__(Zero), object.__new__(DoesNotExist), object.__new__(One)
ZeroTangent, NoTangent = Zero, DoesNotExist
NO_FIELDS = _ZERO  # the tangent of an op itself, which has no fields that could vary


def described(x: Operand) -> str:
    """What an operand is, in a message.

    >>> described(np.ones(3)), described(Zero())
    ('ndarray of shape (3,)', 'Zero')
    """
    if isinstance(x, Tangent):
        return x.__described__()
    name, shape = type(x).__name__, getattr(x, "shape", None)
    return f"{name} of {len(x)}" if type(x) in (tuple, list) else name if shape is None else f"{name} of shape {shape}"
