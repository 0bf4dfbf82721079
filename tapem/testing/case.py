"""Case: one op with one set of operands and static arguments, as every check of a rule gets it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tapem.core import Primitive, tree_flatten, tree_map
from tapem.errors import TapeError
from tapem.testing.comparison import Judges
from tapem.testing.dtypes import COMPLEX, operand_allows
from tapem.testing.flattening import REFUSALS, Flat, first_line, is_inexact_value, is_list
from tapem.testing.given_derivatives import Given
from tapem.testing.linear_maps import NAMES
from tapem.types import Operand, Signature, argument_names


@dataclass
class Case:
    """One op with one set of operands and static arguments, and the checks to run.

    `given` are derivatives to check in place of the op's own; `judges` tells what derivatives were compared with.
    `dtypes` are the dtypes to try; by default all that the annotations allow. `skipped` holds the checks that could not
    run, with the reasons.
    """

    op: Callable[..., Any]
    operands: tuple[Any, ...]
    static: Mapping[str, Any]
    order: int
    rng: np.random.Generator
    modes: tuple[str, ...]
    dtypes: Sequence[np.dtype[Any]] | None = None
    rtol: float | None = None
    atol: float | None = None
    given: Given | None = None
    skipped: dict[str, str] = field(default_factory=dict[str, str])
    judges: Judges = field(default_factory=dict[str, str])
    wrong_derivatives: bool = False

    def __post_init__(self) -> None:
        self.operands = tuple(np.asarray(x) if is_list_of_numbers(x) else x for x in self.operands)
        self.names = operand_names(self.op, len(self.operands))
        self.flat = self.flatten(self.operands)
        self.modes = tuple(mode for mode in self.modes if self.has_rule(mode))

    def call(self, *operands: Any) -> Any:
        """The op, with its static arguments."""
        return self.op(*operands, **self.static)

    def flatten(self, operands: tuple[Any, ...]) -> Flat:
        """The op as a function of its real operands."""
        return Flat(self.call, operands, self.names, given=self.given, real_only=self.real_only(operands))

    def real_only(self, operands: tuple[Any, ...]) -> bool:
        """Whether an annotation of a real operand allows no complex numbers."""
        known = annotated(self.op)
        return any(
            name.split("[")[0] in known and not operand_allows(known[name.split("[")[0]], COMPLEX[0])
            for name, operand in zip(self.names, operands, strict=True)
            if any(map(is_inexact_value, tree_flatten(operand)[0]))
        )

    def has_rule(self, mode: str) -> bool:
        """Whether the op can be checked in a mode; if not, `skipped` gets the reason."""
        rule = {"fwd": "frule", "rev": "rrule"}[mode]
        if self.given is not None:
            return mode in self.given.modes
        there = not isinstance(self.op, Primitive) or not self.op.differentiable or getattr(self.op, rule) is not None
        if not there:
            self.skipped[f"{NAMES[mode]} mode"] = f"the op has no {rule}"
        return there

    def in_dtype(self, dtype: np.dtype[Any]) -> tuple[Any, ...] | None:
        """The operands in a real dtype; None if it is not wanted, not allowed, or refused by the op itself."""
        leaves = [np.asarray(leaf) for leaf in self.flat.leaves if type(leaf) is not float]
        double = bool(leaves) and all(leaf.dtype == np.float64 for leaf in leaves)
        if dtype == np.float16 and any([*self.flat.of_inputs, *self.flat.of_outputs]):
            return None  # no complex dtype has this precision
        if any(self.flat.of_inputs) and any(type(x) is complex for x in self.flat.all_leaves):
            return None  # the parts of a Python number promote as it does not
        likewise = {dtype, np.result_type(dtype, np.complex64)} if any(self.flat.of_inputs) else {dtype}
        if not double or names_dtype(self.static) or (self.dtypes is not None and likewise.isdisjoint(self.dtypes)):
            return None
        known = annotated(self.op)
        for name, operand in zip(self.names, self.operands, strict=True):
            annotation = known.get(name.split("[")[0])
            real = annotation is not None and any(map(is_inexact_value, tree_flatten(operand)[0]))
            wanted = (
                np.result_type(dtype, np.complex64) if any(map(np.iscomplexobj, tree_flatten(operand)[0])) else dtype
            )
            if annotation is not None and real and not operand_allows(annotation, wanted):
                return None
        operands = cast_reals(self.operands, dtype)
        try:
            with np.errstate(all="ignore"):
                self.call(*operands)
        except REFUSALS as error:
            self.skipped[str(dtype)] = f"refused: {first_line(error)}"
            return None
        return operands


def is_list_of_numbers(x: Any) -> bool:
    """Whether an operand is a list of numbers; a list of arrays is a tree."""
    return is_list(x) and all(isinstance(leaf, int | float) for leaf in tree_flatten(x)[0])


def cast_reals(operands: tuple[Any, ...], dtype: np.dtype[Any]) -> tuple[Any, ...]:
    """Convert the real arrays in operands, which may be trees, to another dtype; Python numbers stay as they are."""

    def cast(x: Any) -> Any:
        weak = isinstance(x, float | complex) and not isinstance(x, np.generic)
        if weak or not is_inexact_value(x):
            return x
        array = np.asarray(x)
        return array.astype(np.result_type(dtype, np.complex64) if array.dtype.kind == "c" else dtype)

    return tuple(None if x is None else tree_map(cast, x) for x in operands)


def names_dtype(static: Mapping[str, Any]) -> bool:
    """Whether a static argument asks for a dtype."""
    for value in static.values():
        if isinstance(value, np.dtype) or (isinstance(value, type) and issubclass(value, np.generic | float | int)):
            return True
        if isinstance(value, str) and value in np.sctypeDict:
            return True
    return False


def annotated(op: Callable[..., Any]) -> Mapping[str, Operand]:
    """The operands of an op or a function by name, with their annotations; empty if its signature cannot be read."""
    if isinstance(op, Primitive):
        return {operand.name: operand for operand in op.signature.operands}
    try:
        return {operand.name: operand for operand in Signature.of(op).operands}
    except TapeError:  # a builtin that does not show its parameters
        return {}


def op_name(op: Callable[..., Any]) -> str:
    """The name of an op or a function."""
    return str(getattr(op, "name", None) or getattr(op, "__name__", type(op).__name__))


def operand_names(op: Callable[..., Any], count: int) -> list[str]:
    """The names of the operands; variadic ones are numbered."""
    if not isinstance(op, Primitive):
        return argument_names(op, count)
    fixed = op.operand_names[:-1] if op.variadic else op.operand_names
    names = list(fixed)[:count]
    last = op.operand_names[-1] if op.operand_names else "x"
    return [*names, *(f"{last}[{position}]" for position in range(count - len(names)))]


__all__ = ["Case", "cast_reals", "op_name", "operand_names"]
