"""Ok and Err, the results of `attempt`: a success or a failure as a value."""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

from tapem.errors import TapeError

A = TypeVar("A")


class Ok(NamedTuple, Generic[A]):
    """The result of `attempt` if the program succeeded: `value` is `(result, tape)`.

    >>> import tapem as tm
    >>> tm.pure(1).attempt().value[0]
    1
    """

    value: A


class Err(NamedTuple):
    """The result of `attempt` if the program failed: the error, as a value.

    >>> import tapem as tm
    >>> tm.fail(tm.TapeError("no")).attempt().error
    TapeError('no')
    """

    error: TapeError


__all__ = ["Err", "Ok"]
