"""Every error that tapem raises: a `TapeError` and, at once, the built-in error that fits.

>>> issubclass(ShapeError, ValueError) and issubclass(ShapeError, TapeError)
True
"""


class TapeError(Exception):
    """The base of every error that tapem raises.

    >>> isinstance(ShapeError("sin(x): ..."), TapeError)
    True
    """

    def __str__(self) -> str:
        # KeyError prints the repr of its argument, which would put the line breaks of a message in quotes.
        return Exception.__str__(self)


class ShapeError(TapeError, ValueError):
    """A shape that does not fit an op's signature, or a result that does not fit its annotation."""


class DTypeError(TapeError, TypeError):
    """A dtype that does not fit, or something that is no tensor at all (a string, None, a ragged list)."""


class ArgumentError(TapeError, ValueError):
    """A static argument (an axis, a stride, a rate ...) outside of what the op allows."""


class UnknownRefError(TapeError, KeyError):
    """A Ref, or an id, that is not on this tape."""


class NotScalarError(TapeError, ValueError):
    """An output that had to be a scalar of shape () and is not."""


class NoRuleError(TapeError, NotImplementedError):
    """An op, or a NumPy function, for which the rule that was needed does not exist."""


class ConcretizationError(TapeError, TypeError):
    """A value was asked for where only a shape is known, or a tracer where only a number would do."""


class MissingGradientError(TapeError, KeyError):
    """A gradient that does not exist; the message says why (unreached, constant, not on this tape)."""


class EscapedTracerError(TapeError, RuntimeError):
    """A tracer that was used after the transform that made it had ended."""


class MutationError(TapeError, TypeError):
    """An attempt to change in place what is immutable: a tracer, a node, a tape."""


class StepError(TapeError, TypeError):
    """A program yielded, or was given, something that is neither a step nor a tensor."""


class TreeError(TapeError, ValueError):
    """Two trees whose structures should agree and do not."""
