"""The tangent algebra: what a rule may return besides an array, and how such things add and multiply.

A tangent is whatever can perturb a primal value. Most are arrays and numbers. The classes here are the others: `Zero`,
`DoesNotExist` and `One` are symbols that cost nothing, a `Thunk` is a tangent not yet computed, and a `Composite` is
the tangent of a structure.

The algebra is a few functions, `add` and `multiply` above all, each written once in order of precedence: zeros, One,
Thunk, Composite, anything else. Operators and NumPy's ufuncs are doors to these functions, so a sum is the same on
whichever side an array stands, and no object array is ever made.

The source is ChainRulesCore, the release that had `One` and `Composite`. Where later releases settled a question, their
answer is taken and the docstring says so.
"""

import dataclasses
import operator
from collections.abc import Callable, Iterator, Mapping
from inspect import isclass
from typing import Any, TypeAlias, final

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from tapem.errors import MutationError, TapeError

# A number, an array, a tracer, a tangent or, beside a Composite, its primal: told apart as the program runs.
Operand: TypeAlias = Any
Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Fields: TypeAlias = Mapping[Any, Operand]  # by name, position or key


class TangentError(TapeError, TypeError):
    """An operation that has no meaning for these tangents."""


class FieldError(TapeError, AttributeError, LookupError):
    """A field, position or key that a structure does not have."""


class Tangent(NDArrayOperatorsMixin):
    """Base of the tangents that are not arrays: NumPy's mixin makes ufuncs of operators, the algebra answers them."""

    __slots__ = ()

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Operand, **kwargs: Operand) -> Operand:
        """Apply the algebra if `ufunc` belongs to it, else `ufunc` itself to the values of the thunks."""
        out: tuple[Operand, ...] = kwargs.get("out", ())
        if ufunc in _ALGEBRA and method == "__call__" and not kwargs.keys() - {"out"}:
            result = _ALGEBRA[ufunc](*inputs)
            if not out or isinstance(out[0], Tangent):  # `tangent += x`: it is immutable, so Python rebinds the name
                return result
            # `array += tangent`: whoever else holds the array must see the sum in it.
            np.copyto(out[0], extern(result), casting="same_kind")
            return out[0]
        values = tuple(map(_force, inputs))
        if any(isinstance(x, Tangent) for x in (*values, *out)):
            return NotImplemented  # NumPy raises a TypeError that names the ufunc and its operands
        return getattr(ufunc, method)(*values, **kwargs)

    def __array__(self, dtype: Operand = None, copy: bool | None = None) -> Array:
        """Become the array of the value of a thunk; refuse for a symbol, where an object array would hide a mistake."""
        value = _force(self)
        if isinstance(value, Tangent):
            raise TangentError(f"{value!r} has no shape or dtype, so it cannot become an array; add it to one instead")
        return np.asarray(value, dtype=dtype)


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


# Made here and not by the first call, so that two threads cannot make two.
_ZERO, _DOES_NOT_EXIST, _ONE = object.__new__(Zero), object.__new__(DoesNotExist), object.__new__(One)
ZeroTangent, NoTangent = Zero, DoesNotExist
NO_FIELDS = _ZERO  # the tangent of an op itself, which has no fields that could vary


class Thunk(Tangent):
    """A tangent not yet computed: calling it runs `f`, and arithmetic calls it, but a Zero factor does not.

    As in ChainRulesCore the value is not kept: each call runs `f` again, so a Thunk needs no lock and holds no memory
    but what `f` closes over; who needs the value twice calls once and keeps it. In comparisons and truth tests too a
    Thunk stands for its value, as in later ChainRulesCore, and therefore it has no hash.

    Raises TangentError if `f` cannot be called.

    >>> t = Thunk(lambda: 3)
    >>> t(), t + 1, Zero() * t
    (3, 4, Zero())
    """

    __slots__ = ("f",)

    def __init__(self, f: Callable[[], Operand]) -> None:
        """Defer the call of `f`."""
        if not callable(f):
            raise TangentError(f"{type(self).__name__} takes a function of no arguments, not {_kind(f)}")
        self.f = f

    def __call__(self) -> Operand:
        """Evaluate one layer."""
        return self.f()

    def __bool__(self) -> bool:
        """Be true if the value is."""
        return bool(_force(self))

    def __repr__(self) -> str:
        """Show what is deferred, without evaluating it."""
        return f"{type(self).__name__}({getattr(self.f, '__name__', self.f)})"


@final
class InplaceableThunk(Thunk):
    """A Thunk that can also add its value into an array, at less cost than computing it and adding.

    `add_into(array)` adds in place and returns that array. Only `accumulate` calls it; to everything else this is a
    Thunk like any other, as in ChainRulesCore.

    Raises TangentError if either argument cannot be called.

    >>> def add_into(array):
    ...     array[0] += 1.0
    ...     return array
    >>> accumulate(np.zeros(2), InplaceableThunk(Thunk(lambda: np.array([1.0, 0.0])), add_into))
    array([1., 0.])
    """

    __slots__ = ("add_into",)

    def __init__(self, thunk: Callable[[], Operand], add_into: Callable[[Array], Array]) -> None:
        """Pair a deferred tangent with its addition in place."""
        super().__init__(thunk)
        if not callable(add_into):
            raise TangentError(f"InplaceableThunk takes a function that adds into an array, not {_kind(add_into)}")
        self.add_into = add_into


@final
class Composite(Tangent):
    """Tangent of a tuple, list, NamedTuple, dataclass or dict: a tangent for each field, Zero where none is given.

    The fields of a NamedTuple or dataclass are given by name and read as `c.field`, the elements of a tuple or list by
    position and `c[i]`, the values of a dict by keyword or in one mapping and `c["key"]`. Reading removes one layer of
    thunking, as in ChainRulesCore; `backing` does not. Composites of one type add field by field; a Composite and a
    primal make a primal of the same type. It is immutable.

    Raises FieldError for a field that the type does not have, TangentError for a type that is no such structure.

    >>> Composite(tuple, 1.0, 2.0) + (10.0, 20.0)
    (11.0, 22.0)
    >>> (Composite(dict, w=1.0) + Composite(dict, b=2.0)) * 2
    Composite(dict, {'w': 2.0, 'b': 4.0})
    """

    __slots__ = ("__backing__", "__primal_type__")  # dunder names, because no field of a primal is called so
    __backing__: Fields
    __primal_type__: type[Any]

    def __init__(self, primal_type: type[Any], /, *elements: Operand, **fields: Operand) -> None:
        """Give the primal type and the tangents of its fields."""
        object.__setattr__(self, "__backing__", _check_fields(primal_type, elements, fields))
        object.__setattr__(self, "__primal_type__", primal_type)

    def __getattr__(self, name: str) -> Operand:
        """Tangent of a named field."""
        if name not in (_names(self.__primal_type__) or ()):
            raise _no_field(self.__primal_type__, name)
        return unthunk(self.__backing__.get(name, _ZERO))

    def __getitem__(self, key: Operand) -> Operand:
        """Tangent by position, by name or, of a dict, by key."""
        fields = backing(self)
        if _is_dict(self.__primal_type__):
            return unthunk(fields.get(key, _ZERO))
        if isinstance(key, int) and -len(fields) <= key < len(fields):
            key = tuple(fields)[key]
        if key not in fields:
            raise _no_field(self.__primal_type__, key)
        return unthunk(fields[key])

    def __iter__(self) -> Iterator[Operand]:
        """Iterate over the tangents in the order of the fields or, of a dict, over the keys."""
        fields = backing(self)
        return iter(fields) if _is_dict(self.__primal_type__) else map(unthunk, fields.values())

    def __len__(self) -> int:
        """Count the fields, absent ones included."""
        return len(backing(self))

    def __bool__(self) -> bool:
        """Be true if a field is; as in NumPy, an array of several elements is neither true nor false."""
        return any(self.__backing__.values())

    def __hash__(self) -> int:
        """Hash what equality compares; a field without a hash, such as an array, is an error, as in a tuple."""
        return hash((self.__primal_type__, frozenset((k, x) for k, x in self.__backing__.items() if x is not _ZERO)))

    def __setattr__(self, name: str, value: object = None) -> None:
        """Refuse: a tangent may be shared."""
        raise MutationError(f"{_kind(self)} is immutable: {name!r} cannot be changed")

    __delattr__ = __setattr__

    def __reduce__(self) -> tuple[Callable[..., "Composite"], tuple[type[Any], Fields]]:
        """Copy and pickle by type and fields."""
        return _composite, (self.__primal_type__, self.__backing__)

    def __repr__(self) -> str:
        """Show as it is written, larger arrays as dtype and shape."""
        fields = {key: _short(x) for key, x in self.__backing__.items()}
        if _is_dict(self.__primal_type__):
            shown = ["{" + ", ".join(f"{key!r}: {x}" for key, x in fields.items()) + "}"]
        else:
            shown = [f"{key}={x}" if isinstance(key, str) else x for key, x in fields.items()]
        return f"Composite({', '.join([self.__primal_type__.__name__, *shown])})"


# The algebra ----------------------------------------------------------------------------------------------------------


def add(a: Operand, b: Operand) -> Operand:
    """Sum two tangents, or a primal and its tangent, changing neither.

    The result may be one of the operands itself, not a copy, since zeros add nothing. `accumulate` may work in place.

    Raises TangentError where the sum has no meaning: Composites of different types, a Composite and what is not of its
    type, a tuple or list without a Composite, which Python would concatenate.

    >>> add(Zero(), np.ones(2)), add(One(), np.ones(2)), add(thunk(1), thunk(2))
    (array([1., 1.]), array([2., 2.]), 3)
    """
    if type(a) is np.ndarray and type(b) is np.ndarray:
        return a + b
    if type(a) is Zero:
        return b
    if type(b) is Zero:
        return a
    if type(a) is DoesNotExist:
        return b
    if type(b) is DoesNotExist:
        return a
    if isinstance(a, Thunk) or isinstance(b, Thunk):
        return add(_force(a), _force(b))
    if isinstance(a, Composite):
        return _add_composites(a, b) if isinstance(b, Composite) else _perturb(b, a)
    if isinstance(b, Composite):
        return _perturb(a, b)
    if _is_plain(a) or _is_plain(b):
        raise _meaningless("+", a, b)
    return (1 if type(a) is One else a) + (1 if type(b) is One else b)


def accumulate(total: Operand, x: Operand) -> Operand:
    """Sum like `add`, into the memory of `total` where the result fits there; only the owner of `total` may ask.

    Raises TangentError where `add` does, and where `add_into` does not return the array it was given. The source is
    ChainRulesCore's `add!!`.

    >>> total = np.ones(2)
    >>> accumulate(total, np.ones(2)) is total, total
    (True, array([2., 2.]))
    """
    if type(total) is np.ndarray and total.flags.writeable:
        if type(x) is InplaceableThunk:
            if x.add_into(total) is not total:
                raise TangentError(f"add_into of {x!r} must return the array it was given")
            return total
        if type(x) is np.ndarray and x.shape == total.shape and x.dtype == total.dtype:
            total += x
            return total
    return add(total, x)


def multiply(a: Operand, b: Operand) -> Operand:
    """Multiply tangents, or a tangent and a factor: Zero annihilates, then DoesNotExist, then One is the identity.

    None of these looks into a Thunk: Zero * Thunk is Zero, as ChainRulesCore settled it, and One * Thunk is the Thunk,
    both unevaluated. A Composite is multiplied by a scalar, field by field.

    Raises TangentError for a Composite times anything but a scalar, and for a tuple or list, which Python would repeat.

    >>> multiply(Zero(), np.ones(2)), multiply(np.ones(2), One()), multiply(Composite(tuple, 1.0, One()), 3)
    (Zero(), array([1., 1.]), Composite(tuple, 3.0, 3))
    """
    return _product(a, b, "*", operator.mul)


def _product(a: Operand, b: Operand, symbol: str, times: Callable[[Operand, Operand], Operand]) -> Operand:
    if type(a) is Zero or type(b) is Zero:
        return _ZERO
    if type(a) is DoesNotExist or type(b) is DoesNotExist:
        return _DOES_NOT_EXIST
    if type(a) is One:
        return b
    if type(b) is One:
        return a
    # One at a time: where the first turns out to be a zero, the second is never computed.
    if isinstance(a, Thunk):
        return _product(_force(a), b, symbol, times)
    if isinstance(b, Thunk):
        return _product(a, _force(b), symbol, times)
    c, factor = (a, b) if isinstance(a, Composite) else (b, a)
    if _is_plain(a) or _is_plain(b):
        raise _meaningless(symbol, a, b)
    if not isinstance(c, Composite):
        return times(a, b)
    if isinstance(factor, Composite) or symbol != "*" or getattr(factor, "ndim", 0) != 0:
        raise _meaningless(symbol, a, b)
    return _map(lambda x: multiply(x, factor), c)


def _is_plain(x: Operand) -> bool:
    return isinstance(x, tuple | list)


def _subtract(a: Operand, b: Operand) -> Operand:
    a = a if isinstance(b, AbstractZero) else _force(a)
    if isinstance(a, Composite) and not isinstance(b, Tangent):
        raise _meaningless("-", a, b)
    return add(a, _negative(b))


def _matmul(a: Operand, b: Operand) -> Operand:
    return _product(a, b, "@", np.matmul)


def _negative(x: Operand) -> Operand:
    x = _force(x)
    if isinstance(x, AbstractZero):
        return x
    return _map(_negative, x) if isinstance(x, Composite) else -extern(x)


def _equal(a: Operand, b: Operand) -> bool:
    a, b = _force(a), _force(b)
    if isinstance(a, Composite) and isinstance(b, Composite):
        x, y = backing(a), backing(b)
        return _alike(a, b) and all(_equal(x.get(key, _ZERO), y.get(key, _ZERO)) for key in {**x, **y})
    return a is b if isinstance(a, Tangent) or isinstance(b, Tangent) else np.array_equal(a, b)


def _not_equal(a: Operand, b: Operand) -> bool:
    return not _equal(a, b)


def conj(x: Operand) -> Operand:
    """Complex conjugate of a tangent, which is itself if real; that of a Thunk is a Thunk, as in later ChainRulesCore.

    >>> conj(2 + 1j), conj(Zero()), conj(Composite(tuple, 1j)), extern(conj(thunk(1j)))
    ((2-1j), Zero(), Composite(tuple, -1j), -1j)
    """
    if isinstance(x, Thunk):
        return Thunk(lambda: conj(x()))
    if isinstance(x, Tangent):
        return _map(conj, x) if isinstance(x, Composite) else x
    if isinstance(x, int | float | complex):
        return x.conjugate()
    return np.conjugate(x) if x.dtype.kind == "c" else x


def zero(x: Operand) -> Zero:
    """Additive identity of the space of `x`: Zero() whatever `x` is, for zeros are never materialised.

    >>> zero(np.ones(3)), zero(DoesNotExist())
    (Zero(), Zero())
    """
    return _ZERO


_ALGEBRA: dict[np.ufunc, Callable[..., Operand]] = {
    np.add: add,
    np.subtract: _subtract,
    np.multiply: multiply,
    np.matmul: _matmul,
    np.negative: _negative,
    np.conjugate: conj,
    np.equal: _equal,
    np.not_equal: _not_equal,
}


def thunk(value: Operand) -> Thunk:
    """Defer a function of no arguments, as a decorator does; anything else, a Thunk included, is wrapped as a value.

    >>> t = thunk(thunk(3))
    >>> extern(t), t()()
    (3, 3)
    >>> @thunk
    ... def x_bar():
    ...     return 2.0
    >>> x_bar * 3
    6.0
    """
    return Thunk(value) if callable(value) and not isinstance(value, Thunk) else Thunk(lambda: value)


def unthunk(x: Operand) -> Operand:
    """Remove one layer of thunking; anything but a Thunk is returned as it is.

    >>> unthunk(thunk(3)), unthunk(3)
    (3, 3)
    """
    return x() if isinstance(x, Thunk) else x


def extern(x: Operand) -> Operand:
    """Plain value of a tangent: all thunks evaluated, a Composite turned into a value of its primal type.

    Zero and One become 0 and 1, which promote nothing, as ChainRulesCore makes them `false` and `true`. The result may
    share memory with `x`. For tests and for looking: `+` and `unthunk` do for the rest.

    Raises TangentError for DoesNotExist, which has no value.

    >>> extern(Zero()), extern(Composite(tuple, thunk(2.0), Zero(), One()))
    (0, (2.0, 0, 1))
    """
    x = _force(x)
    if type(x) is DoesNotExist:
        raise TangentError("DoesNotExist() has no value: it marks a perturbation that has no meaning")
    if isinstance(x, Composite):
        return _construct(x.__primal_type__, {key: extern(field) for key, field in backing(x).items()})
    return 0 if type(x) is Zero else 1 if type(x) is One else x


def _force(x: Operand) -> Operand:
    while isinstance(x, Thunk):  # not recursion: thunks may be nested deeper than Python's stack
        x = x()
    return x


# Structures -----------------------------------------------------------------------------------------------------------


def backing(c: Composite) -> dict[Any, Operand]:
    """Fields of a Composite by name, position or key, absent ones as Zero and thunks not evaluated.

    >>> backing(Composite(tuple, 1.0, Zero()))
    {0: 1.0, 1: Zero()}
    """
    return {**dict.fromkeys(_names(c.__primal_type__) or (), _ZERO), **c.__backing__}


def canonicalize(c: Composite) -> Composite:
    """Composite with every field of its primal type present, those that were absent as Zero.

    A tuple, list or dict declares no fields, so its Composite is always canonical.

    >>> from typing import NamedTuple
    >>> canonicalize(Composite(NamedTuple("Point", [("x", float), ("y", float)]), y=1.0))
    Composite(Point, x=Zero(), y=1.0)
    """
    return _composite(c.__primal_type__, backing(c))


def _names(kind: type[Any]) -> tuple[str, ...] | None:
    """Fields that a NamedTuple or dataclass declares; None for a type that declares none."""
    if dataclasses.is_dataclass(kind):
        # What __init__ does not take is computed from the rest: it cannot be perturbed by itself.
        return tuple(field.name for field in dataclasses.fields(kind) if field.init)
    return getattr(kind, "_fields", None)


def _is_sequence(kind: type[Any]) -> bool:
    return kind is tuple or kind is list or (_names(kind) is None and issubclass(kind, tuple | list))


def _is_dict(kind: type[Any]) -> bool:
    return issubclass(kind, dict)


def _check_fields(kind: type[Any], elements: tuple[Operand, ...], fields: dict[str, Operand]) -> Fields:
    if not isclass(kind):
        raise TangentError(f"Composite takes the type of its primal first, not {kind!r}")
    if _is_sequence(kind) and not fields:
        return dict(enumerate(elements))
    if _is_dict(kind) and len(elements) <= 1 and all(isinstance(x, Mapping) for x in elements):
        return {**(elements[0] if elements else {}), **fields}
    names = _names(kind)
    if names is None or elements:
        raise TangentError(
            f"Composite({kind.__name__}, ...): a tuple or list takes its elements by position, a NamedTuple or "
            "dataclass its fields by name, a dict its values by name or in one mapping; nothing else has fields"
        )
    for name in fields.keys() - set(names):
        raise _no_field(kind, name)
    return fields


def _composite(kind: type[Any], fields: Fields) -> Composite:
    """Composite of fields that are known to fit."""
    c = object.__new__(Composite)
    object.__setattr__(c, "__backing__", fields)
    object.__setattr__(c, "__primal_type__", kind)
    return c


def _map(f: Callable[[Operand], Operand], c: Composite) -> Composite:
    return _composite(c.__primal_type__, {key: f(x) for key, x in c.__backing__.items()})


def _alike(a: Composite, b: Composite) -> bool:
    kind = a.__primal_type__
    return kind is b.__primal_type__ and (not _is_sequence(kind) or len(a) == len(b))


def _add_composites(a: Composite, b: Composite) -> Composite:
    if not _alike(a, b):
        raise _meaningless("+", a, b)
    x, y = a.__backing__, b.__backing__
    return _composite(a.__primal_type__, {key: add(x.get(key, _ZERO), y.get(key, _ZERO)) for key in {**x, **y}})


def _perturb(primal: Operand, c: Composite) -> Operand:
    """Primal plus tangent, a primal."""
    kind, moves = c.__primal_type__, c.__backing__
    if type(primal) is not kind or (_is_sequence(kind) and len(primal) != len(moves)):
        raise _meaningless("+", primal, c)
    fields = _fields_of(primal, kind)
    for key in moves.keys() - fields.keys():
        raise _no_field(kind, key)
    return _construct(kind, {**fields, **{key: add(fields[key], move) for key, move in moves.items()}})


def _fields_of(primal: Operand, kind: type[Any]) -> dict[Any, Operand]:
    if _is_sequence(kind):
        return dict(zip(range(len(primal)), primal, strict=True))
    return dict(primal) if _is_dict(kind) else {name: getattr(primal, name) for name in _names(kind) or ()}


def _construct(kind: type[Any], fields: Fields) -> Operand:
    if _is_sequence(kind):
        return kind(fields.values())
    return kind(fields) if _is_dict(kind) else kind(**fields)


def _kind(x: Operand) -> str:
    """What an operand is, in a message."""
    if isinstance(x, Composite):
        return f"Composite({x.__primal_type__.__name__}) of {len(x)}"
    name, shape = type(x).__name__, getattr(x, "shape", None)
    return f"{name} of {len(x)}" if type(x) in (tuple, list) else name if shape is None else f"{name} of shape {shape}"


def _short(x: Operand) -> str:
    return f"{x.dtype}[{','.join(map(str, x.shape))}]" if type(x) is np.ndarray and x.size > 4 else repr(x)


def _meaningless(symbol: str, a: Operand, b: Operand) -> TangentError:
    return TangentError(f"{_kind(a)} {symbol} {_kind(b)} has no meaning")


def _no_field(kind: type[Any], name: object) -> FieldError:
    known = ", ".join(_names(kind) or ())
    return FieldError(f"{kind.__name__} has no field {name!r}" + (f"; its fields are {known}" if known else ""))
