"""Immutable: a base class for instances that cannot change, and the setter by which constructors fill their slots."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from tapem.errors import MutationError


class Immutable:
    """The base of classes whose attributes, kept in `__slots__`, cannot be set or deleted.

    >>> import tapem as tm
    >>> x, _ = tm.Tape().leaf(1.0)
    >>> x.node = None
    Traceback (most recent call last):
        ...
    tapem.errors.MutationError: Ref is immutable: its attribute 'node' cannot be set.
    """

    __slots__ = ()

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise MutationError(f"{type(self).__name__} is immutable: its attribute {name!r} cannot be set.")

    def __delattr__(self, name: str) -> NoReturn:
        raise MutationError(f"{type(self).__name__} is immutable: its attribute {name!r} cannot be deleted.")

    def __reduce__(self) -> tuple[Any, ...]:
        names = [name for cls in type(self).__mro__ for name in getattr(cls, "__slots__", ()) if name != "__weakref__"]
        return _restore, (type(self), {name: getattr(self, name) for name in names})


def setter(cls: type, name: str) -> Callable[[Any, Any], None]:
    """The setter of a slot, for constructors: it passes by the guard.

    It costs half of `object.__setattr__`, and an op calls it several times.
    """
    return cls.__dict__[name].__set__


def _restore(cls: type[Immutable], values: dict[str, Any]) -> Immutable:
    instance = cls.__new__(cls)
    for name, value in values.items():
        object.__setattr__(instance, name, value)
    return instance
