"""The ops, by family: each is one declaration that carries its rules.

A folder of its own, `numpy`, makes of them NumPy's other functions.
"""

from tapem.ops import numpy

__all__ = ["numpy"]
