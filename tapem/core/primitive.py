"""Primitive: one op as one record, with its NumPy implementation and all its rules.

A decorator on the NumPy implementation declares the primitive. The implementation's annotations are the op's typed
signature, its docstring is the op's documentation, and the decorator's arguments are the op's rules.

A call looks at its operands. If one of them has a *door* (a Ref, a step, a tracer), that door applies the op. If none
has, the operands are arrays, and the result is computed at once. The files that define Ref, step and tracer register
their doors, so this file imports none of them.
"""

from __future__ import annotations

import functools
import inspect
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Protocol, TypeAlias

import numpy as np

from tapem.core.boundary import shorten
from tapem.core.node import (
    NOTHING,
    Node,
    ShapeDtype,
    Static,
    constant,
    snapshot,
)
from tapem.core.presentation import FunctionLike
from tapem.errors import ArgumentError, DTypeError, NoRuleError, ShapeError, TapeError
from tapem.types import NUMBERS, NUMERIC, Signature, as_tensor, misfit_by_place, type_text

# A rule has as many parameters as its op has operands and static arguments, so their types cannot be written here.
Rule: TypeAlias = Callable[..., Any]
# From these a type checker infers that the parameters of a lambda are Any.
GivenRule: TypeAlias = (
    Callable[[Any], Any]
    | Callable[[Any, Any], Any]
    | Callable[[Any, Any, Any], Any]
    | Callable[[Any, Any, Any, Any], Any]
    | Callable[[Any, Any, Any, Any, Any], Any]
    | Callable[[Any, Any, Any, Any, Any, Any], Any]
    | Callable[[Any, Any, Any, Any, Any, Any, Any], Any]
    | Rule
)
Rules: TypeAlias = "tuple[GivenRule | None, ...] | GivenRule | None"


class Door(Protocol):
    """How an op is applied to operands of a certain class; among several doors the highest rank decides."""

    rank: ClassVar[int]

    @staticmethod
    def apply(op: Primitive, operands: tuple[Any, ...], static: Static) -> Any:
        """Apply the op to operands of which at least one belongs to this door."""
        ...


_EMPTY = inspect.Parameter.empty
# A value of these types cannot be missing, mutable or a tracer.
_PLAIN_STATIC = frozenset({bool, int, float, str, tuple, type(None)})

_DOORS: dict[type, type[Door]] = {}
# Their `apply`, which a call finds in one look-up.
_APPLY: dict[type, Callable[[Any, tuple[Any, ...], Static], Any]] = {}


def register_door(operand_type: type, door: type[Door]) -> None:
    """Register the door of a class of operands; the file that defines the class calls this once."""
    _DOORS[operand_type] = door
    _APPLY[operand_type] = door.apply


def has_door(operand: Any) -> bool:
    """Whether an operand's class has a door; arrays and numbers have none."""
    return type(operand) in _DOORS


def linear_in_all(*tangents: Any, **_: Any) -> Any:
    """Mark an op as linear in all its operands together: its tangent is the op applied to the tangents.

    >>> import tapem as tm
    >>> @tm.primitive(rrule=(lambda g, y, x: np.flip(g),), frule=linear_in_all)
    ... def mirrored(x):
    ...     return np.flip(x)
    >>> tm.jvp(mirrored, (np.ones(2),), (np.array([1.0, 2.0]),))[1]
    array([2., 1.])
    """
    raise AssertionError("a mark, never called")


_shape_and_dtype = operator.attrgetter("shape", "dtype")


def _shape_and_dtype_if_given(x: Any) -> Any:
    return None if x is None else (x.shape, x.dtype)


# The exceptions that NumPy raises when operands do not fit.
# AttributeError is raised where an implementation asks a Python number for its `.T` or `.dtype`.
_REFUSALS = (TypeError, ValueError, IndexError, AttributeError, np.linalg.LinAlgError, OverflowError)


class Primitive(FunctionLike):
    """One op: a NumPy implementation and the rules by which every transformation treats it.

    Rules are plain NumPy. With `residuals`, the implementation returns `(value, residuals)`, and every derivative rule
    gets the residuals after the value: below, `...` stands for `value, [residuals,] *operands, **static`.

    - `rrule`: one function `(cotangent, ...) -> cotangent of that operand` per operand (None if the operand cannot
      be perturbed, such as an index), or a single function that returns all of them as a tuple of arrays or thunks.
    - `frule`: one function `(tangent, ...) -> tangent` per operand, whose results are summed; or a single function
      `(tangents, ...) -> tangent`; or `linear_in_all`.
    - `batch`: `(op, size, inputs, mapped, static) -> value`; mapped inputs have their batch axis first, and so must the
      value.
    - `abstract`: `(*inputs, **static) -> ShapeDtype` (or a tuple of them); by default the implementation runs on
      stand-ins.
    - `opaque`: a compiled program calls the rrule on arrays, instead of the ops of which it is made.

    The decorator `primitive` makes instances. They can be called through all three doors.

    >>> import tapem as tm
    >>> isinstance(tm.sum, Primitive), tm.sum.name, tm.sum.usage()
    (True, 'sum', 'sum(x)')
    """

    # The exceptions that an implementation raises when operands do not fit; () for an op that runs a user's function.
    refusals: tuple[type[Exception], ...] = _REFUSALS
    # Whether the rrule of an op with several results gets zeros (else None) as the cotangents of unused results.
    whole_cotangent: bool = True

    def __init__(
        self,
        implementation: Callable[..., Any],
        signature: Signature,
        *,
        rrule: Rules = None,
        frule: Rules = None,
        batch: GivenRule | None = None,
        abstract: GivenRule | None = None,
        elementwise: bool = False,
        residuals: bool = False,
        differentiable: bool = True,
        opaque: bool = False,
        numpy: Sequence[Callable[..., Any]] = (),
    ) -> None:
        """Make the record; users call `primitive`."""
        functools.update_wrapper(self, implementation)
        self.name = signature.name
        # An op that is just a NumPy ufunc calls it without a Python frame in between.
        only = numpy[0] if elementwise and len(numpy) == 1 else None
        ufunc = only if isinstance(only, np.ufunc) else None
        self.implementation = ufunc or implementation
        self.rrule = rrule
        self.frule = frule
        self.batch = batch
        self.abstract_rule = abstract
        self.elementwise = elementwise
        self.residuals = residuals
        self.differentiable = differentiable
        self.opaque = opaque
        self.numpy = tuple(numpy)
        self.signature = signature
        names = [operand.name for operand in signature.operands]
        self.operand_names = names
        self.variadic = bool(names) and self.signature.operands[-1].variadic
        self.optional = sum(operand.optional for operand in self.signature.operands)
        self.defaults: Mapping[str, Any] = MappingProxyType(dict(self.signature.static))
        self.arity = len(names)
        # A call with exactly this many positional arguments needs no binding; its static arguments are `usual_static`.
        complete = not self.variadic and all(value is not _EMPTY for value in self.defaults.values())
        self.plain_arity = self.arity if complete else -1
        self.usual_static = self.bind(tuple(names), {})[1] if complete else NOTHING
        # Where NumPy enforces the signature itself, jaxtyping is asked only to word the error.
        self.checked = not (elementwise and signature.is_numpys(ufunc))
        self.key_part = _shape_and_dtype_if_given if self.optional else _shape_and_dtype
        # The signature's own cache of verdicts; `key_part` makes the keys of `Signature.key_of`, only faster.
        self.accepted = signature.accepted
        # What abstract evaluation has found for inputs that it has seen.
        self.seen_abstract: dict[Any, Any] = {}

    def __call__(self, *operands: Any, **given: Any) -> Any:
        """Apply the op and return a step, a tracer or an array, as the operands' doors decide."""
        try:
            static = self.usual_static
            if given or len(operands) != self.plain_arity:
                operands, static = self.bind(operands, given)
            # Nearly always there is one door; a door that meets another one calls `dispatch`.
            for operand in operands:
                apply = _APPLY.get(type(operand))
                if apply is not None:
                    return apply(self, operands, static)
            return self.compute(operands, static)
        except Exception as error:
            shorten(error)
            raise

    def dispatch(self, operands: tuple[Any, ...], static: Static) -> Any:
        """Apply the op through the door of highest rank among the operands'."""
        doors = [_DOORS[type(operand)] for operand in operands if has_door(operand)]
        return max(doors, key=lambda door: door.rank).apply(self, operands, static)

    def bind(self, operands: tuple[Any, ...], given: Mapping[str, Any]) -> tuple[tuple[Any, ...], Static]:
        """Split a call's arguments into operands and static arguments, as Python binds them; fill in defaults."""
        static = {**self.defaults, **given}
        if not self.variadic and len(operands) > self.arity:
            extra = operands[self.arity :]
            if len(extra) > len(self.defaults):
                most = self.arity + len(self.defaults)
                raise TypeError(f"{self.usage()} takes {most} arguments, not {len(operands)}")
            for name, value in zip(self.defaults, extra, strict=False):
                if name in given:
                    raise TypeError(f"{self.usage()} got {name!r} twice")
                static[name] = value
            operands = operands[: self.arity]
        elif not self.variadic and len(operands) < self.arity:
            named: list[Any] = []
            for operand in self.signature.operands[len(operands) :]:
                if operand.name in static:
                    named.append(static.pop(operand.name))
                elif operand.optional:
                    named.append(None)
                else:
                    raise TypeError(f"{self.usage()} is missing its argument {operand.name!r}")
            operands = (*operands, *named)
        if len(static) != len(self.defaults):
            unknown = next(name for name in static if name not in self.defaults)
            twice = unknown in self.operand_names
            raise TypeError(f"{self.usage()} {'got twice' if twice else 'has no'} argument {unknown!r}")
        for name, value in static.items():
            if type(value) in _PLAIN_STATIC:
                continue
            if value is _EMPTY:
                raise TypeError(f"{self.usage()} is missing its argument {name!r}")
            if type(value) in (list, range):
                static[name] = tuple(value)
            elif type(value) is np.ndarray:
                # A tuple can be compared, and nobody can change it.
                static[name] = tuple(value.tolist()) if value.ndim == 1 else snapshot(value)
            elif isinstance(value, np.ndarray):
                static[name] = as_tensor(value, op=self.usage(), argument=f"argument {name!r}").copy()
            elif has_door(value):
                raise NoRuleError(
                    f"{self.usage()}: {name!r} decides the shape or the kind of the result, so it is not "
                    f"differentiated and cannot be a {type(value).__name__}. Pass a plain value; an argument of "
                    "tm.compile that decides shapes is static (static_argnums)."
                )
        return operands, Static(static) if static else NOTHING

    def usage(self) -> str:
        """The op as errors show it: `linear(weight, bias, x)`."""
        return f"{self.name}({', '.join(self.operand_names)})"

    def compute(self, operands: tuple[Any, ...], static: Static) -> Any:
        """Compute the value from arrays and numbers; nothing is recorded."""
        inputs = [self.as_input(position, operand) for position, operand in enumerate(operands)]
        return self.evaluate(inputs, static, operands)[0]

    def as_input(self, position: int, operand: Any) -> Any:
        """An operand without a door as the implementation gets it: an array, a number, or None if that is allowed."""
        if (type(operand) is np.ndarray and operand.dtype.kind in NUMERIC) or type(operand) in NUMBERS:
            return operand
        if operand is None and self.accepts_none(position):
            return None
        return as_tensor(operand, op=self.usage(), argument=self.argument(position))

    def captured(self, position: int, operand: Any) -> Any:
        """A constant operand as a tape may hold it."""
        if type(operand) is np.ndarray and operand.dtype.kind in NUMERIC:
            return snapshot(operand)
        if operand is None and self.accepts_none(position):
            return None
        return constant(operand, op=self.usage(), argument=self.argument(position))

    def accepts_none(self, position: int) -> bool:
        """Whether the operand at this position may be None."""
        return not self.variadic and self.signature.operands[position].optional

    def operand_name(self, position: int) -> str:
        """The name of the operand at this position."""
        first = self.arity - self.variadic  # the position of the first operand of `*xs`, if there is one
        return self.operand_names[position] if position < first else f"{self.operand_names[-1]}[{position - first}]"

    def argument(self, position: int) -> str:
        """The operand at this position as errors show it: `argument 'x'`."""
        return f"argument {self.operand_name(position)!r}"

    def evaluate(self, inputs: Sequence[Any], static: Static, operands: Sequence[Any] = ()) -> tuple[Any, Any]:
        """Compute value and residuals from concrete inputs and check the signature; errors show `operands`' nodes."""
        try:
            output = self.implementation(*inputs, **static) if static else self.implementation(*inputs)
        except TapeError as error:
            verdict = self.verdict(inputs, static, operands, error)
            if verdict is None:
                raise
            raise verdict from error
        except self.refusals as error:
            raise self.refusal(inputs, static, operands, error) from error
        residuals = None
        if self.residuals:
            output, residuals = output
        if self.checked:
            self.check(inputs, output, static, operands)
        return output, residuals

    def check(self, inputs: Sequence[Any], output: Any, static: Static, operands: Sequence[Any]) -> None:
        """Check the typed signature; a combination of shapes and dtypes that was seen before costs one set look-up."""
        try:
            if tuple(map(self.key_part, (*inputs, output))) in self.accepted:
                return
        except AttributeError:  # a Python scalar or a tuple: the signature makes the key itself
            pass
        self.signature.verify(inputs, output, static=static, labels=labels_of(operands))

    def verdict(
        self, inputs: Sequence[Any], static: Static, operands: Sequence[Any], error: Exception
    ) -> TapeError | None:
        """The error of the signature, if it refuses the inputs for which the implementation raised `error`.

        None if the error is the op's own, which begins with the op's name. An op inside may have refused the inputs
        first; then the error is about this op all the same.
        """
        own = re.match(rf"{self.name}\b", str(error)) or not isinstance(error, DTypeError | ShapeError)
        if isinstance(error, TapeError) and own:
            return None
        try:
            self.signature.verify(inputs, static=static, labels=labels_of(operands))
        except TapeError as verdict:
            return verdict
        return None

    def refusal(self, inputs: Sequence[Any], static: Static, operands: Sequence[Any], error: Exception) -> TapeError:
        """The TapeError for inputs that the implementation refused: the signature's own, if it refuses them too."""
        verdict = self.verdict(inputs, static, operands, error)
        if verdict is not None:
            return verdict
        labels = labels_of(operands)
        kinds = [None if value is None else ShapeDtype.of(value) for value in inputs]
        rows = [
            (
                self.operand_name(position),
                self.signature.text_of(position),
                "None" if kind is None else type_text(kind.shape, kind.dtype),
                (labels[position] if position < len(labels) else None) or "",
            )
            for position, kind in enumerate(kinds)
        ]
        lines = [f"{self.usage()}: {error}"]
        lines += [f"  {name}: {text}  {label}".rstrip() for name, _, text, label in rows]
        if static:
            lines.append("  " + ", ".join(f"{name}={value!r}" for name, value in static.items()))
        message = "\n".join(lines)
        if isinstance(error, np.exceptions.AxisError | np.linalg.LinAlgError):
            return ArgumentError(message)
        if isinstance(error, TypeError):
            return DTypeError(message)
        refused = (ShapeError if isinstance(error, ValueError) and len(inputs) > 1 else ArgumentError)(message)
        refused.misfit = misfit_by_place(rows, [() if kind is None else kind.shape for kind in kinds])
        return refused

    def __repr__(self) -> str:
        return f"<op {self.name}>"

    def __reduce__(self) -> str:
        return self.__name__  # pickled by reference, as a function is

    __name__: str


def replaced(op: Primitive, **attributes: Any) -> Primitive:
    """The same op with other attributes, such as another name; its errors show its own."""
    copy = object.__new__(type(op))
    vars(copy).update(vars(op), usage=op.usage, **attributes)
    return copy


def labels_of(operands: Sequence[Any]) -> list[str | None]:
    """The labels of the operands' nodes for errors; None for an operand without a node."""
    nodes = [getattr(operand, "node", None) for operand in operands]
    return [node.label() if isinstance(node, Node) else None for node in nodes]


__all__ = ["GivenRule", "Primitive", "Rule", "Rules", "has_door", "linear_in_all", "register_door", "replaced"]
