"""Refusals: explain a call that does not fit its signature.

jaxtyping has decided that a tensor does not fit. This file reads the dimension strings again to say which axis of which
tensor does not fit, which tensor bound that axis before, and what to do about it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Annotated, Any, NamedTuple, TypeAlias, cast, get_args, get_origin

import numpy as np

from tapem.errors import DTypeError, Misfit, ShapeError, TapeError
from tapem.types.annotations import Operand, allows_dtype, annotation_text, axis_sizes, is_jaxtyping, names_in_braces
from tapem.types.tensor import NUMBER_DTYPES, Tensor, type_text

__all__ = ["Slot", "misfit_by_place", "refusal"]

# An axis name: its size (or the sizes of *batch axes), the tensor that bound it, and whether it may broadcast.
_Bound: TypeAlias = "dict[str, tuple[Any, str, bool]]"
_COMMON = [np.dtype(name) for name in "float32 float64 int64 bool int32 uint8 float16 complex64 complex128".split()]


class Slot(NamedTuple):
    """A given value and its operand; `value` is the stand-in, None if the given value is not a tensor."""

    operand: Operand
    given: object
    value: Tensor | None
    label: str | None

    @property
    def name(self) -> str:
        """The name of the operand."""
        return self.operand.name

    @property
    def who(self) -> str:
        """The name with the shape: `weight (128, 784)`."""
        return f"{self.name} {self.value.shape}" if self.value is not None else self.name


def refusal(
    call: str,
    slots: list[Slot],
    misfit: int,
    inputs: int,
    scope: Mapping[str, object],
    first_misfit: Callable[[Sequence[Slot], Mapping[str, object]], int | None],
) -> TapeError:
    """Make the error that explains why slot `misfit` does not fit those before it.

    The first `inputs` slots are the operands, the others the results.
    """
    bound: _Bound = {}
    for earlier in slots[:misfit]:
        _complaint(earlier, bound, scope)
    kind, complaint = _complaint(slots[misfit], bound, scope)

    def fit(changed: list[Slot]) -> bool:
        return first_misfit(changed, scope) is None

    if misfit >= inputs:
        hint = "the inputs fit: the op or its return annotation is wrong"
    else:
        hint = _advice(slots[misfit].operand.annotation)
        if not hint and kind is DTypeError:
            hint = _exchange(slots[:inputs], fit) or _conversion(slots[misfit], slots[:inputs])
        elif not hint:
            hint = _transposition(slots[:inputs], misfit, fit) or _exchange(slots[:inputs], fit)
    rows = [(f"{s.name}:", s.operand.text, _found(s), s.label or "") for s in slots[: max(inputs, misfit + 1)]]
    a, b, c = (max(map(len, column)) for column in list(zip(*rows, strict=True))[:3])
    lines = [f"  {name:{a}} {text:{b}}  {found:{c}}  {label}".rstrip() for name, text, found, label in rows]
    if len(lines) > 12:  # a long variadic call: show the first tensors and the neighbors of the misfit
        lines = [line for i, line in enumerate(lines) if i < 3 or abs(i - misfit) < 3]
        lines.append(f"  ({len(rows)} tensors in all)")
    if hint:
        lines.append(f"  hint: {hint}")
    error = kind("\n".join([f"{call}: {complaint}", *lines]))
    error.misfit = misfit_of(slots[: max(inputs, misfit + 1)], hint)
    return error


def misfit_of(slots: Sequence[Slot], hint: str) -> Misfit:
    """The operands and the sizes of their axes, for a display of the error."""
    sizes = [{} if s.value is None else axis_sizes(s.operand, s.value.shape) for s in slots]
    names = dict.fromkeys(name for one in sizes for name in one)
    operands = tuple((s.name, s.operand.text, _found(s), s.label or "") for s in slots)
    return Misfit(operands, tuple((name, tuple(one.get(name, "") for one in sizes)) for name in names), hint)


def misfit_by_place(operands: Sequence[tuple[str, str, str, str]], shapes: Sequence[tuple[int, ...]]) -> Misfit:
    """The same where axes have no names: they are counted from the last one, as NumPy lines them up."""
    most = max(map(len, shapes), default=0)
    axes = [(str(-n), tuple(str(s[-n]) if n <= len(s) else "" for s in shapes)) for n in range(1, most + 1)]
    return Misfit(tuple(operands), tuple(axes), "")


def _found(slot: Slot) -> str:
    given: Any = slot.given
    if slot.value is not None:
        return type_text(slot.value.shape, slot.value.dtype)
    if isinstance(given, tuple):
        return f"a tuple of {len(cast('tuple[object, ...]', given))}"
    if hasattr(given, "dtype"):
        return f"an array of {given.dtype}"
    return "None" if given is None else f"of type {type(given).__name__}"


def _advice(annotation: Any) -> str:
    """The advice in an annotation `Annotated[X, "advice"]`; empty if it has none."""
    if get_origin(annotation) is not Annotated:
        return ""
    return next((note for note in get_args(annotation)[1:] if isinstance(note, str)), "")


def _exchange(slots: list[Slot], fit: Callable[[list[Slot]], bool]) -> str:
    """Advise to exchange two operands with which all would fit; empty if there is no such pair."""
    for first, second in itertools.combinations(slots[:5], 2):
        if first.value is None or second.value is None:
            continue
        pair = {
            first.name: first._replace(given=second.given, value=second.value),
            second.name: second._replace(given=first.given, value=first.value),
        }
        with suppress(TapeError):
            if fit([pair.get(slot.name, slot) for slot in slots]):
                return f"exchange {first.name} and {second.name}: they fit the other way round"
    return ""


def _conversion(slot: Slot, slots: list[Slot]) -> str:
    """Advise how to convert to a dtype that fits; empty if that is not obvious."""
    if slot.value is None:
        return f"use np.asarray({slot.name})" if isinstance(slot.given, list) else ""
    fitting = [dtype for dtype in _COMMON if any(allows_dtype(leaf, dtype) for leaf in slot.operand.leaves)]
    if np.real(slot.value).dtype != slot.value.dtype and np.real(slot.value).dtype in fitting:
        return f"use {slot.name}.real"
    if type(slot.given) in NUMBER_DTYPES:
        return next((f"use {t.__name__}({slot.name})" for t, dtype in NUMBER_DTYPES.items() if dtype in fitting), "")
    # Prefer a dtype that another operand has, then one at least as wide as the given one.
    others = [other.value.dtype for other in slots if other.value is not None]
    wide = [dtype for dtype in fitting if dtype.itemsize >= slot.value.dtype.itemsize]
    best = [*(dtype for dtype in fitting if dtype in others), *wide, *fitting]
    return f"use {slot.name}.astype(np.{best[0].name})" if best else ""


def _transposition(slots: list[Slot], misfit: int, fit: Callable[[list[Slot]], bool]) -> str:
    """Advise to transpose an operand, the misfit first, so that all fit; empty if there is none."""
    candidates = [slot for slot in [slots[misfit], *slots] if slot.value is not None and slot.value.ndim >= 2]
    for slot in candidates[:8]:
        swapped = slot._replace(value=np.swapaxes(cast("Tensor", slot.value), -1, -2))
        with suppress(TapeError):
            if fit([swapped if other is slot else other for other in slots]):
                flat = cast("Tensor", slot.value).ndim == 2
                advice = f"{slot.name}.T" if flat else f"np.swapaxes({slot.name}, -1, -2)"
                return f"transpose {slot.name}: {advice} fits"
    return ""


def _complaint(slot: Slot, bound: _Bound, scope: Mapping[str, object]) -> tuple[type[TapeError], str]:
    """Say what does not fit. For a tensor that fits, only note in `bound` what its axes bind."""
    leaves = slot.operand.leaves
    if slot.value is None:
        return DTypeError, f"{slot.name} is {_found(slot)}, where {slot.operand.text} is required"
    possible = [leaf for leaf in leaves if allows_dtype(leaf, slot.value.dtype)]
    if not possible:
        kinds = dict.fromkeys(leaf.dtype.__name__ if is_jaxtyping(leaf) else annotation_text(leaf) for leaf in leaves)
        return DTypeError, f"{slot.name} is {slot.value.dtype.name}, where {' or '.join(kinds)} is required"
    faults: list[str] = []
    for leaf in possible:
        tried = bound.copy()
        fault = _fault(leaf.dim_str, slot, tried, scope) if is_jaxtyping(leaf) else ""
        if not fault:
            bound.update(tried)
            return ShapeError, f"{slot.who} does not fit {slot.operand.text}"
        faults.append(fault)
    return ShapeError, " and ".join(faults)


def _fault(dim_str: str, slot: Slot, bound: _Bound, scope: Mapping[str, object]) -> str:
    """Describe the first axis that does not fit, and note in `bound` what the others bind; empty if all fit."""
    axes, shape = dim_str.split(), cast("Tensor", slot.value).shape
    many = next((i for i, axis in enumerate(axes) if axis == "..." or axis.lstrip("#").startswith("*")), len(axes))
    single = len(axes) - (many < len(axes))
    if len(shape) < single or (many == len(axes) and len(shape) > single):
        number = f"{'at least ' * (many < len(axes))}{single} {'axis' if single == 1 else 'axes'}"
        return f"{slot.name} must have {number} but has {len(shape)}: {shape}"
    for i in [*range(many), *range(many + 1 - len(axes), 0)]:
        fault = _axis_fault(axes[i], i, shape[i], slot.who, bound, scope)
        if fault:
            return fault
    # The axes of `*name` come last, as in jaxtyping.
    batch = shape[many : len(shape) - (single - many)]
    return _batch_fault(axes[many], batch, slot.who, bound) if many < len(axes) else ""


def _axis_fault(axis: str, i: int, size: int, who: str, bound: _Bound, scope: Mapping[str, object]) -> str:
    name, either = axis.lstrip("#?").split("=")[-1], " or 1" * ("#" in axis)
    if name.startswith("_") or (either and size == 1):
        return ""
    if name.isidentifier():
        wanted, owner, _ = bound.setdefault(name, (size, who, False))
        both = f"both {wanted} and {size} in {who}" if owner == who else f"{wanted} in {owner} but {size} in {who}"
        return "" if wanted == size else f"axis '{name}' is {both}"
    expression = eval(f"f'{name}'", dict(scope))
    wanted = eval(expression, {name: size for name, (size, _, _) in bound.items()})
    statics = {n: value for n, value in scope.items() if not isinstance(value, np.ndarray)}
    whys = [f"{n} = {statics[n]}" for n in names_in_braces(name) if n in statics]
    whys += [f"{n} = {bound[n][0]} in {bound[n][1]}" for n in compile(expression, "", "eval").co_names if n in bound]
    title = f"axis {i}" if name.isdigit() else f"axis '{name}'"
    why = f" ({', '.join(whys)})" if whys else ""
    return "" if wanted == size else f"{title} of {who} must be {wanted}{either}{why} but is {size}"


def _batch_fault(axis: str, size: tuple[int, ...], who: str, bound: _Bound) -> str:
    name, free = axis.lstrip("#*"), "#" in axis
    if axis == "..." or name.startswith("_"):
        return ""
    wanted, owner, freed = bound.setdefault(name, (size, who, free))
    fault = f"axes '*{name}' are {wanted} in {owner} but {size} in {who}"
    if not (free or freed):
        return "" if wanted == size else fault
    try:
        joint = np.broadcast_shapes(wanted, size)
    except ValueError:
        return f"{fault}, which do not broadcast"
    if (not free and joint != size) or (not freed and joint != wanted):
        return f"{fault}, which do not broadcast"
    bound[name] = joint, owner if joint == wanted else f"{owner} with {who}", free and freed
    return ""
