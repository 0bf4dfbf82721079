"""JAX's modules, imported when they are first used: tapem works without JAX."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from tapem.errors import ArgumentError


class Lazy:
    """A module that is imported when a name of it is asked for."""

    def __init__(self, name: str) -> None:
        """Import nothing yet."""
        self.name = name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # what looks at every object asks for these
            raise AttributeError(name)
        return getattr(importlib.import_module(self.name), name)


jax: Any = Lazy("jax")
jnp: Any = Lazy("jax.numpy")
lax: Any = Lazy("jax.lax")
special: Any = Lazy("jax.scipy.special")
custom_derivatives: Any = Lazy("jax.custom_derivatives")

_OLDEST = (0, 5)


def require_jax(caller: str) -> None:
    """Raise ArgumentError if JAX is not installed, or is too old."""
    if importlib.util.find_spec("jax") is None:
        raise ArgumentError(f"{caller} needs JAX, which is not installed: pip install 'tapem[jax]'.")
    version: str = importlib.import_module("jax").__version__
    if tuple(map(int, version.split(".")[:2])) < _OLDEST:
        raise ArgumentError(f"{caller} needs JAX 0.5 or newer, and {version} is installed: pip install 'tapem[jax]'.")


__all__ = ["custom_derivatives", "jax", "jnp", "lax", "require_jax", "special"]
