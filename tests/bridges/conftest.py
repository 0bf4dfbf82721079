"""JAX in the tests: set to 64 bits, or to 32, and back again. Where it is not installed there is nothing to collect."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import pytest

collect_ignore = [] if importlib.util.find_spec("jax") else ["test_to_jax.py"]


def with_bits(wide: bool) -> Iterator[None]:
    import jax

    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", wide)
    yield
    jax.config.update("jax_enable_x64", before)


@pytest.fixture
def wide() -> Iterator[None]:
    yield from with_bits(True)


@pytest.fixture
def narrow(wide: None) -> Iterator[None]:
    yield from with_bits(False)
