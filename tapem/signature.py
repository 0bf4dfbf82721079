"""The typed signature of an op: what its jaxtyping annotations say, with every verdict remembered.

Whether a call satisfies its annotations depends only on shapes and dtypes. jaxtyping (through beartype) is therefore
asked once about each combination, with stand-in arrays that own no memory; a set look-up answers from then on.
jaxtyping is the only judge: dimension strings are parsed in the last part of this file to explain a refusal, never to
decide one.
"""

from __future__ import annotations

import ast
import functools
import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, Union, cast, get_args, get_origin

import numpy as np
import numpy.typing as npt
from beartype.door import is_bearable
from jaxtyping import AbstractArray, AbstractDtype, Bool, Complex, Float, Int
from jaxtyping import jaxtyped as _jaxtyped  # pyright: ignore[reportUnknownVariableType]

from tapem.errors import DTypeError, ShapeError, TapeError

__all__ = ["Operand", "Signature", "Tensor", "type_text"]

if TYPE_CHECKING:
    Tensor: TypeAlias = npt.NDArray[Any]
else:
    Tensor = np.ndarray

jaxtyped = cast("Any", _jaxtyped)
# An axis name: its size (or the sizes of *batch axes), the tensor that bound it, and whether it may broadcast.
_Bound: TypeAlias = "dict[str, tuple[Any, str, bool]]"
_EMPTY = inspect.Parameter.empty
_CACHE_LIMIT = 100_000
_NO_STATIC: Mapping[str, object] = types.MappingProxyType({})
# Python numbers are 0-d tensors, as values and as annotations alike; bool comes first because it is also an int.
_NUMBERS: dict[Any, np.dtype[Any]] = {t: np.dtype(t) for t in (bool, int, float, complex)} | {int: np.dtype(np.int64)}
_COMMON = [np.dtype(name) for name in "float32 float64 int64 bool int32 uint8 float16 complex64 complex128".split()]
_NUMBER_KINDS: dict[object, Any] = {bool: Bool, int: Int, float: Float, complex: Complex}


def type_text(shape: Sequence[int], dtype: npt.DTypeLike) -> str:
    """Write a tensor's type in the short form that tapem prints everywhere.

    >>> type_text((32, 128), np.float32), type_text((), bool)
    ('f32[32,128]', 'bool[]')
    """
    dtype = np.dtype(dtype)
    short = f"{dtype.kind}{dtype.itemsize * 8}" if dtype.kind in "iufc" else dtype.name
    return f"{short}[{','.join(map(str, shape))}]"


class Operand(NamedTuple):
    """A tensor parameter of an op: `optional` if it may be None or left out, `variadic` for `*xs`.

    `leaves` are the array types that the annotation allows, as jaxtyping is asked about them; none if it says nothing.

    >>> Signature.of(lambda x, *ys: x, name="f").operands[1]
    Operand(name='ys', annotation=typing.Any, optional=False, text='Tensor', variadic=True, leaves=())
    """

    name: str
    annotation: object
    optional: bool
    text: str
    variadic: bool = False
    leaves: tuple[Any, ...] = ()


class Signature:
    """What an op takes and gives, read off the annotations of a Python function.

    The tensor operands are the parameters annotated with a jaxtyping array type or `np.ndarray`, also within Optional
    and Union; the others are static. Where no parameter is annotated as a tensor, the operands are the unannotated
    positional ones without a default.

    `accepted` holds the keys (`key_of`) of the combinations that were verified; it is a pure cache. `static_names` are
    the static parameters that annotations refer to, as `"{heads}"` does; if there are any (`uses_static`), a key holds
    their values.

    >>> from jaxtyping import Float
    >>> def linear(weight: Float[Tensor, "out in"], x: Float[Tensor, "*b in"]) -> Float[Tensor, "*b out"]: ...
    >>> Signature.of(linear)
    linear(weight: Float[Tensor, "out in"], x: Float[Tensor, "*b in"]) -> Float[Tensor, "*b out"]
    """

    __slots__ = ("_results", "accepted", "name", "operands", "result", "static", "static_names", "uses_static")

    def __init__(self, name: str, operands: Sequence[Operand], static: Mapping[str, object], result: object) -> None:
        """Make a signature from its parts; `Signature.of` reads them off a function."""
        self.name = name
        self.operands = tuple(operands)
        self.static: Mapping[str, object] = types.MappingProxyType(dict(static))
        self.result = result
        self.accepted: set[object] = set()
        self._results = _results(result)
        leaves = [leaf for operand in (*operands, *self._results) for leaf in operand.leaves]
        used = {name for leaf in leaves if _is_jaxtyping(leaf) for name in _names_in_braces(leaf.dim_str)}
        self.static_names = tuple(name for name in self.static if name in used)
        self.uses_static = bool(self.static_names)

    @classmethod
    def of(cls, function: Callable[..., object], *, name: str | None = None) -> Signature:
        """Read the signature of a function.

        Raises `TapeError` if the function shows no parameters, or an annotation cannot be evaluated.

        >>> from jaxtyping import Float
        >>> def scale(x: Float[Tensor, "..."], c: float = 2.0) -> Float[Tensor, "..."]: ...
        >>> Signature.of(scale).static["c"]
        2.0
        """
        name = name or str(getattr(function, "__name__", type(function).__name__))
        source: Any = function.func if isinstance(function, functools.partial) else inspect.unwrap(function)
        annotated = getattr(source, "__annotations__", None)  # a ufunc has none, and get_type_hints minds
        try:
            parameters = inspect.signature(cast("Any", function)).parameters.values()
            hints = typing.get_type_hints(source, include_extras=True) if annotated else {}
        except (TypeError, ValueError, NameError, AttributeError, SyntaxError) as error:
            raise TapeError(f"{name}: its signature cannot be read: {error}") from error
        tensors = {p.name for p in parameters if _leaves(hints.get(p.name, Any))}
        if not tensors:
            positional = (p for p in parameters if p.kind not in (p.KEYWORD_ONLY, p.VAR_KEYWORD))
            tensors = {p.name for p in positional if p.name not in hints and p.default is _EMPTY}
        operands = [
            _operand(p.name, hints.get(p.name, Any), p.default is not _EMPTY, p.kind is p.VAR_POSITIONAL)
            for p in parameters
            if p.name in tensors
        ]
        static = {p.name: p.default for p in parameters if p.name not in tensors}
        return cls(name, operands, static, hints.get("return", Any))

    def __repr__(self) -> str:
        """Give the whole signature, annotations included."""
        operands = ", ".join(f"{'*' * o.variadic}{o.name}: {o.text}" for o in self.operands)
        return f"{self.name}({operands}) -> {_text(self.result)}"

    def __str__(self) -> str:
        """Give the op and the names of its operands: the beginning of every message."""
        return f"{self.name}({', '.join('*' * o.variadic + o.name for o in self.operands)})"

    def key_of(
        self, inputs: Sequence[object], result: object | None = None, *, static: Mapping[str, object] = _NO_STATIC
    ) -> tuple[object, ...]:
        """Give what a verdict depends on: shape and dtype of every input, then of the result, in one flat tuple.

        None contributes `None, None`, as an input and as a result that is not there yet; a tuple result contributes
        one tuple of pairs. If `uses_static`, one tuple with the values of `static_names` follows.

        >>> Signature.of(lambda x: x, name="f").key_of([np.zeros(3)], (1.0,))
        ((3,), dtype('float64'), (((), dtype('float64')),))
        """
        key: list[object] = []
        for x in inputs:
            key += _pair(x)
        key += (tuple(map(_pair, cast("Any", result))),) if isinstance(result, (tuple, list)) else _pair(result)
        if self.uses_static:
            key.append(tuple(static.get(name, self.static[name]) for name in self.static_names))
        return tuple(key)

    def verify(
        self,
        inputs: Sequence[object],
        result: object | None = None,
        *,
        static: Mapping[str, object] = _NO_STATIC,
        labels: Sequence[str | None] = (),
    ) -> None:
        """Ask jaxtyping, once for each key, whether the inputs and the result (unless it is None) fit.

        An input is anything with a shape and a dtype, a Python number, or None for an optional operand. Values are
        never looked at. `labels` say in messages where each input comes from, such as "node 3 'w1'".

        Raises `ShapeError` or `DTypeError` for what does not fit, and `TapeError` if the number of inputs is wrong or
        an annotation cannot be evaluated.

        >>> from jaxtyping import Float
        >>> def dot(x: Float[Tensor, "n"], y: Float[Tensor, "n"]) -> Float[Tensor, ""]: ...
        >>> Signature.of(dot).verify([np.zeros(3), np.zeros(4)])
        Traceback (most recent call last):
        tapem.errors.ShapeError: dot(x, y): axis 'n' is 3 in x (3,) but 4 in y (4,)
          x: Float[Tensor, "n"]  f64[3]
          y: Float[Tensor, "n"]  f64[4]
        """
        key = self.key_of(inputs, result, static=static)
        try:
            if key in self.accepted:
                return
        except TypeError:  # a static value that cannot be hashed: such a call is asked about every time
            key = None
        operands = self._operand_slots(inputs, labels)
        slots = operands if result is None else operands + self._result_slots(result)
        scope = {**self.static, **static, **{slot.name: slot.value for slot in operands}}
        scope = {name: value for name, value in scope.items() if value is not _EMPTY and name.isidentifier()}
        misfit = self._first_misfit(slots, scope)
        if misfit is not None:
            raise _refusal(str(self), slots, misfit, len(operands), scope, self._first_misfit)
        # No lock: every step on the set is atomic, and what two threads lose between them is only asked again.
        if len(self.accepted) >= _CACHE_LIMIT:
            self.accepted.clear()
        if key is not None:
            self.accepted.add(key)

    def _operand_slots(self, inputs: Sequence[object], labels: Sequence[str | None]) -> list[_Slot]:
        """Pair every input with the operand it stands for; optional operands left out at the end are None."""
        expected = _expand(self.operands, len(inputs))
        if not sum(not operand.optional for operand in expected) <= len(inputs) <= len(expected):
            raise TapeError(f"{self!r}: got {len(inputs)} tensor{'s' * (len(inputs) != 1)}")
        rows = zip_longest(expected, inputs, labels[: len(inputs)])
        return [_Slot(operand, x, _stand_in(x), label) for operand, x, label in rows]

    def _result_slots(self, result: object) -> list[_Slot]:
        """Pair every tensor of the result with its annotation: beartype would only sample a tuple."""
        if not any(part.leaves for part in self._results):
            return []
        several = isinstance(result, (tuple, list))
        items = list(cast("Sequence[object]", result)) if several else [result]
        parts = _expand(self._results, len(items))
        if len(parts) != len(items) or several is any(part.name == "result" for part in parts):
            return [_Slot(Operand("result", Any, False, _text(self.result)), result, None, None)]
        rows = zip(parts, items, strict=True)
        return [_Slot(part, x, _stand_in(x), None) for part, x in rows if part.leaves]

    def _first_misfit(self, slots: Sequence[_Slot], scope: Mapping[str, object]) -> int | None:
        """Find the first slot that jaxtyping refuses, all of them sharing one scope of axis names."""
        at = 0

        def ask(**_: object) -> int | None:
            nonlocal at
            for at, slot in enumerate(slots):
                if not slot.fits():
                    return at
            return None

        # jaxtyping looks "{name}" up among the arguments of the function it decorates: give it one that has them.
        judge: Any = ask
        judge.__signature__ = inspect.Signature([inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY) for n in scope])
        try:
            return jaxtyped(judge, typechecker=None)(**scope)
        except Exception as error:
            annotation, reason = slots[at].operand.text, str(error).split(". ")[0]
            complaint = f"the annotation {annotation} of {slots[at].name} cannot be evaluated: {reason}"
            raise TapeError(f"{self}: {complaint}") from error


class _Slot(NamedTuple):
    """One tensor and the operand it stands for; `value` is its stand-in, None if it is not a tensor at all."""

    operand: Operand
    given: object
    value: Tensor | None
    label: str | None

    @property
    def name(self) -> str:
        return self.operand.name

    @property
    def who(self) -> str:
        return f"{self.name} {self.value.shape}" if self.value is not None else self.name

    def fits(self) -> bool:
        if self.value is None:
            return self.operand.optional and self.given is None
        leaves = self.operand.leaves
        return not leaves or is_bearable(self.value, cast("Any", Union)[leaves])


# Reading annotations ----------------------------------------------------------------------------------------------


def _operand(name: str, annotation: Any, optional: bool = False, variadic: bool = False) -> Operand:
    optional = optional or type(None) in _alternatives(annotation)
    return Operand(name, annotation, optional, _text(annotation), variadic, _leaves(annotation))


def _results(annotation: Any) -> list[Operand]:
    """Take a return annotation apart: the parts of a tuple are named result[0], result[1] and so on."""
    origin, args = get_origin(annotation), get_args(annotation)
    if hasattr(annotation, "_fields"):  # a NamedTuple
        origin, args = tuple, tuple(typing.get_type_hints(annotation, include_extras=True).values())
    if origin is list or args[-1:] == (...,):
        return [_operand("result", args[0], variadic=True)]
    if origin is tuple:
        return [_operand(f"result[{i}]", arg) for i, arg in enumerate(args)]
    return [_operand("result", annotation)]


def _expand(operands: Sequence[Operand], count: int) -> list[Operand]:
    """Repeat the variadic operand, if there is one, until there are `count` operands."""
    repeats = range(count - len(operands) + 1)
    rows = [[o._replace(name=f"{o.name}[{i}]") for i in repeats] if o.variadic else [o] for o in operands]
    return [operand for row in rows for operand in row]


def _alternatives(annotation: Any) -> list[Any]:
    """List what a Union, Optional, Annotated or type alias stands for."""
    if hasattr(annotation, "__value__"):
        return _alternatives(annotation.__value__)
    if get_origin(annotation) is typing.Annotated:
        return _alternatives(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return [alternative for argument in get_args(annotation) for alternative in _alternatives(argument)]
    return [annotation]


def _is_jaxtyping(annotation: object) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, AbstractArray)


def _is_numpy(annotation: object) -> bool:
    return annotation is np.ndarray or get_origin(annotation) is np.ndarray


def _leaves(annotation: Any) -> tuple[Any, ...]:
    """List the array types in an annotation; numbers count as such, but only beside a real one."""
    leaves: list[Any] = []
    alternatives = _alternatives(annotation)
    if not any(_is_jaxtyping(a) or _is_numpy(a) for a in alternatives):
        return ()
    for a in alternatives:
        if a in _NUMBER_KINDS:
            leaves.append(_NUMBER_KINDS[a][np.ndarray, ""])
        elif _is_jaxtyping(a) and a.array_type not in (Any, np.ndarray):
            # Which container stands there (Ref, jax.Array) is not the question: ask about the stand-in's.
            leaves.append(a.dtype[np.ndarray, a.dim_str])
        elif _is_jaxtyping(a) or _is_numpy(a):
            leaves.append(a)
    return tuple(leaves)


def _names_in_braces(dim_str: str) -> list[str]:
    """List the names that an f-string such as "{heads}*d" refers to."""
    nodes = ast.walk(ast.parse(f"f'{dim_str}'")) if "{" in dim_str else ()
    return [node.id for node in nodes if isinstance(node, ast.Name)]


def _text(annotation: Any) -> str:
    """Write an annotation as it stands in source."""
    alternatives = _alternatives(annotation)
    if len(alternatives) > 1:
        return " | ".join(map(_text, alternatives))
    [annotation], origin, args = alternatives, get_origin(annotation), get_args(annotation)
    if _is_jaxtyping(annotation):
        container = annotation.array_type
        name = "Tensor" if container is np.ndarray else getattr(container, "__name__", str(container))
        return f'{annotation.dtype.__name__}[{name}, "{annotation.dim_str}"]'
    if origin is np.ndarray and get_args(args[1])[0] is not Any:
        return f"NDArray[{get_args(args[1])[0].__name__}]"
    if origin in (tuple, list):
        return f"{origin.__name__}[{', '.join(map(_text, args))}]"
    if annotation is Any or _is_numpy(annotation):
        return "Tensor"
    return {type(None): "None", ...: "..."}.get(annotation) or getattr(annotation, "__name__", str(annotation))


# Looking at tensors -----------------------------------------------------------------------------------------------


def _pair(x: Any) -> tuple[Any, Any]:
    """Give the shape and dtype of a tensor or a number, and no shape for anything else."""
    dtype = _NUMBERS.get(x.__class__)
    if dtype is not None or x is None:
        return (None if x is None else ()), dtype
    try:
        return x.shape, x.dtype
    except AttributeError:
        dtype = next((dtype for number, dtype in _NUMBERS.items() if isinstance(x, number)), None)
        return (None if dtype is None else ()), dtype


def _stand_in(x: object) -> Tensor | None:
    """Make an array with the shape and dtype of x and no memory; None if x is not a tensor of numbers."""
    shape, dtype = _pair(x)
    try:
        numeric = isinstance(shape, tuple) and np.dtype(dtype).kind not in "OSUmM"
        return np.broadcast_to(np.zeros((), dtype), cast("tuple[int, ...]", shape)) if numeric else None
    except TypeError:  # a dtype of some other library
        return None


def _takes(leaf: Any, dtype: np.dtype[Any]) -> bool:
    """Ask about a dtype alone: the same kinds, any shape."""
    if not _is_jaxtyping(leaf):
        return is_bearable(np.zeros((), dtype), leaf)

    class Kind(AbstractDtype):
        dtypes = leaf.dtypes

    return isinstance(np.zeros((), dtype), cast("Any", Kind)[np.ndarray, "..."])


# Explaining a refusal ---------------------------------------------------------------------------------------------


def _refusal(
    call: str,
    slots: list[_Slot],
    misfit: int,
    inputs: int,
    scope: Mapping[str, object],
    first_misfit: Callable[[Sequence[_Slot], Mapping[str, object]], int | None],
) -> TapeError:
    """Explain why slot `misfit` does not fit, given those before it; the first `inputs` slots are the operands."""
    bound: _Bound = {}
    for earlier in slots[:misfit]:
        _complaint(earlier, bound, scope)
    kind, complaint = _complaint(slots[misfit], bound, scope)
    if misfit >= inputs:
        hint = "the inputs fit: the op or its return annotation is wrong"
    elif kind is DTypeError:
        hint = _conversion(slots[misfit])
    else:
        hint = _transposition(slots[:inputs], misfit, lambda changed: first_misfit(changed, scope) is None)
    rows = [(f"{s.name}:", s.operand.text, _found(s), s.label or "") for s in slots[: max(inputs, misfit + 1)]]
    a, b, c = (max(map(len, column)) for column in list(zip(*rows, strict=True))[:3])
    lines = [f"  {name:{a}} {text:{b}}  {found:{c}}  {label}".rstrip() for name, text, found, label in rows]
    if len(lines) > 12:  # a long variadic call: the first tensors and the neighbours of the misfit tell enough
        lines = [line for i, line in enumerate(lines) if i < 3 or abs(i - misfit) < 3]
        lines.append(f"  ({len(rows)} tensors in all)")
    if hint:
        lines.append(f"  hint: {hint}")
    return kind("\n".join([f"{call}: {complaint}", *lines]))


def _found(slot: _Slot) -> str:
    given: Any = slot.given
    if slot.value is not None:
        return type_text(slot.value.shape, slot.value.dtype)
    if isinstance(given, tuple):
        return f"a tuple of {len(cast('tuple[object, ...]', given))}"
    if hasattr(given, "dtype"):
        return f"an array of {given.dtype}"
    return "None" if given is None else f"of type {type(given).__name__}"


def _conversion(slot: _Slot) -> str:
    """Advise how to get a dtype that fits; empty if it is not obvious."""
    if slot.value is None:
        return f"use np.asarray({slot.name})" if isinstance(slot.given, list) else ""
    fitting = [dtype for dtype in _COMMON if any(_takes(leaf, dtype) for leaf in slot.operand.leaves)]
    if type(slot.given) in _NUMBERS:
        return next((f"use {t.__name__}({slot.name})" for t, dtype in _NUMBERS.items() if dtype in fitting), "")
    if np.real(slot.value).dtype in fitting:
        return f"use {slot.name}.real"
    return f"use {slot.name}.astype(np.{fitting[0].name})" if fitting else ""


def _transposition(slots: list[_Slot], misfit: int, fit: Callable[[list[_Slot]], bool]) -> str:
    """Advise to transpose the operand with which all would then fit, the misfit first; empty if there is none."""
    candidates = [slot for slot in [slots[misfit], *slots] if slot.value is not None and slot.value.ndim >= 2]
    for slot in candidates[:8]:
        swapped = slot._replace(value=np.swapaxes(cast("Tensor", slot.value), -1, -2))
        with suppress(TapeError):
            if fit([swapped if other is slot else other for other in slots]):
                flat = cast("Tensor", slot.value).ndim == 2
                advice = f"{slot.name}.T" if flat else f"np.swapaxes({slot.name}, -1, -2)"
                return f"transpose {slot.name}: {advice} fits"
    return ""


def _complaint(slot: _Slot, bound: _Bound, scope: Mapping[str, object]) -> tuple[type[TapeError], str]:
    """Say what does not fit; where the tensor does, say nothing of use and note in `bound` what its axes bind."""
    leaves = slot.operand.leaves
    if slot.value is None:
        return DTypeError, f"{slot.name} is {_found(slot)}, where {slot.operand.text} is required"
    possible = [leaf for leaf in leaves if _takes(leaf, slot.value.dtype)]
    if not possible:
        kinds = dict.fromkeys(leaf.dtype.__name__ if _is_jaxtyping(leaf) else _text(leaf) for leaf in leaves)
        return DTypeError, f"{slot.name} is {slot.value.dtype.name}, where {' or '.join(kinds)} is required"
    faults: list[str] = []
    for leaf in possible:
        tried = bound.copy()
        fault = _fault(leaf.dim_str, slot, tried, scope) if _is_jaxtyping(leaf) else ""
        if not fault:
            bound.update(tried)
            return ShapeError, f"{slot.who} does not fit {slot.operand.text}"
        faults.append(fault)
    return ShapeError, " and ".join(faults)


def _fault(dim_str: str, slot: _Slot, bound: _Bound, scope: Mapping[str, object]) -> str:
    """Find the first axis that does not fit, noting in `bound` what those before it bind; empty if none is found."""
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
    # The batch axes come last, as they do for jaxtyping.
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
    whys = [f"{n} = {statics[n]}" for n in _names_in_braces(name) if n in statics]
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
    bound[name] = joint, owner if joint == wanted else f"{owner} with {who}", free
    return ""
