"""Thunks: tangents that are not computed until somebody needs them."""

from collections.abc import Callable
from typing import final

import numpy as np

from tapem.errors import TangentError
from tapem.tangents.symbols import Array, Operand, Tangent, described, extern


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

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Operand, **kwargs: Operand) -> Operand:
        """Apply the algebra if `ufunc` belongs to it, else `ufunc` itself to the values of the thunks."""
        result = super().__array_ufunc__(ufunc, method, *inputs, **kwargs)
        if result is not NotImplemented:
            return result
        values = tuple(map(force, inputs))
        if any(isinstance(x, Tangent) for x in (*values, *kwargs.get("out", ()))):
            return NotImplemented
        return getattr(ufunc, method)(*values, **kwargs)

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


def force(x: Operand) -> Operand:
    """Remove all layers of thunking.

    >>> force(thunk(thunk(3)))
    3
    """
    while isinstance(x, Thunk):  # not recursion: thunks may be nested deeper than Python's stack
        x = x()
    return x
