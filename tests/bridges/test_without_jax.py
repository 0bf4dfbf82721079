"""What to_jax says where JAX is not installed, and for what is no function."""

from __future__ import annotations

import importlib.util
import re

import numpy as np
import pytest

import tapem as tm


def test_without_jax(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *_: None)
    with pytest.raises(
        tm.ArgumentError, match=re.escape("to_jax needs JAX, which is not installed: pip install 'tapem[jax]'")
    ):
        tm.to_jax(np.sin)


def test_what_is_no_function() -> None:
    with pytest.raises(tm.ArgumentError, match="to_jax needs a function, not 3"):
        tm.to_jax(3)  # pyright: ignore
