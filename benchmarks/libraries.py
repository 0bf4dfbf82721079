"""The libraries to compare, and the only place that imports untyped ones."""

import importlib
import importlib.util
from dataclasses import dataclass
from importlib import metadata
from typing import Any


@dataclass(frozen=True)
class Library:
    """A column of the table: its name, the module that it needs, and a note for the reader."""

    name: str
    module: str
    note: str


LIBRARIES = (
    Library("numpy", "numpy", "gradients written by hand, as an expert would; the unit"),
    Library("numpy-tuned", "numpy", "the same with np.dot and preallocated out= buffers; for information"),
    Library("tapem", "tapem", "tm.value_and_grad of a plain function of tapem's ops and layers, checks on"),
    Library("tapem-compiled", "tapem", 'tm.compile of the same, engine="numpy"'),
    Library("tapem-numba", "numba", 'tm.compile of the same, engine="numba"'),
    Library("tapem-monadic", "tapem", "a @tm.do program, run on a new tape each time"),
    Library("tapem-numpy", "tapem", "tm.value_and_grad of the function written with NumPy's own names"),
    Library("autograd", "autograd", "value_and_grad"),
    Library("mygrad", "mygrad", "as installed, its memory guarding on"),
    Library("mygrad-unguarded", "mygrad", "after mg.turn_memory_guarding_off(), which its manual offers for speed"),
    Library("jax", "jax", "jit, compiled before timing; each step waits for its result"),
    Library("jax-eager", "jax", "value_and_grad without jit"),
    Library("torch", "torch", "eager, loss.backward()"),
    Library("torch.func", "torch", "torch.func.grad_and_value"),
)

BY_NAME = {library.name: library for library in LIBRARIES}


def installed(module: str) -> bool:
    """Whether a module can be found, without importing it."""
    return importlib.util.find_spec(module) is not None


def version(module: str) -> str:
    """The installed version of the distribution with the module's name; empty if there is none (a checkout)."""
    try:
        return metadata.version(module)
    except metadata.PackageNotFoundError:
        return ""


def load(module: str) -> Any:
    """Import a peer by name.

    The peers are optional, and most have no types or incomplete ones. Their modules are Any on purpose, and only here,
    so that a type checker can check the other benchmarks strictly.
    """
    return importlib.import_module(module)


def load_torch() -> Any:
    """Import torch and limit it to one thread, within an operation and between operations."""
    torch = load("torch")
    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    return torch
