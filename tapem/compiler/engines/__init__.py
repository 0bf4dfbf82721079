"""The engines: each turns a program into something that runs."""

from __future__ import annotations

from tapem.compiler.engines.engine import Engine, Runner
from tapem.compiler.engines.numpy import NumpyEngine
from tapem.errors import ArgumentError

from tapem.compiler.engines.numba import NumbaEngine
ENGINES: dict[str, type[Engine]] = {"numpy": NumpyEngine, "numba": NumbaEngine}


def engine_named(name: str | None) -> Engine:
    """The engine of this name; by default the fastest that is installed."""
    if name is None:
        return NumpyEngine()
    if name not in ENGINES:
        raise ArgumentError(f"compile: there is no engine {name!r}; the engines are {', '.join(ENGINES)}.")
    return ENGINES[name]()


__all__ = ["Engine", "Runner", "engine_named"]
