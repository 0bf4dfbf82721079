"""Bridges: tapem functions in other libraries."""

from tapem.bridges.to_jax import to_jax

__all__ = ["to_jax"]
