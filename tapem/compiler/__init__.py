"""Compile: the tape leaves the interpreter."""

from tapem.compiler.compiled import Compiled, compile
from tapem.compiler.tracing import traced

__all__ = ["Compiled", "compile", "traced"]
