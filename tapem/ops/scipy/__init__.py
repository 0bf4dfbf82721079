"""SciPy's ufuncs as ops. Importing this folder imports SciPy, so it waits until a tracer meets one of them."""

from tapem.ops.scipy import special

__all__ = ["special"]
