"""The engines: each turns a program into something that runs."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from typing import NamedTuple

from tapem.compiler.engines.engine import Engine, Runner
from tapem.errors import ArgumentError


class Place(NamedTuple):
    """Where an engine is: the module, the class in it, and the module and the extra that it needs."""

    module: str
    name: str
    needs: str
    extra: str


ENGINES: Mapping[str, Place] = {
    "numba": Place("tapem.compiler.engines.numba", "NumbaEngine", "numba", "numba"),
    "numpy": Place("tapem.compiler.engines.numpy", "NumpyEngine", "numpy", ""),
}
"""The engines by their names, the fastest first; their modules are imported when they are asked for."""


def engine_named(name: str | None, fast: bool = True) -> Engine:
    """The engine of this name; by default the fastest that is installed, or NumPy if values are to be those of NumPy.

    Raises ArgumentError for an unknown name, and for an engine that is not installed.
    """
    if name is None:
        name = next(key for key, place in ENGINES.items() if installed(place)) if fast else "numpy"
    place = ENGINES.get(name)
    if place is None:
        raise ArgumentError(f"compile: there is no engine {name!r}; the engines are {', '.join(ENGINES)}.")
    if not installed(place):
        raise ArgumentError(
            f"compile: the engine {name!r} needs {place.needs}, which is not installed: "
            f"pip install 'tapem[{place.extra}]'."
        )
    engine: type[Engine] = getattr(importlib.import_module(place.module), place.name)
    return engine()


def installed(place: Place) -> bool:
    """Whether what an engine needs can be imported."""
    return importlib.util.find_spec(place.needs) is not None


__all__ = ["ENGINES", "Engine", "Runner", "engine_named"]
