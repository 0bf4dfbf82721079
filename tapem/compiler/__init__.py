"""Compile: the tape leaves the interpreter."""

from tapem.compiler.compiled import Compiled, compile

__all__ = ["Compiled", "compile"]
