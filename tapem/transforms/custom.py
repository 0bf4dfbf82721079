"""Rules that users give to their own functions, and values that are constants of derivatives.

The results of a user's rule are checked here, so that an error names the user's function.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from contextlib import ContextDecorator
from contextvars import Token
from typing import Any, TypeVar

import numpy as np

from tapem import core
from tapem.core import (
    CONTEXT,
    RecordingContext,
    ShapeDtype,
    leaves_or_none,
    prepared,
    run,
    set_back,
    tree_flatten,
    tree_map,
    tree_unflatten,
)
from tapem.errors import ArgumentError, NoRuleError, ShapeError
from tapem.sweeps import fit_given, zeros_of
from tapem.tangents import DoesNotExist, Zero, add, described
from tapem.transforms.custom_function import Call, Custom
from tapem.transforms.tracing import function_name
from tapem.types import is_inexact

R = TypeVar("R", bound=Callable[..., Any])


class custom_vjp(Custom):
    """A function whose reverse-mode rule the user gives.

    `fwd(*xs) -> (y, residuals)` computes the value and the tree of values that the pullback needs;
    `bwd(residuals, cotangent) -> tuple` gives one cotangent per argument, where None or Zero() stands for nothing, also
    within a tree. Also as a decorator of the function itself, with `.defvjp(fwd, bwd)`. The rule holds in both modes
    (forward mode transposes bwd), at every order and under vmap; bwd must be linear in the cotangent.

    `fwd` is given all arguments by position, those named in the call and the defaults too, and may call the function.
    Arguments that `nondiff_argnums` names are passed to bwd first, and have no cotangent; neither have integers.

    Raises ShapeError, DTypeError or TreeError for what fwd and bwd return, if it does not fit; TapeError if the
    function closes over traced values.

    >>> import numpy as np, tapem as tm
    >>> clipped = custom_vjp(lambda x: (x, None), lambda _, g: (np.clip(g, -1.0, 1.0),))
    >>> tm.grad(lambda x: 100 * clipped(x))(2.0)
    np.float64(1.0)
    """

    def __init__(
        self, fwd: Callable[..., Any], bwd: Callable[..., Any] | None = None, *, nondiff_argnums: Sequence[int] = ()
    ) -> None:
        """With both parts of the rule, or with the function alone, to be given its rule by `defvjp`."""

        def first(*xs: Any) -> Any:
            return pair(fwd(*xs), function_name(fwd), "fwd", "(y, residuals)")[0]

        super().__init__(fwd if bwd is None else first, fwd, nondiff_argnums)
        self.rule: tuple[Callable[..., Any], Callable[..., Any]] | None = None if bwd is None else (fwd, bwd)

    def defvjp(self, fwd: Callable[..., Any], bwd: Callable[..., Any]) -> None:
        """Give the rule: `fwd(*xs) -> (y, residuals)` and `bwd(residuals, cotangent) -> tuple`."""
        self.rule = fwd, bwd

    def called_with(self, arguments: tuple[Any, ...]) -> Call:
        """One call of the function, with its rule."""
        if self.rule is None:
            raise NoRuleError(f"custom_vjp {self.__name__}: its rule is missing; give it with .defvjp(fwd, bwd).")
        return PullbackCall(self, arguments, *self.rule)


class PullbackCall(Call):
    """A call of a function that has a `custom_vjp`."""

    reverse = True

    def __init__(self, custom: Custom, arguments: tuple[Any, ...], fwd: Any, bwd: Any) -> None:
        """With both parts of its rule."""
        super().__init__(custom, arguments)
        self.fwd = fwd
        self.bwd = bwd

    def forward(self, *operands: Any) -> tuple[list[Any], list[Any]]:
        """The outputs and the residuals, by the user's fwd."""
        y, residuals = pair(self.fwd(*self.full(operands)), self.name, "fwd", "(y, residuals)")
        saved, self.structures["residuals"] = tree_flatten(residuals)
        return self.seen(operands, y, f"the fwd of {self.name}"), saved

    def pull(self, residuals: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        """The cotangents of the operands, by the user's bwd."""
        what = f"the bwd of {self.name}"
        kept = tree_unflatten(self.structures["residuals"], residuals)
        found = self.bwd(*self.fixed, kept, tree_unflatten(self.output_structure(), cotangents))
        parts = self.structure.children()
        if not isinstance(found, tuple | list) or len(found) != len(parts):
            count = len(found) if isinstance(found, tuple | list) else described(found)
            raise ShapeError(f"{what} must return a tuple of {len(parts)} cotangents, one per argument, not {count}.")
        leaves = [
            leaf
            for part, child in zip(found, parts, strict=True)
            for leaf in leaves_or_none(child, part, what, (Zero, DoesNotExist))
        ]
        return [
            self.cotangent(leaf, kind, f"the cotangent that {what} returned", name)
            for leaf, kind, name in zip(leaves, self.inputs, self.names, strict=True)
        ]

    def cotangent(self, cotangent: Any, kind: ShapeDtype, subject: str, argument: str) -> Any:
        """A cotangent as an array or tracer, or Zero; ShapeError or DTypeError if it does not fit its argument."""
        if cotangent is None or not is_inexact(kind.dtype):  # an integer has no derivative, whatever a rule says
            return Zero()
        # Where the function promotes an argument, the cotangent goes back to the dtype that it came from.
        promoted = any(out.dtype.type is not kind.dtype.type for out in self.outputs)
        return fit_given(cotangent, kind, subject, f"the argument {argument}", exact=True, promoted=promoted)


class custom_jvp(Custom):
    """A function whose forward-mode rule the user gives: `rule(primals, tangents) -> (y, dy)`.

    Also as a decorator, with `.defjvp(rule)`, or with `.defjvps` for one rule per argument. The rule holds in both
    modes (reverse mode transposes it), at every order and under vmap; it must be linear in the tangents.

    The rule is given all arguments by position, those named in the call and the defaults too, and may call the
    function. Arguments that `nondiff_argnums` names are passed to it first, and have no tangent.

    Raises ShapeError, DTypeError or TreeError for what the rule returns, if it does not fit; TapeError if the function
    closes over traced values.

    >>> import numpy as np, tapem as tm
    >>> log1pexp = custom_jvp(
    ...     lambda x: np.log1p(np.exp(x)), lambda xs, ts: (np.log1p(np.exp(xs[0])), ts[0] / (1 + np.exp(-xs[0])))
    ... )
    >>> tm.grad(log1pexp)(0.0)
    np.float64(0.5)
    """

    def __init__(
        self, f: Callable[..., Any], rule: Callable[..., Any] | None = None, *, nondiff_argnums: Sequence[int] = ()
    ) -> None:
        """With the rule, or without it, to be given by `defjvp`."""
        super().__init__(f, f, nondiff_argnums)
        self.rule = rule

    def defjvp(self, rule: R) -> R:
        """Give the rule, `rule(primals, tangents) -> (y, dy)`; it is given back, so this can decorate it."""
        self.rule = rule
        return rule

    def defjvps(self, *rules: Callable[..., Any] | None) -> None:
        """Give the rule as one function per argument, `rule(tangent, y, *primals)`, whose results are summed.

        None stands for an argument on which the result is taken not to depend.

        >>> import numpy as np, tapem as tm
        >>> f = custom_jvp(lambda x, y: np.sin(x) * y)
        >>> f.defjvps(lambda t, out, x, y: np.cos(x) * t * y, lambda t, out, x, y: np.sin(x) * t)
        >>> tm.grad(f, argnums=1)(0.0, 3.0)
        np.float64(0.0)
        """
        if self.nondiff_argnums:
            raise ArgumentError(f"{self.__name__}: with nondiff_argnums the rule is one function; give it by defjvp.")

        def rule(primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> tuple[Any, Any]:
            if len(rules) != len(primals):
                raise ArgumentError(
                    f"{self.__name__}: defjvps was given {len(rules)} rules, but the function has {len(primals)} "
                    "arguments; give one for each, or None."
                )
            y = self(*primals)
            parts = [one(t, y, *primals) for one, t in zip(rules, tangents, strict=True) if one is not None]
            dy = functools.reduce(lambda a, b: tree_map(add, a, b, caller=f"the rules of {self.__name__}"), parts)
            return y, dy

        self.rule = rule

    def called_with(self, arguments: tuple[Any, ...]) -> Call:
        """One call of the function, with its rule."""
        if self.rule is None:
            raise NoRuleError(f"custom_jvp {self.__name__}: its rule is missing; give it with .defjvp(rule).")
        return PushforwardCall(self, arguments, self.rule)


class PushforwardCall(Call):
    """A call of a function that has a `custom_jvp`."""

    reverse = False

    def __init__(self, custom: Custom, arguments: tuple[Any, ...], rule: Any) -> None:
        """With its rule."""
        super().__init__(custom, arguments)
        self.rule = rule

    def push(self, inputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """The tangents of the outputs, by the user's rule."""
        what = f"the rule of {self.name}"
        returned = self.rule(*self.fixed, self.tree(inputs), self.tree(tangents))
        y, dy = pair(returned, self.name, "rule", "(y, dy)")
        values = leaves_or_none(self.output_structure(), y, what, ())
        parts = leaves_or_none(self.output_structure(), dy, what, (Zero, DoesNotExist))
        results: list[Any] = []
        for value, part, kind in zip(values, parts, self.outputs, strict=True):
            if value is None or np.shape(value) != kind.shape:
                raise ShapeError(
                    f"{what} returned {described(value)} as its value, but {self.name} itself gives {kind}."
                )
            none = part is None or not is_inexact(kind.dtype)
            subject = f"the tangent that {what} returned"
            results.append(zeros_of(kind) if none else fit_given(part, kind, subject, "a value", exact=True))
        return results


def pair(result: Any, name: str, part: str, due: str) -> tuple[Any, Any]:
    """What a rule returned, which must be a pair; ShapeError if it is not."""
    if not isinstance(result, tuple | list) or len(result) != 2:
        raise ShapeError(f"the {part} of {name} must return a pair {due}, not {described(result)}.")
    return result[0], result[1]


def detach(x: Any) -> Any:
    """The value of `x` (a tree) as a constant of every derivative; also named `stop_gradient`.

    Outside of vmap the result is a plain array, which can be converted to a number.

    >>> import numpy as np, tapem as tm
    >>> tm.grad(lambda x: x * detach(x))(3.0)
    np.float64(3.0)
    """
    leaves = tree_flatten(x)[0]
    if len(leaves) == 1 and leaves[0] is x:
        return core.detach(x)
    return tree_map(core.detach, x)


stop_gradient = detach


def silenced() -> RecordingContext:
    """The context with one more no_grad in force."""
    context = CONTEXT.get()
    return context._replace(constant=context.constant + 1)


class Silent(ContextDecorator):
    """A block in which every result is a constant of the enclosing derivatives."""

    _token: Token[RecordingContext]

    def _recreate_cm(self) -> Silent:
        return Silent()  # as a decorator, it is entered by any number of calls at once

    def __enter__(self) -> None:
        self._token = CONTEXT.set(silenced().usual())

    def __exit__(self, *problem: object) -> None:
        set_back(self._token, lambda now, _: now._replace(constant=now.constant - 1))


def no_grad(thunk: Callable[[], Any] | None = None) -> Any:
    """`no_grad(thunk)` evaluates `thunk()` as a constant of every enclosing derivative; so does `with no_grad():`.

    It applies to all doors: to plain code, `tape.record`, the steps of a `do` program, and steps that are described in
    the block and taken later. A transform that is called in the block differentiates as usual; its results are
    constants. If a generator yields inside the block, no_grad stays in force for its caller until the generator
    continues.

    Inside a transform, a block ends with the transform at the latest. Outside, Ctrl-C inside `__enter__` leaves no_grad
    in force, since Python has not begun to guard the block; `no_grad(thunk)` has no such gap.

    >>> import numpy as np, tapem as tm
    >>> tm.grad(lambda x: x * no_grad(lambda: x * x))(3.0)
    np.float64(9.0)
    """
    return Silent() if thunk is None else run(prepared(silenced()), lambda: detach(thunk()))
