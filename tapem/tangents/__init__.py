"""Tangents: what a rule may return besides an array, and how tangents add and multiply.

A tangent perturbs a primal value. Most tangents are arrays and numbers. The classes here are the others: `Zero`,
`DoesNotExist` and `One` are symbols that cost nothing, a `Thunk` is a tangent that is not computed yet, a
`Composite` is the tangent of a structure, and `not_implemented` makes one that is an error where it is needed.

The algebra is a few functions, above all `add` and `multiply`. Operators and NumPy's ufuncs call these functions, so a
sum is the same on whichever side the array is, and never an object array.

The source is the release of ChainRulesCore that had `One` and `Composite`. Where a later release settled a question,
tapem follows it, and the docstring says so.

>>> np.ones(2) + Zero(), 2.0 * Thunk(lambda: 3.0), Composite(tuple, 1.0) + Composite(tuple, 2.0)
(array([1., 1.]), 6.0, Composite(tuple, 3.0))
"""

from tapem.errors import FieldError, TangentError
from tapem.tangents import functions as functions
from tapem.tangents.algebra import accumulate, add, conj, multiply, zero
from tapem.tangents.composite import Composite, backing, canonicalize
from tapem.tangents.symbols import (
    ALGEBRA,
    NO_FIELDS,
    AbstractZero,
    DoesNotExist,
    NoTangent,
    NotImplementedTangent,
    One,
    Operand,
    Tangent,
    Zero,
    ZeroTangent,
    described,
    extern,
    not_implemented,
    unanswered,
)
from tapem.tangents.thunks import InplaceableThunk, Thunk, force, thunk, unthunk

__all__ = [
    "ALGEBRA", "NO_FIELDS", "AbstractZero", "Composite", "DoesNotExist", "FieldError", "InplaceableThunk", "NoTangent",
    "NotImplementedTangent", "One", "Operand", "Tangent", "TangentError", "Thunk", "Zero", "ZeroTangent", "accumulate",
    "add", "backing", "canonicalize", "conj", "described", "extern", "force", "multiply", "not_implemented", "thunk",
    "unanswered", "unthunk", "zero",
]  # fmt: skip
