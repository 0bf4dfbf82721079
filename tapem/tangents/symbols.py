"""Tangents that are not arrays: the base of them all, and the symbols, which cost nothing."""

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias, final

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from tapem.errors import TangentError
from tapem.types import NoArray

# A number, an array, a tracer, a tangent or, beside a Composite, its primal: told apart as the program runs.
Operand: TypeAlias = Any
Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

ALGEBRA: dict[Any, Callable[..., Operand]] = {}
"""What NumPy's ufuncs, and so Python's operators, mean where a tangent is an operand, and what its functions mean.

A method of a ufunc is found by the pair of both. tapem.tangents.algebra and tapem.tangents.functions tell.
"""


class Tangent(NDArrayOperatorsMixin, NoArray):
    """Base of the tangents that are not arrays: NumPy's mixin makes ufuncs of operators, the algebra answers them."""

    __slots__ = ()

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Operand, **kwargs: Operand) -> Operand:
        """Apply the algebra if `ufunc` belongs to it; TangentError if not."""
        meaning = ALGEBRA.get(ufunc if method == "__call__" else (ufunc, method))
        if meaning is None or (method == "__call__" and kwargs.keys() - {"out"}):
            return self.__other_ufunc__(ufunc, method, *inputs, **kwargs)
        if method != "__call__":
            return meaning(*inputs, **kwargs)
        out: tuple[Operand, ...] = kwargs.get("out", ())
        result = meaning(*inputs)
        if not out or isinstance(out[0], Tangent):  # `tangent += x`: it is immutable, so Python rebinds the name
            return result
        # `array += tangent`: whoever else holds the array must see the sum in it.
        np.copyto(out[0], extern(result), casting="same_kind")
        return out[0]

    def __other_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Operand, **kwargs: Operand) -> Operand:
        """Refuse what the algebra does not know."""
        raise unanswered(ufunc, (*inputs, *kwargs.get("out", ())))

    def __array_function__(
        self,
        function: Callable[..., Operand],
        types: object,
        arguments: tuple[Operand, ...],
        options: Mapping[str, Operand],
    ) -> Operand:
        """Apply what the algebra knows of a NumPy function; TangentError for one of which it knows nothing."""
        meaning = ALGEBRA.get(function)
        if meaning is None:
            raise unanswered(function, arguments)
        return meaning(*arguments, **options)

    def __float__(self) -> float:
        """The value as a Python number; so with int and complex."""
        return float(extern(self))

    def __int__(self) -> int:
        return int(extern(self))

    def __complex__(self) -> complex:
        return complex(extern(self))

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
    """Base of the tangents that have one instance, so that `x is Zero()` and `type(x) is Zero` say the same.

    A symbol has the methods of an array, as far as NumPy's functions of these names have a meaning for it.

    >>> Zero().T, Zero().sum(axis=0), One()[0], np.dot(Zero(), np.ones(2))
    (Zero(), Zero(), One(), Zero())
    """

    __slots__ = ()

    def __getattr__(self, name: str) -> Operand:
        """A method or attribute of an array, by NumPy's function; AttributeError for what has none, such as a shape."""
        function = METHODS.get(name)
        if function is None:
            raise AttributeError(f"{self!r} has no {name}: it stands for an array of any shape. Ask its primal.")
        meaning = functools.partial(ALGEBRA[function], self)
        return meaning() if name in PROPERTIES else meaning

    def __getitem__(self, index: Operand) -> "Symbol":
        """Any part of it is the same."""
        return self

    def __iter__(self) -> Iterator[Operand]:
        """Refuse: it does not know how many parts it has."""
        raise unanswered(iter, (self,))

    def item(self) -> Operand:
        """The value as a Python number."""
        return extern(self)

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


PROPERTIES = frozenset({"T", "mT", "real", "imag"})
METHODS: dict[str, Callable[..., Operand]] = {
    **{"T": np.transpose, "mT": np.matrix_transpose, "conj": np.conjugate, "flatten": np.ravel},
    **{name: getattr(np, name) for name in "conjugate real imag astype copy ravel reshape transpose swapaxes".split()},
    **{name: getattr(np, name) for name in "squeeze take compress diagonal repeat dot trace round".split()},
    **{name: getattr(np, name) for name in "sum mean max min prod var std cumsum cumprod".split()},
}
"""The methods and attributes of an array that a tangent answers, by the functions that say what they mean."""


def leaves(values: Iterable[Operand]) -> list[Operand]:
    """The values, those in lists and tuples among them.

    >>> leaves([1, [2, (3,)]])
    [1, 2, 3]
    """
    return [x for value in values for x in (leaves(value) if type(value) in (list, tuple) else [value])]


def unanswered(function: Callable[..., Operand], operands: Sequence[Operand]) -> TangentError:
    """The error for a function that has no meaning for these tangents."""
    module = str(getattr(function, "__module__", None) or "numpy").replace("numpy", "np", 1)
    name = function.__name__ if module == "builtins" else f"{module}.{function.__name__}"
    given = ", ".join(map(described, leaves(operands)))
    return TangentError(
        f"{name}({given}) has no meaning: what a rule does with a tangent is linear in it, and a symbol has no shape. "
        "Where zeros of a shape are needed, write np.zeros_like(x) with the primal x."
    )


def described(x: Operand) -> str:
    """What an operand is, in a message.

    >>> described(np.ones(3)), described(Zero())
    ('ndarray of shape (3,)', 'Zero')
    """
    if isinstance(x, Tangent):
        return x.__described__()
    name, shape = type(x).__name__, getattr(x, "shape", None)
    return f"{name} of {len(x)}" if type(x) in (tuple, list) else name if shape is None else f"{name} of shape {shape}"
