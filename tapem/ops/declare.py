"""Declare ops: `primitive` and `elementwise` turn a NumPy implementation into an op.

The classes below are Primitives with one, two or three operands. Type checkers learn from them what each door returns:
arrays in, array out; anything else (a Ref, a step) in, a step out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Protocol, TypeAlias, overload

import numpy as np

from tapem.core import Array, GivenRule, Primitive, Rules, Scalar, enter, in_float32, is_several
from tapem.doors.monadic import TapeM
from tapem.doors.pure import Ref
from tapem.errors import ArgumentError
from tapem.types import Signature

P = ParamSpec("P")

# The types of operands and results. Annotate a function of several ops with these, with one overload for each door:
#
#     @overload
#     def hat(x: Numeric) -> npt.NDArray[Any]: ...
#     @overload
#     def hat(x: Deferred) -> Step: ...
#     def hat(x: Any) -> Any:
#         return tm.relu(1 - tm.abs(x))

Numeric: TypeAlias = Array | Scalar | Sequence[Any]
"""An operand whose op is computed at once: an array, a number, or a nested list of numbers."""

Deferred: TypeAlias = Ref | TapeM[Ref]
"""An operand that makes the result a step: a Ref, or a step whose result is a Ref."""

Operand: TypeAlias = Deferred | Numeric
"""Any operand of an op."""

Step: TypeAlias = TapeM[Ref]
"""The result of an op with a Deferred operand."""

StepOfSeveral: TypeAlias = TapeM[tuple[Ref, ...]]
"""The same for an op with several results."""


class Unary(Primitive, Generic[P]):
    """An op of one operand."""

    if TYPE_CHECKING:

        @overload
        def __call__(self, x: Numeric, /, *args: P.args, **static: P.kwargs) -> Array: ...
        @overload
        def __call__(self, x: Deferred, /, *args: P.args, **static: P.kwargs) -> Step: ...
        def __call__(self, *operands: Any, **static: Any) -> Any: ...  # noqa: D102


class Binary(Primitive, Generic[P]):
    """An op of two operands."""

    if TYPE_CHECKING:

        @overload
        def __call__(self, x: Numeric, y: Numeric, /, *args: P.args, **static: P.kwargs) -> Array: ...
        @overload
        def __call__(self, x: Deferred, y: Operand, /, *args: P.args, **static: P.kwargs) -> Step: ...
        @overload
        def __call__(self, x: Operand, y: Deferred, /, *args: P.args, **static: P.kwargs) -> Step: ...
        def __call__(self, *operands: Any, **static: Any) -> Any: ...  # noqa: D102


class Ternary(Primitive, Generic[P]):
    """An op of three operands."""

    if TYPE_CHECKING:

        @overload
        def __call__(self, x: Numeric, y: Numeric, z: Numeric, /, *args: P.args, **static: P.kwargs) -> Array: ...
        @overload
        def __call__(self, x: Deferred, y: Operand, z: Operand, /, *args: P.args, **static: P.kwargs) -> Step: ...
        @overload
        def __call__(self, x: Operand, y: Deferred, z: Operand, /, *args: P.args, **static: P.kwargs) -> Step: ...
        @overload
        def __call__(self, x: Operand, y: Operand, z: Deferred, /, *args: P.args, **static: P.kwargs) -> Step: ...
        def __call__(self, *operands: Any, **static: Any) -> Any: ...  # noqa: D102


class Biased(Primitive, Generic[P]):
    """An op of three operands, of which the second, such as a bias, may be None."""

    if TYPE_CHECKING:

        @overload
        def __call__(
            self, x: Numeric, y: Numeric | None, z: Numeric, /, *args: P.args, **static: P.kwargs
        ) -> Array: ...
        @overload
        def __call__(
            self, x: Deferred, y: Operand | None, z: Operand, /, *args: P.args, **static: P.kwargs
        ) -> Step: ...
        @overload
        def __call__(self, x: Operand, y: Deferred, z: Operand, /, *args: P.args, **static: P.kwargs) -> Step: ...
        @overload
        def __call__(
            self, x: Operand, y: Operand | None, z: Deferred, /, *args: P.args, **static: P.kwargs
        ) -> Step: ...
        def __call__(self, *operands: Any, **static: Any) -> Any: ...  # noqa: D102


class Declaration(Protocol):
    """The type of a declaring decorator: it turns an implementation into an op with as many operands.

    >>> plain: Declaration = primitive(differentiable=False)
    >>> @plain
    ... def last(x):
    ...     return x[-1]
    >>> int(last(np.array([1, 2])))
    2
    """

    # An implementation of any number of arrays fits several overloads: the first one counts.
    @overload
    def __call__(  # pyright: ignore[reportOverlappingOverload]
        self, implementation: Callable[[*tuple[Array, ...]], Any], /
    ) -> Primitive: ...
    @overload
    def __call__(self, implementation: Callable[Concatenate[Array, Array | None, Array, P], Any], /) -> Biased[P]: ...
    @overload
    def __call__(self, implementation: Callable[Concatenate[Array, Array, Array, P], Any], /) -> Ternary[P]: ...
    @overload
    def __call__(self, implementation: Callable[Concatenate[Array, Array, P], Any], /) -> Binary[P]: ...
    @overload
    def __call__(self, implementation: Callable[Concatenate[Array, P], Any], /) -> Unary[P]: ...
    @overload
    def __call__(self, implementation: Callable[..., Any], /) -> Primitive: ...


_BY_ARITY: Mapping[int, type[Primitive]] = {1: Unary, 2: Binary, 3: Ternary}


def declare(implementation: Callable[..., Any], *, name: str | None = None, **fields: Any) -> Any:
    """Make an op from an implementation; `fields` are those of `Primitive`."""
    signature = Signature.of(implementation, name=name)
    fixed = not any(operand.variadic for operand in signature.operands)
    kind = _BY_ARITY.get(len(signature.operands), Primitive) if fixed else Primitive
    if kind is Ternary and signature.operands[1].optional:
        kind = Biased
    op = kind(implementation, signature, **fields)
    enter(op)
    for what in ("rrule", "frule"):
        given = fields.get(what)
        if is_several(given) and fixed and len(given) > op.arity:
            raise ArgumentError(
                f"{what}: {op.usage()} has {op.arity} operand{'s' * (op.arity != 1)}, but {len(given)} rules were "
                "given; give one per operand (None if it cannot be perturbed), or a joint one."
            )
    return op


@overload
def primitive(implementation: Callable[..., Any], /) -> Any: ...
@overload
def primitive(
    *,
    rrule: Rules = None,
    frule: Rules = None,
    batch: GivenRule | None = None,
    abstract: GivenRule | None = None,
    residuals: bool = False,
    differentiable: bool = True,
    opaque: bool = False,
    name: str | None = None,
    numpy: Sequence[Callable[..., Any]] = (),
    wide: bool = False,
) -> Declaration: ...
def primitive(
    implementation: Callable[..., Any] | None = None,
    /,
    *,
    rrule: Rules = None,
    frule: Rules = None,
    batch: GivenRule | None = None,
    abstract: GivenRule | None = None,
    residuals: bool = False,
    differentiable: bool = True,
    opaque: bool = False,
    name: str | None = None,
    numpy: Sequence[Callable[..., Any]] = (),
    wide: bool = False,
) -> Any:
    """Declare an op: decorate its NumPy implementation, whose annotations are its typed signature.

    The tensor operands are the parameters annotated with a jaxtyping type; the others are static. The rules are those
    of `Primitive`; each may also be given later with `defrrule`, `deffrule` and `defbatch`. An op without a rule works
    until it is differentiated.

    With `wide`, the implementation and the rules get float32 for operands of float16, and their results are rounded to
    float16. This is for ops that sum, square or exponentiate, and so would overflow float16 in between. Residuals are
    then float32; the rules must be one per operand, or return arrays, `Thunk`s or tuples of them.

    With `opaque`, `tm.compile` calls the rules of reverse mode as they are, on arrays, instead of the ops that they are
    made of: for rules that are written for arrays, as those of a convolution are.

    Raises ArgumentError for a wrong number of rules.

    >>> import numpy as np, tapem as tm
    >>> from jaxtyping import Float
    >>> @tm.primitive(rrule=(lambda g, y, x: 3 * x**2 * g,), frule=(lambda t, y, x: 3 * x**2 * t,))
    ... def cube(x: Float[tm.Tensor, "*shape"]) -> Float[tm.Tensor, "*shape"]:
    ...     return x**3
    >>> tm.grad(lambda x: np.sum(cube(x)))(np.array([1.0, 2.0]))
    array([ 3., 12.])
    """

    def decorate(function: Callable[..., Any]) -> Any:
        fields: dict[str, Any] = dict(
            rrule=rrule,
            frule=frule,
            batch=batch,
            abstract=abstract,
            residuals=residuals,
            differentiable=differentiable,
            opaque=opaque,
            numpy=numpy,
        )
        if wide:
            function, fields = in_float32(function, fields)
        return declare(function, name=name, **fields)

    return decorate if implementation is None else decorate(implementation)


def variadic(**fields: Any) -> Callable[[Callable[..., Any]], Primitive]:
    """`primitive`, for an op of any number of operands that needs static arguments, which `Declaration` cannot type."""
    return primitive(**fields)


def elementwise(
    *rules: GivenRule | None, numpy: Sequence[Callable[..., Any]] = (), name: str | None = None
) -> Declaration:
    """Declare an op that acts element by element, with NumPy's broadcasting.

    Its annotations are enforced as those of every op are, at no cost where they say no more than NumPy: operands
    `Num[Tensor, "*#shape"]` and a result `Num[Tensor, "*shape"]`, or the dtypes of the only ufunc in `numpy`.

    Its Jacobian is diagonal, so one rule per operand, `(g, value, *operands, **static)`, serves both modes: it returns
    `g`, a cotangent or a tangent, times the partial derivative.

    >>> import numpy as np
    >>> @elementwise(lambda g, y, x: g * np.cos(x))
    ... def my_sin(x):
    ...     return np.sin(x)
    >>> float(my_sin(0.0))
    0.0
    """

    def decorate(function: Callable[..., Any]) -> Any:
        return declare(
            function,
            rrule=rules or None,
            frule=rules or None,
            batch=batch_elementwise,
            elementwise=True,
            differentiable=bool(rules),
            numpy=numpy,
            name=name,
        )

    return decorate


def batch_elementwise(
    op: Primitive, size: int, inputs: Sequence[Any], mapped: Sequence[bool], static: Mapping[str, Any]
) -> Any:
    """Align the operands behind the batch axis; broadcasting does the rest.

    The signature was checked for an example; it may not allow the batch axis.
    """
    rank = max(np.ndim(x) - is_mapped for x, is_mapped in zip(inputs, mapped, strict=True) if x is not None)
    aligned: list[Any] = []
    for x, is_mapped in zip(inputs, mapped, strict=True):
        missing = rank - (np.ndim(x) - 1) if is_mapped else 0
        aligned.append(np.reshape(x, (size, *(1,) * missing, *np.shape(x)[1:])) if missing else x)
    return (op if op.signature.broadcasts else unchecked(op))(*aligned, **static)


def unchecked(op: Primitive) -> Primitive:
    """The same op without its signature."""
    free = object.__new__(type(op))
    free.__dict__.update(op.__dict__, checked=False)
    return free


__all__ = [
    "Biased", "Binary", "Declaration", "Deferred", "Numeric", "Operand", "Step", "StepOfSeveral", "Ternary", "Unary",
    "elementwise", "primitive",
]  # fmt: skip
