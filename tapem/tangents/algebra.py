"""The algebra: how tangents add and multiply, with each other and with arrays and primals.

Each operation is one function, with its cases in order of precedence: zeros, what is not implemented, One, Thunk,
Composite, anything else.
"""

import operator
from collections.abc import Callable

import numpy as np

from tapem.errors import NoRuleError, TangentError
from tapem.tangents.composite import Composite, alike, join_fields, map_fields, perturbed, perturbs
from tapem.tangents.symbols import (
    ALGEBRA,
    AbstractZero,
    DoesNotExist,
    NotImplementedTangent,
    One,
    Operand,
    Tangent,
    Zero,
    described,
    extern,
)
from tapem.tangents.thunks import InplaceableThunk, Thunk, force

_ZERO, _DOES_NOT_EXIST = Zero(), DoesNotExist()


def add(a: Operand, b: Operand) -> Operand:
    """Add two tangents, or a primal and its tangent, without changing either.

    If one operand is a zero, the result is the other one itself, not a copy. A sum with what is not implemented is not
    implemented. `accumulate` may work in place.

    Raises TangentError if the sum has no meaning: Composites of different types, a Composite and a value of another
    type, or a tuple or list without a Composite, which Python would concatenate.

    >>> add(Zero(), np.ones(2)), add(One(), np.ones(2)), add(tm.thunk(1), tm.thunk(2))
    (array([1., 1.]), array([2., 2.]), 3)
    """
    if type(a) is np.ndarray and type(b) is np.ndarray:
        return a + b
    if type(a) is Zero:
        return b
    if type(b) is Zero:
        return a
    if type(a) is DoesNotExist:
        return b
    if type(b) is DoesNotExist:
        return a
    if isinstance(a, NotImplementedTangent) or isinstance(b, NotImplementedTangent):
        return a if isinstance(a, NotImplementedTangent) else b
    if isinstance(a, Thunk) or isinstance(b, Thunk):
        return add(force(a), force(b))
    if isinstance(a, Composite):
        return _add_to_composite(a, b)
    if isinstance(b, Composite):
        return _add_to_composite(b, a)
    if _is_plain(a) or _is_plain(b):
        raise _meaningless("+", a, b)
    return (1 if type(a) is One else a) + (1 if type(b) is One else b)


def _add_to_composite(c: Composite, x: Operand) -> Operand:
    if isinstance(x, Composite) and alike(c, x):
        return join_fields(add, c, x)
    if isinstance(x, Composite):
        raise _meaningless("+", c, x)
    if not perturbs(c, x):
        raise _meaningless("+", x, c)
    return perturbed(x, c, add)


def accumulate(total: Operand, x: Operand) -> Operand:
    """Add as `add` does, but into the memory of `total` if the result fits; only the owner of `total` may call this.

    Raises TangentError if `add` does, if the shapes differ, or if `add_into` does not return the array it was given.
    The source is ChainRulesCore's `add!!`.

    >>> total = np.ones(2)
    >>> accumulate(total, np.ones(2)) is total, total
    (True, array([2., 2.]))
    """
    if type(total) is np.ndarray and total.flags.writeable and type(x) is InplaceableThunk:
        if x.add_into(total) is not total:
            raise TangentError(f"add_into of {x!r} must return the array it was given")
        return total
    if isinstance(total, AbstractZero) or isinstance(x, AbstractZero):
        return add(total, x)
    total, x = force(total), force(x)
    symbolic = isinstance(total, Tangent) or isinstance(x, Tangent)
    if not symbolic and getattr(total, "shape", ()) != getattr(x, "shape", ()):
        raise TangentError(f"{described(x)} cannot be added into {described(total)}: the shapes differ")
    if type(total) is np.ndarray and type(x) is np.ndarray and total.flags.writeable and x.dtype == total.dtype:
        total += x
        return total
    return add(total, x)


def multiply(a: Operand, b: Operand) -> Operand:
    """Multiply tangents, or a tangent and a factor: Zero annihilates, then DoesNotExist, One is the identity.

    These cases do not evaluate a Thunk: Zero * Thunk is Zero, as in ChainRulesCore, and One * Thunk is the Thunk. A
    Composite is multiplied by a scalar, field by field.

    Raises TangentError for a Composite times anything but a scalar, and for a tuple or list, which Python would repeat;
    NoRuleError for what is not implemented.

    >>> multiply(Zero(), np.ones(2)), multiply(np.ones(2), One()), multiply(Composite(tuple, 1.0, One()), 3)
    (Zero(), array([1., 1.]), Composite(tuple, 3.0, 3))
    """
    return product(a, b)


def product(
    a: Operand, b: Operand, symbol: str = "*", times: Callable[[Operand, Operand], Operand] = operator.mul
) -> Operand:
    """Multiply as `multiply` does, but by the product `times`, whose sign in errors is `symbol`."""
    if type(a) is Zero or type(b) is Zero:
        return _ZERO
    if type(a) is DoesNotExist or type(b) is DoesNotExist:
        return _DOES_NOT_EXIST
    if type(a) is One:
        return b
    if type(b) is One:
        return a
    if isinstance(a, NotImplementedTangent) or isinstance(b, NotImplementedTangent):
        raise _meaningless(symbol, a, b)
    # Evaluate one at a time: if the first is a zero, the second is never computed.
    if isinstance(a, Thunk):
        return product(force(a), b, symbol, times)
    if isinstance(b, Thunk):
        return product(a, force(b), symbol, times)
    c, factor = (a, b) if isinstance(a, Composite) else (b, a)
    if _is_plain(a) or _is_plain(b):
        raise _meaningless(symbol, a, b)
    if not isinstance(c, Composite):
        return times(a, b)
    if isinstance(factor, Composite) or symbol != "*" or getattr(factor, "ndim", 0) != 0:
        raise _meaningless(symbol, a, b)
    return map_fields(lambda x: multiply(x, factor), c)


def _is_plain(x: Operand) -> bool:
    return isinstance(x, tuple | list)


def divide(a: Operand, b: Operand) -> Operand:
    """Divide a tangent by a number or an array; a zero divided by anything is the same zero.

    Raises TangentError if the divisor is a zero or a Composite, and for a Composite divided by anything but a scalar.

    >>> divide(Zero(), np.ones(2)), divide(One(), 4.0), divide(Composite(tuple, 1.0, Zero()), 2.0)
    (Zero(), 0.25, Composite(tuple, 0.5, Zero()))
    """
    if isinstance(a, AbstractZero) and not isinstance(b, AbstractZero | NotImplementedTangent | Composite):
        return a
    a, b = force(a), force(b)
    if type(b) is One:
        return a
    if (
        isinstance(a, NotImplementedTangent)
        or isinstance(b, AbstractZero | NotImplementedTangent | Composite)
        or _is_plain(a)
        or _is_plain(b)
    ):
        raise _meaningless("/", a, b)
    if isinstance(a, AbstractZero):
        return a
    if not isinstance(a, Composite):
        return (1 if type(a) is One else a) / b
    if getattr(b, "ndim", 0) != 0:
        raise _meaningless("/", a, b)
    return map_fields(lambda x: divide(x, b), a)


def _subtract(a: Operand, b: Operand) -> Operand:
    if isinstance(a, NotImplementedTangent) or isinstance(b, NotImplementedTangent):
        raise _meaningless("-", a, b)
    a = a if isinstance(b, AbstractZero) else force(a)
    if isinstance(a, Composite) and not isinstance(b, Tangent):
        raise _meaningless("-", a, b)
    return add(a, _negative(b))


def _matmul(a: Operand, b: Operand) -> Operand:
    return product(a, b, "@", np.matmul)


def _negative(x: Operand) -> Operand:
    x = force(x)
    if isinstance(x, AbstractZero):
        return x
    return map_fields(_negative, x) if isinstance(x, Composite) else -extern(x)


def _equal(a: Operand, b: Operand) -> bool:
    a, b = force(a), force(b)
    if isinstance(a, Composite) and isinstance(b, Composite):
        return alike(a, b) and all(join_fields(_equal, a, b).__backing__.values())
    return a is b if isinstance(a, Tangent) or isinstance(b, Tangent) else np.array_equal(a, b)


def _not_equal(a: Operand, b: Operand) -> bool:
    return not _equal(a, b)


def conj(x: Operand) -> Operand:
    """The complex conjugate of a tangent; of a Thunk it is a Thunk, as in later ChainRulesCore.

    >>> conj(2 + 1j), conj(Zero()), conj(Composite(tuple, 1j)), extern(conj(tm.thunk(1j)))
    ((2-1j), Zero(), Composite(tuple, -1j), -1j)
    """
    if isinstance(x, Thunk):
        return Thunk(lambda: conj(x()))
    if isinstance(x, Tangent):
        return map_fields(conj, x) if isinstance(x, Composite) else x
    if isinstance(x, int | float | complex):
        return x.conjugate()
    return np.conjugate(x) if x.dtype.kind == "c" else x


def zero(x: Operand) -> Zero:
    """The additive identity for `x`: always Zero(), since zeros are never materialized.

    >>> zero(np.ones(3)), zero(DoesNotExist())
    (Zero(), Zero())
    """
    return _ZERO


def _meaningless(symbol: str, a: Operand, b: Operand) -> TangentError | NoRuleError:
    for operand in (a, b):
        if isinstance(operand, NotImplementedTangent):
            return operand.error(f"{described(a)} {symbol} {described(b)} was asked for")
    return TangentError(f"{described(a)} {symbol} {described(b)} has no meaning")


ALGEBRA.update(
    {
        np.add: add,
        np.subtract: _subtract,
        np.multiply: multiply,
        np.matmul: _matmul,
        np.negative: _negative,
        np.conjugate: conj,
        np.equal: _equal,
        np.not_equal: _not_equal,
    }
)
