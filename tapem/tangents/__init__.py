"""Tangents: what a rule may return besides an array, and how such things add and multiply.

A tangent is whatever can perturb a primal value. Most are arrays and numbers. The classes here are the others: `Zero`,
`DoesNotExist` and `One` are symbols that cost nothing, a `Thunk` is a tangent not yet computed, and a `Composite` is
the tangent of a structure.

The algebra is a few functions, `add` and `multiply` above all. Operators and NumPy's ufuncs are doors to these
functions, so a sum is the same on whichever side an array stands, and no object array is ever made.

The source is ChainRulesCore, the release that had `One` and `Composite`. Where later releases settled a question, their
answer is taken and the docstring says so.

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
    One,
    Operand,
    Tangent,
    Zero,
    ZeroTangent,
    described,
    extern,
    unanswered,
)
from tapem.tangents.thunks import InplaceableThunk, Thunk, force, thunk, unthunk

__all__ = [
    "ALGEBRA", "NO_FIELDS", "AbstractZero", "Composite", "DoesNotExist", "FieldError", "InplaceableThunk", "NoTangent",
    "One", "Operand", "Tangent", "TangentError", "Thunk", "Zero", "ZeroTangent", "accumulate", "add", "backing",
    "canonicalize", "conj", "described", "extern", "force", "multiply", "thunk", "unanswered", "unthunk", "zero",
]  # fmt: skip
