"""Every error that tapem raises: each is a `TapeError` and also the built-in error that fits.

>>> issubclass(ShapeError, ValueError) and issubclass(ShapeError, TapeError)
True
"""

from typing import Any, NamedTuple

from tapem.display import Displayed


class Misfit(NamedTuple):
    """Why a call does not fit its signature, for a display: what each operand must be and is, and what axes are.

    `operands` has name, annotation, found type, and label (a node, or "") of each; `axes` has the name of each axis
    and its size in each operand ("" where the operand does not have it). `hint` says what to do, or nothing.
    """

    operands: tuple[tuple[str, str, str, str], ...]
    axes: tuple[tuple[str, tuple[str, ...]], ...]
    hint: str


class TapeError(Exception, Displayed):
    """The base of every error that tapem raises.

    >>> isinstance(ShapeError("sin(x): ..."), TapeError)
    True
    """

    misfit: Misfit | None = None
    """Of a call that does not fit its signature: the operands and their axes; else None."""

    def __str__(self) -> str:
        # KeyError prints the repr of its argument, which would put the line breaks of a message in quotes.
        return Exception.__str__(self)


class ShapeError(TapeError, ValueError):
    """A shape that does not fit an op's signature, or a result that does not fit its annotation.

    >>> import numpy as np, tapem as tm
    >>> tm.matmul(np.ones((2, 3)), np.ones((2, 3)))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    tapem.errors.ShapeError: matmul(a, b): ...
    """


class DTypeError(TapeError, TypeError):
    """A dtype that does not fit, or a value that is not a tensor (a string, None, a ragged list).

    >>> import tapem as tm
    >>> tm.Tape().leaf("one")
    Traceback (most recent call last):
        ...
    tapem.errors.DTypeError: leaf: its value is 'one', which is not a tensor. Pass a NumPy array, a number, or a Ref.
    """


class ArgumentError(TapeError, ValueError):
    """A static argument (an axis, a stride, a rate ...) that the op does not allow.

    >>> import numpy as np, tapem as tm
    >>> tm.sum(np.ones(2), axis=1)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    tapem.errors.ArgumentError: sum(x): ...
    """


class UnknownRefError(TapeError, KeyError):
    """A Ref, or an id, that is not on this tape.

    >>> import tapem as tm
    >>> x, tape = tm.Tape().leaf(1.0)
    >>> tm.Tape().value(x)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    tapem.errors.UnknownRefError: Ref 0 f64[] is not on this tape ...
    """


class NotScalarError(TapeError, ValueError):
    """An output that is not a scalar of shape (), but must be.

    >>> import numpy as np, tapem as tm
    >>> tm.grad(lambda x: x * 2)(np.ones(3))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    tapem.errors.NotScalarError: grad needs an output of shape (), but the function returned shape (3,) ...
    """


class NoRuleError(TapeError, NotImplementedError):
    """An op or a NumPy function that does not have the rule that a transform needs.

    >>> import numpy as np, tapem as tm
    >>> tm.grad(lambda x: np.sum(np.real_if_close(x)))(np.ones(3))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    tapem.errors.NoRuleError: np.real_if_close has no rule in tapem, so its result would lose the gradient. ...
    """


class ConcretizationError(TapeError, TypeError):
    """A value was requested where only its shape is known, or a number where there is a tracer.

    >>> import math, tapem as tm
    >>> tm.grad(math.sin)(1.0)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    tapem.errors.ConcretizationError: ...: float of Tracer 0 f64[] = 1.0 would lose its gradient. ...
    """


class MissingGradientError(TapeError, KeyError):
    """A gradient that does not exist; the message says why (unreached, constant, not on this tape).

    >>> import tapem as tm
    >>> x, tape = tm.Tape().leaf(1.0)
    >>> c, tape = tape.leaf(2.0, name="c", requires_grad=False)
    >>> y, tape = tape.record(tm.mul, x, c)
    >>> tape.backward_scalar(y)[c]
    Traceback (most recent call last):
        ...
    tapem.errors.MissingGradientError: node 1 'c' (leaf) is constant: it does not require a gradient.
    """


class EscapedTracerError(TapeError, RuntimeError):
    """A tracer that is used after the end of the transform that made it.

    >>> import numpy as np, tapem as tm
    >>> kept = []
    >>> gradient = tm.grad(lambda x: kept.append(x) or x * x)(1.0)
    >>> np.sin(kept[0])  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    tapem.errors.EscapedTracerError: this tracer escaped from the transform that made it ...
    """


class MutationError(TapeError, TypeError):
    """An attempt to change an immutable value in place: a tracer, a node, a tape.

    >>> import numpy as np, tapem as tm
    >>> def zero_first(x):
    ...     x[0] = 0.0
    ...     return np.sum(x)
    >>> tm.grad(zero_first)(np.ones(3))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    tapem.errors.MutationError: x[0] = ... would change a Tracer in place. ...
    """


class StepError(TapeError, TypeError):
    """A program yields or gets a value that is neither a step nor a tensor.

    >>> import tapem as tm
    >>> @tm.do
    ... def program():
    ...     yield "a string"
    >>> program().run()  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    tapem.errors.StepError: the program program yielded 'a string', which is neither a step nor a tensor. ...
    """


class TreeError(TapeError, ValueError):
    """Two trees whose structures differ, but must agree.

    >>> import tapem as tm
    >>> tm.jvp(lambda x: x, (1.0,), (1.0, 2.0))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    tapem.errors.TreeError: ...
    """


class FileFormatError(TapeError, ValueError):
    """A file that cannot be read: it has another format, is cut short, or contradicts itself.

    >>> import pathlib, tempfile, tapem as tm
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "notes.txt"
    >>> _ = path.write_text("no arrays here")
    >>> tm.load(path)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    tapem.errors.FileFormatError: load: ... is not a safetensors file, or only a part of one: ...
    """


class NonFiniteError(TapeError, ArithmeticError):
    """A training whose loss or parameters became NaN or infinite.

    `error.result` is the `tm.Fitted` from before: its `params` are the last finite parameters, and `tm.fit` can resume
    from its `state`.

    >>> import numpy as np, tapem as tm
    >>> data = np.array([1.0, -1.0]), np.zeros(2)
    >>> try:
    ...     with np.errstate(invalid="ignore"):
    ...         tm.fit(lambda w, x: np.sqrt(w * x), lambda p, t: np.mean(p - t), tm.optim.sgd(0.1), data, params=1.0,
    ...                key=tm.random.key(0), epochs=1, progress=False)
    ... except NonFiniteError as error:
    ...     print(error.result.params)
    1.0
    """

    def __init__(self, message: str, result: Any = None) -> None:
        """Keep the message and the result from before."""
        super().__init__(message, result)
        self.result = result

    def __str__(self) -> str:
        return str(self.args[0])


class TangentError(TapeError, TypeError):
    """An operation that has no meaning for these tangents.

    >>> import tapem as tm
    >>> tm.Composite(tuple, 1.0) + tm.Composite(list, 1.0)
    Traceback (most recent call last):
        ...
    tapem.errors.TangentError: Composite(tuple) of 1 + Composite(list) of 1 has no meaning
    """


class FieldError(TapeError, AttributeError, LookupError):
    """A field, position or key that a structure does not have.

    >>> import tapem as tm
    >>> tm.Composite(tuple, 1.0)[1]
    Traceback (most recent call last):
        ...
    tapem.errors.FieldError: tuple has no field 1
    """


class MissingExtraError(TapeError, ImportError):
    """A part of tapem needs a package that is not installed; the message names the extra that installs it.

    >>> issubclass(MissingExtraError, ImportError)
    True
    """
