"""Thunks: tangents that are not computed until somebody needs them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, final

import numpy as np

from tapem.errors import TangentError
from tapem.tangents.symbols import ALGEBRA, METHODS, Array, Operand, Tangent, described, extern, leaves, unanswered


class Thunk(Tangent):
    """A tangent not yet computed: calling it runs `f`, and arithmetic calls it, but a Zero factor does not.

    As in ChainRulesCore the value is not kept: each call runs `f` again, so a Thunk needs no lock and holds no memory
    but what `f` closes over; who needs the value twice calls once and keeps it. In comparisons and truth tests too a
    Thunk stands for its value, as in later ChainRulesCore, and therefore it has no hash.

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
        """Evaluate one layer."""
        return self.f()

    def __other_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Operand, **kwargs: Operand) -> Operand:
        """Apply a `ufunc` that is no part of the algebra to the values of the thunks."""
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
        """Apply the algebra if `function` belongs to it, else `function` itself to the values of the thunks."""
        if function in ALGEBRA:
            return super().__array_function__(function, types, arguments, options)
        return computed(function, arguments, options)

    def __getattr__(self, name: str) -> Operand:
        """A method of the value; what a Thunk says without being computed does not include a shape."""
        if name not in METHODS:
            raise AttributeError(f"{self!r} has no {name} before it is computed. Call it, or use tm.unthunk.")
        return getattr(force(self), name)

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
        """Become the array of the value."""
        return np.asarray(force(self), dtype=dtype)

    def __extern__(self) -> Operand:
        return extern(force(self))

    def __bool__(self) -> bool:
        """Be true if the value is."""
        return bool(force(self))

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


def computed(function: Callable[..., Any], arguments: Sequence[Operand], options: Mapping[str, Operand]) -> Operand:
    """The function of the values of the thunks; TangentError if there are none to be computed.

    >>> computed(np.stack, ([thunk(1.0), 2.0],), {})
    array([1., 2.])
    """
    given = [*arguments, *options.values()]
    if not any(isinstance(x, Thunk) for x in leaves(given)):
        raise unanswered(function, given)
    return function(*map(forced, arguments), **{name: forced(x) for name, x in options.items()})


def forced(value: Operand) -> Operand:
    """A value with all thunks computed, also those in lists and tuples.

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
