"""Names that changed: the old name works for one release, and its warning tells the new one."""

from __future__ import annotations

import functools
import importlib
import sys
import warnings
from collections.abc import Callable, Collection
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def renamed_parameters(**names: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let a function take keyword arguments by their old names, each with a DeprecationWarning.

    `names` maps the old names to the new ones. Raises TypeError if both are given.

    >>> @renamed_parameters(colour="color")
    ... def paint(color):
    ...     return color
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     paint(colour="red"), str(caught[0].message)
    ('red', "paint: the parameter 'colour' is called 'color' now.")
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def call(*arguments: P.args, **options: P.kwargs) -> R:
            given: dict[str, Any] = options
            for old, new in names.items():
                if old in given:
                    if new in given:
                        raise TypeError(f"{function.__name__} got {new!r} twice, once as {old!r}")
                    message = f"{function.__name__}: the parameter {old!r} is called {new!r} now."
                    warnings.warn(message, DeprecationWarning, stacklevel=2)
                    given[new] = given.pop(old)
            return function(*arguments, **given)

        return call

    return decorate


def renamed_names(module: str, *, on_demand: Collection[str] = (), **names: str) -> Callable[[str], Any]:
    """Make a module's `__getattr__` that gives the new names for the old ones, each with a DeprecationWarning.

    `module` is the module's `__name__`, and `names` maps the old names to the new ones. The submodules `on_demand` are
    imported when somebody asks for them, so that importing the package costs less.

    >>> renamed_names("math", tau_halved="pi")("other")
    Traceback (most recent call last):
    AttributeError: module 'math' has no attribute 'other'
    """

    def get(name: str) -> Any:
        if name in on_demand:
            return importlib.import_module(f"{module}.{name}")
        new = names.get(name)
        if new is None:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        warnings.warn(f"{module}.{name} is called {module}.{new} now.", DeprecationWarning, stacklevel=2)
        return getattr(sys.modules[module], new)

    return get
