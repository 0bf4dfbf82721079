"""The examples in docstrings: each runs and gives what it says, and no public name is without one."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import layers
import losses
import tapem
from tapem.core.primitive import Primitive
from tapem.types import NUMPY

PACKAGES = (tapem, layers, losses)


def modules() -> list[ModuleType]:
    """Every module of the three packages."""
    names = [
        name for package in PACKAGES for _, name, _ in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    ]
    return [*PACKAGES, *map(importlib.import_module, names)]


def documented(module: ModuleType) -> Iterator[tuple[str, str]]:
    """The docstrings of a module and of all that is defined in it, each with its name.

    Doctest's own finder takes the module, its functions and its classes with their methods; ops are instances, with
    docstrings of their own, which it passes over.
    """
    finder = doctest.DocTestFinder(exclude_empty=True)
    for found in finder.find(module, module.__name__):
        yield found.name, found.docstring
    for name, value in vars(module).items():
        if isinstance(value, Primitive) and value.__module__ == module.__name__:
            yield f"{module.__name__}.{name}", value.__doc__ or ""


def examples() -> list[Any]:
    """Every docstring that has examples, with the module whose names they may use."""
    return [
        pytest.param(module, name, text, id=name)
        for module in modules()
        for name, text in documented(module)
        if ">>>" in text
    ]


@pytest.mark.parametrize(("module", "name", "text"), examples())
def test_example(module, name, text):
    """What an example prints is what it says; `np`, `tm` and the names of its module are at hand."""
    names = {"np": np, "tm": tapem, **vars(module), "__name__": "__main__"}
    test = doctest.DocTestParser().get_doctest(text, names, name, inspect.getsourcefile(module), 0)
    report: list[str] = []
    outcome = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS, verbose=False).run(test, out=report.append)
    assert outcome.attempted > 0
    assert not outcome.failed, "".join(report)


def public(package: ModuleType, path: str) -> Iterator[tuple[str, Any]]:
    """The public names of a package and of the modules that it offers, with what they stand for.

    A name for an annotation (`Params`), a constant or a dtype of NumPy has no docstring of its own, and needs none.
    Functions of NumPy are documented by NumPy, in 2.0 without examples.
    """
    for name in leaf_names(package):
        value = getattr(package, name)
        if isinstance(value, ModuleType):
            yield from public(value, f"{path}.{name}")
        elif inspect.isclass(value) and issubclass(value, np.generic):
            continue
        elif NUMPY < (2, 1) and value in (getattr(np, name, None), getattr(np.linalg, name, None)):
            continue
        elif isinstance(value, Primitive) or inspect.isclass(value) or inspect.isroutine(value):
            yield f"{path}.{name}", value


def leaf_names(package: ModuleType) -> list[str]:
    """What a package offers: its `__all__`, or what it imports on purpose, `from there import name as name`."""
    if hasattr(package, "__all__"):
        return list(package.__all__)
    return re.findall(r"^from \S+ import (\w+) as \1$", inspect.getsource(package), re.MULTILINE)


PUBLIC = [entry for package in PACKAGES for entry in public(package, package.__name__)]


@pytest.mark.parametrize(("name", "value"), PUBLIC, ids=[name for name, _ in PUBLIC])
def test_every_public_name_has_an_example(name, value):
    """A reader who asks `help` of any public name finds something that can be tried."""
    assert ">>>" in (value.__doc__ or ""), f"the docstring of {name} has no example"


def test_the_walk_finds_what_it_should():
    """The tests above would pass on an empty list too."""
    names = {name for name, _ in PUBLIC}
    expected = {"tapem.Tape", "tapem.grad", "tapem.sin", "tapem.random.key", "tapem.optim.adam", "tapem.testing.shaped"}
    assert expected | {"layers.Linear", "layers.linear", "losses.mse", "layers.initializers.he_normal"} <= names
    assert {"tapem.doors.pure.tape.Tape.leaf", "tapem.ops.exponential.exp"} <= {param.id for param in examples()}
