"""Functions that programs call by name; a printed program brings the source of those that it uses."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

import tapem as tm

from .rows import near, row


def in_thread(f: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function in a thread of its own, and give its result or raise its error here."""
    results: list[Any] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            results.append(f(*arguments))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def in_thread_of_context(f: Callable[..., Any], *arguments: Any) -> Any:
    """The same, in a thread that is given the context of the one that starts it."""
    return in_thread(contextvars.copy_context().run, f, *arguments)


def silently(f: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function in a block without gradients, where even what it hands on is a value of its own."""
    with tm.no_grad():
        return 1 * f(*arguments)


def pulled(f: Callable[..., Any], z: Any) -> Any:
    """The cotangent of `z` for a cotangent that is the cosine of the value."""
    y, pullback = tm.vjp(f, z)
    return pullback(np.cos(y))[0]


TOOLS = {f.__name__: f for f in (in_thread, in_thread_of_context, silently, pulled, row, near)}
