"""Which op each NumPy function stands for: what makes plain NumPy code differentiable.

An op names the NumPy functions that it equals where it is declared; this file collects them. The functions whose
arguments differ from an op's, or that are made of several, are adapted in `numpy_functions`. In both cases arguments
are matched as NumPy names them, and an option that nobody here knows is refused by name, never ignored.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Callable, Mapping
from types import MappingProxyType, ModuleType
from typing import Any

import numpy as np

from tapem import ops
from tapem.core.hints import scipys
from tapem.core.primitive import Primitive
from tapem.errors import MutationError, NoRuleError
from tapem.ops.numpy import functions as numpy_functions
from tapem.ops.numpy import linalg as numpy_linalg
from tapem.ops.numpy import numerics as numpy_numerics
from tapem.ops.numpy import statistics as numpy_statistics


def ops_of(package: ModuleType) -> list[Primitive]:
    """Every op that the modules of a package declare."""
    names = [module.name for module in pkgutil.iter_modules(package.__path__)]
    modules = [importlib.import_module(f"{package.__name__}.{name}") for name in names]
    return [value for module in modules for value in vars(module).values() if isinstance(value, Primitive)]


def name_of(function: Callable[..., Any]) -> str:
    """A function of NumPy, or a ufunc of SciPy, as users write it.

    >>> name_of(np.linalg.norm), name_of(np.add)
    ('np.linalg.norm', 'np.add')
    """
    if isinstance(function, np.ufunc):
        return f"{'scipy.special' if scipys(function) else 'np'}.{function.__name__}"
    module = getattr(function, "__module__", None) or "numpy"
    return f"{module.replace('numpy', 'np', 1)}.{function.__name__}"


def adapted(function: Callable[..., Any], handler: Callable[..., Any]) -> Callable[..., Any]:
    """The handler, called with the arguments of a NumPy function.

    Arguments are matched by name, but operands and positional-only parameters by position. An option that the handler
    lacks may be given NumPy's default for it.

    Raises NoRuleError, naming function and option, for any other value.

    >>> total = adapted(np.sum, lambda a, axis=None: np.sum(a, axis))
    >>> total(np.ones((2, 3)), axis=0, out=None)
    array([2., 2., 2.])
    >>> total(np.ones(3), None, np.float32)
    Traceback (most recent call last):
    tapem.errors.NoRuleError: np.sum with dtype=... has no rule in tapem; call it without.
    """
    theirs, ours = inspect.signature(function).parameters, inspect.signature(handler).parameters
    open_ended = any(parameter.kind is parameter.VAR_KEYWORD for parameter in theirs.values())
    names, direct = list(theirs), _direct(list(theirs.values()), list(ours.values()), handler)
    renamed = dict(zip(names[:direct], ours, strict=False))

    def call(*arguments: Any, **options: Any) -> Any:
        if not options and len(arguments) <= direct:
            return handler(*arguments)
        given = {**dict(zip(names[direct:], arguments[direct:], strict=False)), **options}
        keywords: dict[str, Any] = {}
        for name, value in given.items():
            own_name = renamed.get(name, name)
            if own_name in ours:
                keywords[own_name] = value
            elif name not in theirs and not open_ended:
                raise TypeError(f"{name_of(function)} has no argument {name!r}")
            elif name not in theirs or not _is_default(value, theirs[name].default):
                raise NoRuleError(f"{name_of(function)} with {name}=... has no rule in tapem; call it without.")
        return handler(*arguments[:direct], **keywords)

    return call


def _direct(theirs: list[inspect.Parameter], ours: list[inspect.Parameter], handler: Any) -> int:
    """How many positional arguments mean the same to both."""
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


def _is_default(value: Any, default: Any) -> bool:
    return value is default or (isinstance(value, str | bool | int) and value == default)


def refusing(function: Callable[..., Any], instead: str) -> Callable[..., Any]:
    """A handler that says why a function that writes into its argument cannot be used, and what to write instead."""

    def refuse(*_: Any, **__: Any) -> Any:
        raise MutationError(f"{name_of(function)} would change a tracer in place. Build a new value: {instead}.")

    return refuse


def outer(op: Callable[..., Any]) -> Callable[..., Any]:
    """`ufunc.outer`: every element of `a` with every element of `b`."""

    def every_pair(a: Any, b: Any) -> Any:
        return op(np.reshape(a, (*np.shape(a), *(1,) * np.ndim(b))), b)

    return every_pair


def method(ufunc: np.ufunc, name: str, handler: Callable[..., Any]) -> Callable[..., Any]:
    """The handler of a ufunc's method; NoRuleError for an option that it lacks, unless it is None."""
    ours = inspect.signature(handler).parameters

    def call(*arguments: Any, **options: Any) -> Any:
        for option, value in options.items():
            if option not in ours and value is not None:
                raise NoRuleError(f"{name_of(ufunc)}.{name} with {option}=... has no rule in tapem; call it without.")
        return handler(*arguments, **{option: value for option, value in options.items() if option in ours})

    return call


OPS = ops_of(ops)

UFUNCS: Mapping[np.ufunc, Callable[..., Any]] = MappingProxyType(
    {
        **{function: op for op in OPS for function in op.numpy if isinstance(function, np.ufunc)},
        **numpy_functions.UFUNCS,
    }
)

REDUCTIONS: Mapping[tuple[np.ufunc, str], Callable[..., Any]] = MappingProxyType(
    {(ufunc, "outer"): outer(op) for ufunc, op in UFUNCS.items() if ufunc.nin == 2 and ufunc.signature is None}
    | {(ufunc, "at"): refusing(ufunc.at, "tm.scatter_add(x, indices, updates, axis)") for ufunc in UFUNCS}
    | {(ufunc, name): method(ufunc, name, handler) for (ufunc, name), handler in numpy_functions.REDUCTIONS.items()}
)

ADAPTERS = numpy_linalg.ADAPTERS | numpy_numerics.ADAPTERS | numpy_statistics.ADAPTERS

FUNCTIONS: Mapping[Callable[..., Any], Callable[..., Any]] = MappingProxyType(
    {function: refusing(function, instead) for function, instead in numpy_functions.IN_PLACE.items()}
    | {function: adapted(function, op) for op in OPS for function in op.numpy if not isinstance(function, np.ufunc)}
    | {function: adapted(function, handler) for function, handler in ADAPTERS.items()}
)
