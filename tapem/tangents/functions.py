"""NumPy's functions of tangents, so that a rule can treat a tangent as an array.

Rules are linear in tangents, so a function that a rule applies to a zero tangent gives zeros: it returns a symbolic
zero unchanged, whatever its shape would be. A function that is not linear, or needs the shape of a zero, raises
TangentError. A Thunk counts as its value. A function that only moves elements returns One unchanged.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, cast

import numpy as np

from tapem.tangents.algebra import add, divide, product
from tapem.tangents.composite import Composite, map_fields
from tapem.tangents.symbols import (
    ALGEBRA,
    AbstractZero,
    NotImplementedTangent,
    One,
    Operand,
    Symbol,
    Tangent,
    leaves,
    unanswered,
)
from tapem.tangents.thunks import computed, force, forced
from tapem.types import present, signature_of

Meaning: TypeAlias = Callable[..., Operand]

# The result is zero if one of the arguments is.
PRODUCTS = [
    *(np.dot, np.vdot, np.inner, np.outer, np.tensordot, np.einsum, np.kron, np.cross, np.convolve, np.correlate),
    *(np.linalg.multi_dot, np.linalg.matmul, np.linalg.outer, np.linalg.tensordot, np.linalg.vecdot, np.linalg.cross),
]

# These move, choose or repeat elements: if all elements are 0 (or 1), so is the result.
MOVES = [
    *(np.transpose, np.matrix_transpose, np.linalg.matrix_transpose, np.swapaxes, np.moveaxis, np.rollaxis),
    *(np.reshape, np.ravel, np.squeeze, np.expand_dims, np.atleast_1d, np.atleast_2d, np.atleast_3d),
    *(np.broadcast_to, np.tile, np.repeat, np.resize, np.flip, np.fliplr, np.flipud, np.roll, np.rot90),
    *(np.take, np.take_along_axis, np.compress, np.extract, np.delete, np.diagonal, np.linalg.diagonal),
    *(np.copy, np.astype, np.real, np.sort),
]

# The result is zero if the first argument is.
SUMS = [
    *(np.sum, np.mean, np.average, np.cumsum, np.trace, np.linalg.trace, np.diff, np.ediff1d, np.trapezoid),
    *(np.nansum, np.nanmean, np.nancumsum, np.max, np.min, np.amax, np.amin, np.nanmax, np.nanmin, np.ptp),
    *(np.prod, np.cumprod, np.nanprod, np.nancumprod, np.var, np.std, np.nanvar, np.nanstd, np.median, np.nanmedian),
    *(np.linalg.norm, np.linalg.vector_norm, np.linalg.matrix_norm),
    *(np.diag, np.diagflat, np.triu, np.tril, np.pad, np.imag, np.round, np.around, np.zeros_like),
    *(np.fft.fft, np.fft.ifft, np.fft.rfft, np.fft.irfft, np.fft.fft2, np.fft.ifft2, np.fft.fftn, np.fft.ifftn),
    *(np.fft.rfft2, np.fft.irfft2, np.fft.rfftn, np.fft.irfftn, np.fft.hfft, np.fft.ihfft),
    *(np.fft.fftshift, np.fft.ifftshift),
]
LINEAR_IN: dict[Callable[..., Any], int] = {**dict.fromkeys(SUMS, 0), np.linalg.solve: 1, np.interp: 2}

# The ufuncs of one operand whose value at 0 is 0.
UNARY = [
    *(np.positive, np.absolute, np.fabs, np.sign, np.square, np.sqrt, np.cbrt, np.expm1, np.log1p),
    *(np.sin, np.tan, np.arcsin, np.arctan, np.sinh, np.tanh, np.arcsinh, np.arctanh),
    *(np.deg2rad, np.rad2deg, np.radians, np.degrees, np.floor, np.ceil, np.trunc, np.rint),
]

# Arguments that add elements; the result for a zero is zero only if they are 0 or not given.
OFFSETS = frozenset("initial constant_values end_values prepend append to_begin to_end left right".split())

# The elementwise functions that a Composite computes field by field.
FIELDWISE = frozenset({np.real, np.imag, np.copy, np.positive})


def zero_wherever(function: Callable[..., Any]) -> Meaning:
    """The meaning of a product: zero if one of its operands is; then the other operands' thunks are not evaluated."""

    def apply(*arguments: Operand, **options: Operand) -> Operand:
        zeros = [x for x in leaves([*arguments, *options.values()]) if isinstance(x, AbstractZero)]
        if zeros and options.get("out") is None:
            return functools.reduce(product, zeros)
        return computed(function, arguments, options)

    return apply


def through(function: Callable[..., Any], position: int = 0, kinds: type[Symbol] = AbstractZero) -> Meaning:
    """The meaning of a function that is linear in the operand at this position: it returns such a symbol unchanged."""

    def apply(*arguments: Operand, **options: Operand) -> Operand:
        given = options if not options and len(arguments) == 1 else named(function, arguments, options)
        operand = arguments[position] if len(arguments) > position else list(given.values())[position]
        if isinstance(operand, kinds) and options.get("out") is None and not any(map(is_offset, given, given.values())):
            return operand
        if isinstance(operand, Composite) and function in FIELDWISE:
            return map_fields(function, operand)
        return computed(function, arguments, options)

    return apply


def is_offset(name: str, value: Operand) -> bool:
    """Whether an argument adds elements that are not zero."""
    return name in OFFSETS and not (value is None or isinstance(value, AbstractZero)) and bool(np.any(value != 0))


def named(function: Callable[..., Any], arguments: Sequence[Operand], options: Mapping[str, Operand]) -> dict[str, Any]:
    """The arguments by the names of their parameters, in the order of the parameters."""
    try:
        names = list(signature_of(function).parameters)
    except ValueError:  # a ufunc's method has no signature
        names = ["array"]
    given = {**dict(zip(names, arguments, strict=False)), **options}
    return {name: given.get(name) for name in names} | given


def where(condition: Operand, *choices: Operand) -> Operand:
    """Zero if both choices are; beside an array, a symbol becomes 0 or 1, which promote nothing."""
    x, y = cast(tuple[Operand, Operand], forced(choices))
    if isinstance(force(condition), Tangent) or any(isinstance(z, Composite | NotImplementedTangent) for z in (x, y)):
        raise unanswered(np.where, (condition, x, y))
    if isinstance(x, AbstractZero) and isinstance(y, AbstractZero):
        return add(x, y)
    return np.where(force(condition), *(int(type(x) is One) if isinstance(x, Symbol) else x for x in (x, y)))


def stack(arrays: Sequence[Operand], axis: int = 0) -> Operand:
    """Zero if all arrays are; otherwise a symbol becomes an array of zeros or ones like the others."""
    values = leaves(forced(list(arrays)))
    if all(isinstance(x, AbstractZero) for x in values):
        return functools.reduce(add, values)
    like = next((x for x in values if not isinstance(x, Tangent)), None)
    if like is None or any(isinstance(x, Composite | NotImplementedTangent) for x in values):
        raise unanswered(np.stack, values)
    fill = {True: np.ones_like, False: np.zeros_like}
    return np.stack([fill[type(x) is One](like) if isinstance(x, Symbol) else x for x in values], axis=axis)


def joined(function: Callable[..., Any]) -> Meaning:
    """The meaning of a function that joins arrays: zero if all are; a zero beside an array raises TangentError."""

    def apply(arrays: Sequence[Operand], *rest: Operand, **options: Operand) -> Operand:
        values = leaves(forced(list(arrays)))
        if all(isinstance(x, AbstractZero) for x in values):
            return functools.reduce(add, values)
        return computed(function, (arrays, *rest), options)

    return apply


def parted(function: Callable[..., Any]) -> Meaning:
    """The meaning of a function that splits an array: a symbol gives as many symbols as there are parts."""

    def apply(ary: Operand, indices_or_sections: Any, axis: int = 0) -> Operand:
        if not isinstance(ary, Symbol):
            return computed(function, (ary, indices_or_sections), {"axis": axis})
        cuts = np.ndim(indices_or_sections) > 0
        return [ary] * (len(indices_or_sections) + 1 if cuts else int(indices_or_sections))

    return apply


JOINS = [np.concatenate, np.hstack, np.vstack, np.dstack, np.column_stack]

ALGEBRA.update({function: zero_wherever(function) for function in PRODUCTS})
ALGEBRA.update({function: through(function, kinds=Symbol) for function in MOVES})
ALGEBRA.update({function: through(function, position) for function, position in LINEAR_IN.items()})
ALGEBRA.update({ufunc: through(ufunc) for ufunc in UNARY})
ALGEBRA.update({ufunc: zero_wherever(ufunc) for ufunc in (np.vecdot, *present("matvec", "vecmat"))})
ALGEBRA.update({np.positive: through(np.positive, kinds=Symbol), np.divide: divide})
ALGEBRA.update(
    {
        (ufunc, method): through(getattr(ufunc, method))
        for ufunc in (np.add, np.multiply, np.maximum, np.minimum)
        for method in ("reduce", "accumulate", "reduceat")
    }
)
ALGEBRA[np.multiply, "outer"] = zero_wherever(np.multiply.outer)
ALGEBRA.update({np.where: where, np.stack: stack, np.split: parted(np.split), np.array_split: parted(np.array_split)})
ALGEBRA.update({function: joined(function) for function in JOINS})
