"""Thunks: tangents that are not computed until they are needed."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, final

import numpy as np

from tapem.errors import TangentError
from tapem.tangents.symbols import (
    ALGEBRA,
    METHODS,
    PROPERTIES,
    Array,
    Operand,
    Tangent,
    described,
    extern,
    leaves,
    unanswered,
)


class Thunk(Tangent):
    """A tangent that is not computed yet: calling it runs `f`. Arithmetic calls it, except a product with Zero.

    As in ChainRulesCore the value is not kept: each call runs `f` again. So a Thunk needs no lock and holds only the
    memory that `f` closes over; to use the value twice, call once and keep the value. In comparisons and truth tests a
    Thunk counts as its value, as in later ChainRulesCore, so it has no hash.

    Raises TangentError if `f` cannot be called.

    >>> t = Thunk(lambda: 3)
    >>> t(), t + 1, tm.Zero() * t
    (3, 4, Zero())
    """

    __slots__ = ("f",)

    def __init__(self, f: Callable[[], Operand]) -> None:
        """Defer the call of `f`."""
        if not callable(f):
            raise TangentError(f"{type(self).__name__} takes a function of no arguments, not {described(f)}")
        self.f = f

    def __call__(self) -> Operand:
        """Evaluate one layer of thunking."""
        return self.f()

    def __other_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Operand, **kwargs: Operand) -> Operand:
        """Apply a ufunc that is not in the algebra to the values of the thunks."""
        values = tuple(map(force, inputs))
        if any(isinstance(x, Tangent) for x in (*values, *kwargs.get("out", ()))):
            raise unanswered(ufunc, (*inputs, *kwargs.get("out", ())))
        return getattr(ufunc, method)(*values, **kwargs)

    def __array_function__(
        self,
        function: Callable[..., Operand],
        types: object,
        arguments: tuple[Operand, ...],
        options: Mapping[str, Operand],
    ) -> Operand:
        """Apply a NumPy function by the algebra, or else to the values of the thunks."""
        if function in ALGEBRA:
            return super().__array_function__(function, types, arguments, options)
        return computed(function, arguments, options)

    def __getattr__(self, name: str) -> Operand:
        """A method of the value. Raises AttributeError for attributes such as a shape, which need the value first."""
        if name not in METHODS:
            # The thunk is not shown: its repr may print the arrays that it will compute with.
            kind = type(self).__name__
            raise AttributeError(f"a {kind} has no {name} before it is computed. Call it, or use tm.unthunk.")
        value = force(self)
        if hasattr(value, name):
            return getattr(value, name)
        # Python's numbers have few of an array's methods.
        return METHODS[name](value) if name in PROPERTIES else functools.partial(METHODS[name], value)

    def __getitem__(self, index: Operand) -> Operand:
        """A part of the value."""
        return force(self)[index]

    def __iter__(self) -> Iterator[Operand]:
        """The parts of the value."""
        return iter(force(self))

    def __len__(self) -> int:
        """The length of the value."""
        return len(force(self))

    def __array__(self, dtype: Operand = None, copy: bool | None = None) -> Array:
        """Convert the value to an array."""
        return np.asarray(force(self), dtype=dtype)

    def __extern__(self) -> Operand:
        return extern(force(self))

    def __bool__(self) -> bool:
        """Whether the value is true."""
        return bool(force(self))

    def __repr__(self) -> str:
        """The call that makes it; the value is not computed."""
        return f"{type(self).__name__}({getattr(self.f, '__name__', self.f)})"


@final
class InplaceableThunk(Thunk):
    """A Thunk that can also add its value into an array, which costs less than computing the value and adding it.

    `add_into(array)` adds in place and returns that array. Only `accumulate` calls it; everything else treats this as
    any other Thunk, as in ChainRulesCore.

    Raises TangentError if either argument cannot be called.

    >>> def add_into(array):
    ...     array[0] += 1.0
    ...     return array
    >>> from tapem.tangents import accumulate
    >>> accumulate(np.zeros(2), InplaceableThunk(Thunk(lambda: np.array([1.0, 0.0])), add_into))
    array([1., 0.])
    """

    __slots__ = ("add_into",)

    def __init__(self, thunk: Callable[[], Operand], add_into: Callable[[Array], Array]) -> None:
        """Pair a deferred tangent with its addition in place."""
        super().__init__(thunk)
        if not callable(add_into):
            raise TangentError(f"InplaceableThunk takes a function that adds into an array, not {described(add_into)}")
        self.add_into = add_into


def thunk(value: Operand) -> Thunk:
    """Make a Thunk of a function without arguments (also as a decorator), or of a value, which may be a Thunk.

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
    """Remove one layer of thunking; return anything but a Thunk unchanged.

    >>> unthunk(thunk(3)), unthunk(3)
    (3, 3)
    """
    return x() if isinstance(x, Thunk) else x


def computed(function: Callable[..., Any], arguments: Sequence[Operand], options: Mapping[str, Operand]) -> Operand:
    """Apply a function to the values of the thunks. Raises TangentError if no argument is a Thunk.

    >>> computed(np.stack, ([thunk(1.0), 2.0],), {})
    array([1., 2.])
    """
    given = [*arguments, *options.values()]
    if not any(isinstance(x, Thunk) for x in leaves(given)):
        raise unanswered(function, given)
    return function(*map(forced, arguments), **{name: forced(x) for name, x in options.items()})


def forced(value: Operand) -> Operand:
    """Evaluate all thunks in a value, also those in lists and tuples.

    >>> forced([thunk(1.0), 2.0])
    [1.0, 2.0]
    """
    return type(value)(map(forced, value)) if type(value) in (list, tuple) else force(value)


def force(x: Operand) -> Operand:
    """Remove all layers of thunking.

    >>> force(thunk(thunk(3)))
    3
    """
    while isinstance(x, Thunk):  # not recursion: thunks may be nested deeper than Python's stack
        x = x()
    return x
