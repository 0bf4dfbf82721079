"""Tangents that are not arrays: their base class, and the symbols, which cost nothing."""

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias, final

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from tapem.errors import NoRuleError, TangentError
from tapem.types import NoArray

# A number, an array, a tracer, a tangent or, beside a Composite, its primal: known only at run time.
Operand: TypeAlias = Any
Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

ALGEBRA: dict[Any, Callable[..., Operand]] = {}
"""The meanings of NumPy's ufuncs (and so of Python's operators) and functions for operands that are tangents.

The key of a ufunc's method is the pair (ufunc, name). tapem.tangents.algebra and tapem.tangents.functions fill it.
"""


class Tangent(NDArrayOperatorsMixin, NoArray):
    """The base of tangents that are not arrays: NumPy's mixin maps operators to ufuncs, the algebra computes them."""

    __slots__ = ()

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Operand, **kwargs: Operand) -> Operand:
        """Apply a ufunc by the algebra. Raises TangentError if the algebra has no meaning for it."""
        meaning = ALGEBRA.get(ufunc if method == "__call__" else (ufunc, method))
        if meaning is None or (method == "__call__" and kwargs.keys() - {"out"}):
            return self.__other_ufunc__(ufunc, method, *inputs, **kwargs)
        if method != "__call__":
            return meaning(*inputs, **kwargs)
        out: tuple[Operand, ...] = kwargs.get("out", ())
        result = meaning(*inputs)
        if not out or isinstance(out[0], Tangent):  # `tangent += x`: it is immutable, so Python rebinds the name
            return result
        # `array += tangent`: the array itself must hold the sum, since others may hold the array.
        np.copyto(out[0], extern(result), casting="same_kind")
        return out[0]

    def __other_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Operand, **kwargs: Operand) -> Operand:
        """Raise TangentError for a ufunc that the algebra does not have."""
        raise unanswered(ufunc, (*inputs, *kwargs.get("out", ())))

    def __array_function__(
        self,
        function: Callable[..., Operand],
        types: object,
        arguments: tuple[Operand, ...],
        options: Mapping[str, Operand],
    ) -> Operand:
        """Apply a NumPy function by the algebra. Raises TangentError if the algebra has no meaning for it."""
        meaning = ALGEBRA.get(function)
        if meaning is None:
            raise unanswered(function, arguments)
        return meaning(*arguments, **options)

    def __float__(self) -> float:
        """The value as a Python number, as for int and complex."""
        return float(extern(self))

    def __int__(self) -> int:
        return int(extern(self))

    def __complex__(self) -> complex:
        return complex(extern(self))

    def __array__(self, dtype: Operand = None, copy: bool | None = None) -> Array:
        """Raise TangentError: NumPy would make an object array, which hides a mistake."""
        raise TangentError(f"{self!r} has no shape or dtype, so it cannot become an array; add it to one instead")

    # These methods have dunder names, so that no field of a Composite has the same name.

    def __extern__(self) -> Operand:
        """The plain value, for `extern`."""
        raise TangentError(f"{self!r} has no value: it marks a perturbation that has no meaning")

    def __described__(self) -> str:
        """The text for `described`."""
        return type(self).__name__


def extern(x: Operand) -> Operand:
    """The plain value of a tangent: all thunks are evaluated, and a Composite becomes a value of its primal type.

    Zero and One become 0 and 1, which promote nothing (ChainRulesCore makes them `false` and `true`). The result may
    share memory with `x`. This is for tests and inspection; elsewhere `+` and `unthunk` are enough.

    Raises TangentError for DoesNotExist, which has no value.

    >>> extern(Zero()), extern(tm.Composite(tuple, tm.thunk(2.0), Zero(), One()))
    (0, (2.0, 0, 1))
    """
    return x.__extern__() if isinstance(x, Tangent) else x


class Symbol(Tangent):
    """The base of tangents that have only one instance, so that `x is Zero()` and `type(x) is Zero` are the same.

    A symbol has those methods of an array that have a meaning for it as NumPy functions.

    >>> Zero().T, Zero().sum(axis=0), One()[0], np.dot(Zero(), np.ones(2))
    (Zero(), Zero(), One(), Zero())
    """

    __slots__ = ()

    def __getattr__(self, name: str) -> Operand:
        """A method or attribute of an array. Raises AttributeError for others, such as a shape."""
        function = METHODS.get(name)
        if function is None:
            raise AttributeError(f"{self!r} has no {name}: it stands for an array of any shape. Ask its primal.")
        meaning = functools.partial(ALGEBRA[function], self)
        return meaning() if name in PROPERTIES else meaning

    def __getitem__(self, index: Operand) -> "Symbol":
        """The symbol itself: all parts of it are equal."""
        return self

    def __iter__(self) -> Iterator[Operand]:
        """Raise TangentError: the number of parts is unknown."""
        raise unanswered(iter, (self,))

    def item(self) -> Operand:
        """The value as a Python number."""
        return extern(self)

    def __hash__(self) -> int:
        """Hash by identity, since equality compares identity."""
        return object.__hash__(self)

    def __reduce__(self) -> tuple[type["Symbol"], tuple[()]]:
        """Copy and unpickle as the one instance."""
        return type(self), ()

    def __repr__(self) -> str:
        """The call that gives it."""
        return f"{type(self).__name__}()"


class AbstractZero(Symbol):
    """The base of Zero and DoesNotExist. A rule is linear, so it need not run if all its tangents are zeros."""

    __slots__ = ()

    def __bool__(self) -> bool:
        """False, as the number 0 is."""
        return False


@final
class Zero(AbstractZero):
    """The additive identity of all tangents: it adds nothing, and its product with anything is Zero, at no cost.

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
    """The tangent of a value that cannot be perturbed, such as an index or a shape: it behaves like Zero.

    It does not mean that a derivative is not implemented. Later ChainRulesCore calls it NoTangent; as there,
    DoesNotExist + Zero is DoesNotExist, while DoesNotExist * Zero is Zero, so that a product can select.

    >>> 3.0 + DoesNotExist(), 3.0 * DoesNotExist(), DoesNotExist() + Zero(), DoesNotExist() * Zero()
    (3.0, DoesNotExist(), DoesNotExist(), Zero())
    """

    __slots__ = ()

    def __new__(cls) -> "DoesNotExist":
        """Return the one instance."""
        return _DOES_NOT_EXIST


@final
class One(Symbol):
    """The multiplicative identity: the number 1, which changes no dtype.

    Later ChainRulesCore uses Julia's `true` instead; Python's `True` is not such a number, so tapem keeps One.

    >>> np.float32(2) * One(), One() + One()
    (np.float32(2.0), 2)
    """

    __slots__ = ()

    def __new__(cls) -> "One":
        """Return the one instance."""
        return _ONE

    def __extern__(self) -> Operand:
        return 1


@final
class NotImplementedTangent(Tangent):
    """The tangent of an operand for which nobody has written the rule yet: `not_implemented` makes it.

    It may be returned by a rule, and added: a sum with it is unknown, so it is the sum. A product with a zero is that
    zero, and a product with One is the tangent itself. Everything else is an error that tells the reason, above all a
    derivative that needs it. DoesNotExist is another thing: there, no derivative exists.
    """

    __slots__ = ("reason",)

    def __init__(self, reason: str) -> None:
        """Keep the reason, which every error tells."""
        self.reason = reason

    def error(self, use: str = "it was used") -> NoRuleError:
        """The error for a use of this tangent."""
        return NoRuleError(f"a derivative is not implemented: {self.reason} ({use}).")

    def __getattr__(self, name: str) -> Operand:
        """Raise AttributeError: nothing is known of it, not even its shape."""
        raise AttributeError(f"{self!r} has no {name}: {self.error()}")

    def __getitem__(self, index: Operand) -> Operand:
        """Raise NoRuleError."""
        raise self.error("a part of it was asked for")

    def __iter__(self) -> Iterator[Operand]:
        """Raise NoRuleError."""
        raise self.error("its parts were asked for")

    def __bool__(self) -> bool:
        """Raise NoRuleError: it may or may not be zero."""
        raise self.error("its truth was asked for")

    def __array__(self, dtype: Operand = None, copy: bool | None = None) -> Array:
        """Raise NoRuleError."""
        raise self.error("an array of it was asked for")

    def __hash__(self) -> int:
        """Hash by identity, since equality compares identity."""
        return object.__hash__(self)

    def __reduce__(self) -> tuple[type["NotImplementedTangent"], tuple[str]]:
        """Copy and pickle by the reason."""
        return type(self), (self.reason,)

    def __extern__(self) -> Operand:
        raise self.error("its value was asked for")

    def __repr__(self) -> str:
        """The call that makes it."""
        return f"not_implemented({self.reason!r})"


def not_implemented(reason: str) -> NotImplementedTangent:
    """Make the tangent, or cotangent, of an operand for which a rule is not written yet, and say why.

    A rule returns it for one operand and is complete for the others. Whoever needs that derivative gets a NoRuleError
    with the reason; nobody gets a zero. Source: ChainRulesCore.@not_implemented.

    >>> @tm.primitive(rrule=(lambda g, y, x, n: g * n * x ** (n - 1), lambda *_: not_implemented("d/dn is missing")))
    ... def my_power(x: np.ndarray, n: np.ndarray):
    ...     return x**n
    >>> float(tm.grad(my_power)(3.0, 2.0))
    6.0
    >>> tm.grad(my_power, argnums=1)(3.0, 2.0)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    tapem.errors.NoRuleError: the rrule of my_power(x, n) for argument 'n' is not implemented: d/dn is missing (...).
    """
    return NotImplementedTangent(reason)


# The instances are made here, not by the first call, so that two threads cannot make two.
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
"""From the methods and attributes of an array that a tangent has to the functions that compute them."""


def leaves(values: Iterable[Operand]) -> list[Operand]:
    """The values, with lists and tuples flattened.

    >>> leaves([1, [2, (3,)]])
    [1, 2, 3]
    """
    return [x for value in values for x in (leaves(value) if type(value) in (list, tuple) else [value])]


def unanswered(function: Callable[..., Operand], operands: Sequence[Operand]) -> TangentError | NoRuleError:
    """The error for a function that has no meaning for these tangents."""
    for operand in leaves(operands):
        if isinstance(operand, NotImplementedTangent):
            return operand.error(f"{function.__name__} was asked for")
    module = str(getattr(function, "__module__", None) or "numpy").replace("numpy", "np", 1)
    name = function.__name__ if module == "builtins" else f"{module}.{function.__name__}"
    given = ", ".join(map(described, leaves(operands)))
    return TangentError(
        f"{name}({given}) has no meaning: what a rule does with a tangent is linear in it, and a symbol has no shape. "
        "Where zeros of a shape are needed, write np.zeros_like(x) with the primal x."
    )


def described(x: Operand) -> str:
    """The text for an operand in errors.

    >>> described(np.ones(3)), described(Zero())
    ('ndarray of shape (3,)', 'Zero')
    """
    if isinstance(x, Tangent):
        return x.__described__()
    name, shape = type(x).__name__, getattr(x, "shape", None)
    return f"{name} of {len(x)}" if type(x) in (tuple, list) else name if shape is None else f"{name} of shape {shape}"
