"""The table from NumPy's functions to ops: through it the doors find ops that they may not import.

The tables are empty here. A declared op enters itself under the NumPy functions that it equals; `ops.numpy`
enters the functions that are made of several ops. So a tracer and its operators reach the ops without importing them.

Arguments are matched by NumPy's names for them. An option that is not known here raises NoRuleError, which names it.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from tapem.core.hints import scipys
from tapem.core.primitive import Primitive
from tapem.core.ufunc_methods import accumulating, every_pair, reducing, reducing_at
from tapem.errors import ArgumentError, MutationError, NoRuleError
from tapem.types import signature_of

Handler: TypeAlias = Callable[..., Any]

OPS: dict[Callable[..., Any], Handler] = {}
"""From a NumPy function to the op that equals it; the op is called with its own arguments."""

UFUNCS: dict[np.ufunc, Handler] = {}
"""From a NumPy ufunc to its handler: an op, or a function made of ops."""

METHODS: dict[tuple[np.ufunc, str], Handler] = {}
"""From a method of a ufunc, such as `(np.add, "reduce")`, to its handler."""

FUNCTIONS: dict[Callable[..., Any], Handler] = {}
"""From any other NumPy function to its handler, which is called with NumPy's arguments."""

CONSTANTS: set[Callable[..., Any]] = set()
"""The functions whose results are constants of every derivative, beside those of ops that are not differentiable."""

REFUSED: dict[Callable[..., Any], str] = {}
"""From a function that writes into its argument to what to write instead."""

ARRAY_API: dict[str | None, ModuleType] = {}
"""From a version of the array API standard to the namespace that conforms to it; None stands for the newest."""


OPTIONS: dict[Callable[..., Any], Handler] = {}
"""From a NumPy function to the handler of those calls that give an option which its op does not have."""


SCIPY = "tapem.ops.scipy"
"""The module that enters SciPy's ufuncs by being imported, which waits until one of them is met."""


def ufunc_handler(ufunc: np.ufunc) -> Handler | None:
    """What computes a ufunc; None if nobody entered it."""
    handler = UFUNCS.get(ufunc)
    if handler is None and scipys(ufunc):
        importlib.import_module(SCIPY)
        handler = UFUNCS.get(ufunc)
    return handler


def name_of(function: Callable[..., Any]) -> str:
    """The name of a NumPy function or of a SciPy ufunc, as users write it.

    >>> name_of(np.linalg.norm), name_of(np.add)
    ('np.linalg.norm', 'np.add')
    """
    if isinstance(function, np.ufunc):
        return f"{'scipy.special' if scipys(function) else 'np'}.{function.__name__}"
    module = getattr(function, "__module__", None) or "numpy"
    return f"{module.replace('numpy', 'np', 1)}.{function.__name__}"


def enter(op: Primitive) -> None:
    """Enter an op under the NumPy functions that it equals.

    Raises ArgumentError if another op is already there.
    """
    for function in op.numpy:
        if OPS.get(function, op) is not op:
            raise ArgumentError(f"{op.name}: {name_of(function)} stands for another op already.")
        OPS[function] = op
        if isinstance(function, np.ufunc):
            enter_ufunc(function, op)
        else:
            FUNCTIONS[function] = Adapted(function, op)


def enter_ufunc(ufunc: np.ufunc, handler: Handler) -> None:
    """Enter the handler of a ufunc, and with it the methods that every ufunc has."""
    UFUNCS[ufunc] = handler
    METHODS[ufunc, "at"] = refusing(ufunc.at, "tm.scatter_add(x, indices, updates, axis)")
    if ufunc.nin == 2 and ufunc.signature is None:
        METHODS[ufunc, "outer"] = functools.partial(every_pair, ufunc)
        if ufunc.nout == 1:
            enter_method(ufunc, "reduce", reducing(ufunc, handler))
            enter_method(ufunc, "accumulate", accumulating(ufunc, handler))
            enter_method(ufunc, "reduceat", reducing_at(ufunc, METHODS))


def enter_method(ufunc: np.ufunc, name: str, handler: Handler) -> None:
    """Enter the handler of a ufunc's method; an option that the handler does not have must be None."""
    ours = inspect.signature(handler).parameters

    def method(*arguments: Any, **options: Any) -> Any:
        for option, value in options.items():
            if option not in ours and value is not None:
                raise NoRuleError(f"{name_of(ufunc)}.{name} with {option}=... has no rule in tapem; call it without.")
        return handler(*arguments, **{option: value for option, value in options.items() if option in ours})

    METHODS[ufunc, name] = method


def enter_function(function: Callable[..., Any], handler: Handler) -> None:
    """Enter the handler of a function, called with NumPy's arguments; it replaces an op's own entry."""
    FUNCTIONS[function] = Adapted(function, handler)


def enter_whole(function: Callable[..., Any], handler: Handler, *, constant: bool = False) -> None:
    """Enter the handler of a function, called with all arguments just as they are given."""
    FUNCTIONS[function] = handler
    if constant:
        CONSTANTS.add(function)


def is_constant(function: Callable[..., Any]) -> bool:
    """Whether a function that is entered has no derivative by its nature: what comes out is a constant."""
    handler = UFUNCS.get(function) if isinstance(function, np.ufunc) else FUNCTIONS.get(function)
    op = handler.handler if isinstance(handler, Adapted) else handler
    return function in CONSTANTS or (isinstance(op, Primitive) and not op.differentiable)


def enter_options(function: Callable[..., Any], handler: Handler) -> None:
    """Enter the handler of those calls that give an option which the op of this function does not have."""
    OPTIONS[function] = Adapted(function, handler)


def enter_refusal(function: Callable[..., Any], instead: str) -> None:
    """Enter a function that writes into its argument: a call raises MutationError, which says what to write instead."""
    FUNCTIONS[function] = refusing(function, instead)
    REFUSED[function] = instead


def refusing(function: Callable[..., Any], instead: str) -> Handler:
    """Make a handler that raises MutationError, for a function that writes into its argument."""

    def refuse(*_: Any, **__: Any) -> Any:
        raise MutationError(f"{name_of(function)} would change a tracer in place. Build a new value: {instead}.")

    return refuse


class Plan(NamedTuple):
    """How the arguments of a NumPy function become those of its handler.

    `theirs` are NumPy's parameters, `ours` the handler's. The first `direct` positional arguments mean the same to
    both; `renamed` maps NumPy's names of them to ours. `open_ended` says whether the NumPy function takes any keyword.
    """

    theirs: Mapping[str, inspect.Parameter]
    ours: Mapping[str, inspect.Parameter]
    direct: int
    renamed: Mapping[str, str]
    open_ended: bool


class Adapted:
    """A handler, called with the arguments of a NumPy function.

    Operands and positional-only parameters are matched by position, the others by name. An option that the handler does
    not have may have NumPy's default value. Any other value is for the handler in OPTIONS, if there is one.

    Raises NoRuleError, which names function and option, if there is none.

    >>> spread = Adapted(np.ptp, lambda a, axis=None: np.max(a, axis) - np.min(a, axis))
    >>> spread(np.ones((2, 3)), axis=0, out=None)
    array([0., 0., 0.])
    >>> spread(np.ones((2, 3)), keepdims=True)
    Traceback (most recent call last):
    tapem.errors.NoRuleError: np.ptp with keepdims=... has no rule in tapem; call it without.
    """

    def __init__(self, function: Callable[..., Any], handler: Handler) -> None:
        """Adapt a handler to a NumPy function; the first call makes the plan."""
        self.function = function
        self.handler = handler

    @functools.cached_property
    def plan(self) -> Plan:
        """How arguments are passed to the handler."""
        theirs, ours = signature_of(self.function).parameters, inspect.signature(self.handler).parameters
        direct = _direct(list(theirs.values()), list(ours.values()), self.handler)
        renamed = dict(zip(list(theirs)[:direct], ours, strict=False))
        open_ended = any(parameter.kind is parameter.VAR_KEYWORD for parameter in theirs.values())
        return Plan(theirs, ours, direct, renamed, open_ended)

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Call the handler with the arguments of the NumPy function."""
        theirs, ours, direct, renamed, open_ended = self.plan
        if not options and len(arguments) <= direct:
            return self.handler(*arguments)
        given = {**dict(zip(list(theirs)[direct:], arguments[direct:], strict=False)), **options}
        keywords: dict[str, Any] = {}
        for name, value in given.items():
            own_name = renamed.get(name, name)
            if own_name in ours:
                keywords[own_name] = value
            elif name not in theirs and not open_ended:
                raise TypeError(f"{name_of(self.function)} has no argument {name!r}")
            elif name not in theirs or not _is_default(value, theirs[name].default):
                rest = OPTIONS.get(self.function, self)
                if name == "out":
                    raise MutationError(
                        f"{name_of(self.function)}(..., out=...) would write into an array; use its result."
                    )
                if rest is not self:
                    return rest(*arguments, **options)
                if _means_nothing(name, value):
                    continue
                raise NoRuleError(f"{name_of(self.function)} with {name}=... has no rule in tapem; call it without.")
        return self.handler(*arguments[:direct], **keywords)


def _direct(theirs: list[inspect.Parameter], ours: list[inspect.Parameter], handler: Handler) -> int:
    """Count the leading positional arguments that mean the same to both."""
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in (*theirs, *ours)):
        return sys.maxsize
    operands: list[str] = handler.operand_names if isinstance(handler, Primitive) else []
    count = 0
    for a, b in zip(theirs, ours, strict=False):
        alike = a.name == b.name or b.name in operands or b.kind is b.POSITIONAL_ONLY
        if not alike or b.kind is b.KEYWORD_ONLY:
            break
        count += 1
    return count


def _means_nothing(name: str, value: Any) -> bool:
    """Whether an option asks only for a layout in memory, a subclass or a device: a value on a tape has none."""
    return (
        name == "subok"
        or (name == "order" and value in ("C", "F", "A", "K"))
        or (name == "device" and value in (None, "cpu"))
    )


def _is_default(value: Any, default: Any) -> bool:
    return value is default or (isinstance(value, str | bool | int) and value == default)
