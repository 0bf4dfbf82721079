"""Composite: the tangent of a structure, field by field, and which types are structures."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from inspect import isclass
from typing import Any, TypeAlias, final

import numpy as np

from tapem.errors import FieldError, MutationError, TangentError
from tapem.tangents.symbols import Operand, Tangent, Zero, described, extern
from tapem.tangents.thunks import unthunk

Fields: TypeAlias = Mapping[Any, Operand]  # by name, position or key

_ZERO = Zero()


@final
class Composite(Tangent):
    """The tangent of a tuple, list, NamedTuple, dataclass or dict: one tangent per field, Zero for an absent field.

    Give the fields of a NamedTuple or dataclass by name and read them as `c.field`; the elements of a tuple or list by
    position and as `c[i]`; the values of a dict by keyword or in one mapping and as `c["key"]`. Reading removes one
    layer of thunking, as in ChainRulesCore; `backing` does not. Composites of one type add field by field; a Composite
    plus a primal is a primal of the same type. A Composite is immutable.

    Raises FieldError for a field that the type does not have, TangentError for a type that is not such a structure.

    >>> Composite(tuple, 1.0, 2.0) + (10.0, 20.0)
    (11.0, 22.0)
    >>> (Composite(dict, w=1.0) + Composite(dict, b=2.0)) * 2
    Composite(dict, {'w': 2.0, 'b': 4.0})
    """

    __slots__ = ("__backing__", "__primal_type__")
    __backing__: Fields
    __primal_type__: type[Any]

    def __init__(self, primal_type: type[Any], /, *elements: Operand, **fields: Operand) -> None:
        """Make a Composite from the primal type and the tangents of its fields."""
        object.__setattr__(self, "__backing__", _check_fields(primal_type, elements, fields))
        object.__setattr__(self, "__primal_type__", primal_type)

    def __getattr__(self, name: str) -> Operand:
        """The tangent of a named field."""
        if name not in (_names(self.__primal_type__) or ()):
            raise _no_field(self.__primal_type__, name)
        return unthunk(self.__backing__.get(name, _ZERO))

    def __getitem__(self, key: Operand) -> Operand:
        """The tangent of a field, by position, by name or, for a dict, by key."""
        fields = backing(self)
        if _is_dict(self.__primal_type__):
            return unthunk(fields.get(key, _ZERO))
        if isinstance(key, int) and -len(fields) <= key < len(fields):
            key = tuple(fields)[key]
        if key not in fields:
            raise _no_field(self.__primal_type__, key)
        return unthunk(fields[key])

    def __iter__(self) -> Iterator[Operand]:
        """Iterate over the tangents in the order of the fields; for a dict, over the keys."""
        fields = backing(self)
        return iter(fields) if _is_dict(self.__primal_type__) else map(unthunk, fields.values())

    def __len__(self) -> int:
        """The number of fields, absent ones included."""
        return len(backing(self))

    def __bool__(self) -> bool:
        """Whether a field is true; as in NumPy, an array of several elements raises ValueError."""
        return any(self.__backing__.values())

    def __hash__(self) -> int:
        """Hash type and fields; as in a tuple, a field without a hash, such as an array, raises TypeError."""
        return hash((self.__primal_type__, frozenset((k, x) for k, x in self.__backing__.items() if x is not _ZERO)))

    def __setattr__(self, name: str, value: object = None) -> None:
        """Raise MutationError: a tangent may be shared."""
        raise MutationError(f"{described(self)} is immutable: {name!r} cannot be changed")

    __delattr__ = __setattr__

    def __reduce__(self) -> tuple[Callable[..., "Composite"], tuple[type[Any], Fields]]:
        """Copy and pickle by type and fields."""
        return _composite, (self.__primal_type__, self.__backing__)

    def __extern__(self) -> Operand:
        return _construct(self.__primal_type__, {key: extern(field) for key, field in backing(self).items()})

    def __described__(self) -> str:
        return f"Composite({self.__primal_type__.__name__}) of {len(self)}"

    def __repr__(self) -> str:
        """The call that makes it, with larger arrays as dtype and shape."""
        fields = {key: _short(x) for key, x in self.__backing__.items()}
        if _is_dict(self.__primal_type__):
            shown = ["{" + ", ".join(f"{key!r}: {x}" for key, x in fields.items()) + "}"]
        else:
            shown = [f"{key}={x}" if isinstance(key, str) else x for key, x in fields.items()]
        return f"Composite({', '.join([self.__primal_type__.__name__, *shown])})"


def backing(c: Composite) -> dict[Any, Operand]:
    """The fields of a Composite by name, position or key; absent fields are Zero, and thunks are not evaluated.

    >>> backing(Composite(tuple, 1.0, Zero()))
    {0: 1.0, 1: Zero()}
    """
    return {**dict.fromkeys(_names(c.__primal_type__) or (), _ZERO), **c.__backing__}


def canonicalize(c: Composite) -> Composite:
    """A Composite with every field of its primal type present; absent fields become Zero.

    A tuple, list or dict declares no fields, so its Composite is always canonical.

    >>> from typing import NamedTuple
    >>> canonicalize(Composite(NamedTuple("Point", [("x", float), ("y", float)]), y=1.0))
    Composite(Point, x=Zero(), y=1.0)
    """
    return _composite(c.__primal_type__, backing(c))


def _names(kind: type[Any]) -> tuple[str, ...] | None:
    """The fields that a NamedTuple or dataclass declares; None for another type."""
    if dataclasses.is_dataclass(kind):
        # A field that __init__ does not take is computed from the others, so it has no tangent of its own.
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
    """Make a Composite of fields that are known to fit."""
    c = object.__new__(Composite)
    object.__setattr__(c, "__backing__", fields)
    object.__setattr__(c, "__primal_type__", kind)
    return c


def map_fields(f: Callable[[Operand], Operand], c: Composite) -> Composite:
    """Apply `f` to each tangent.

    >>> map_fields(abs, Composite(tuple, -1.0, 2.0))
    Composite(tuple, 1.0, 2.0)
    """
    return _composite(c.__primal_type__, {key: f(x) for key, x in c.__backing__.items()})


def join_fields(f: Callable[[Operand, Operand], Operand], a: Composite, b: Composite) -> Composite:
    """Apply `f` to both tangents of each field; `a` and `b` must be `alike`.

    >>> join_fields(max, Composite(tuple, 1.0, 2.0), Composite(tuple, 3.0, 0.0))
    Composite(tuple, 3.0, 2.0)
    """
    x, y = a.__backing__, b.__backing__
    return _composite(a.__primal_type__, {key: f(x.get(key, _ZERO), y.get(key, _ZERO)) for key in {**x, **y}})


def alike(a: Composite, b: Composite) -> bool:
    """Whether two Composites are tangents of one structure.

    >>> alike(Composite(tuple, 1.0), Composite(tuple, 1.0, 2.0))
    False
    """
    kind = a.__primal_type__
    return kind is b.__primal_type__ and (not _is_sequence(kind) or len(a) == len(b))


def perturbs(c: Composite, primal: Operand) -> bool:
    """Whether a Composite is a tangent of this primal's structure.

    >>> perturbs(Composite(tuple, 1.0), (3.0,))
    True
    """
    kind = c.__primal_type__
    return type(primal) is kind and (not _is_sequence(kind) or len(primal) == len(c.__backing__))


def perturbed(primal: Operand, c: Composite, plus: Callable[[Operand, Operand], Operand]) -> Operand:
    """Add a Composite to its primal; the result is a primal.

    >>> perturbed((1.0, 2.0), Composite(tuple, 0.5, 0.0), lambda x, dx: x + dx)
    (1.5, 2.0)
    """
    kind, moves = c.__primal_type__, c.__backing__
    fields = _fields_of(primal, kind)
    for key in moves.keys() - fields.keys():
        raise _no_field(kind, key)
    return _construct(kind, {**fields, **{key: plus(fields[key], move) for key, move in moves.items()}})


def _fields_of(primal: Operand, kind: type[Any]) -> dict[Any, Operand]:
    if _is_sequence(kind):
        return dict(zip(range(len(primal)), primal, strict=True))
    return dict(primal) if _is_dict(kind) else {name: getattr(primal, name) for name in _names(kind) or ()}


def _construct(kind: type[Any], fields: Fields) -> Operand:
    if _is_sequence(kind):
        return kind(fields.values())
    return kind(fields) if _is_dict(kind) else kind(**fields)


def _short(x: Operand) -> str:
    return f"{x.dtype}[{','.join(map(str, x.shape))}]" if type(x) is np.ndarray and x.size > 4 else repr(x)


def _no_field(kind: type[Any], name: object) -> FieldError:
    known = ", ".join(_names(kind) or ())
    return FieldError(f"{kind.__name__} has no field {name!r}" + (f"; its fields are {known}" if known else ""))
