"""The typed signature of an op: its jaxtyping annotations, and a cache of the calls that satisfy them.

Whether a call satisfies its annotations depends only on shapes and dtypes. So jaxtyping (through beartype) checks each
combination once, with stand-in arrays that take no memory; afterwards a set look-up is enough. Only jaxtyping decides:
tapem.types.refusal explains its verdict, but never makes one.
"""

from __future__ import annotations

import functools
import inspect
import sys
import types
import typing
from collections.abc import Callable, Mapping, Sequence, Set
from itertools import zip_longest
from typing import Any, Union, cast

import numpy as np
from jaxtyping import jaxtyped as _jaxtyped  # pyright: ignore[reportUnknownVariableType]

from tapem.errors import TapeError
from tapem.types.annotations import (
    DTYPES,
    Operand,
    allowed_dtypes,
    annotation_text,
    axes_of_any_number,
    expand,
    results_of,
    satisfies,
)
from tapem.types.numpy_versions import signature_of
from tapem.types.refusal import Slot, refusal
from tapem.types.tensor import Tensor, shape_and_dtype, stand_in

__all__ = ["Signature", "Tensor", "argument_names", "parameters_and_hints"]

jaxtyped = cast("Any", _jaxtyped)
if "jax" not in sys.modules:
    # At its first check jaxtyping would import JAX, where it is installed, to leave its own frames out of JAX's
    # tracebacks. That takes a second, and draws from NumPy's global random state.
    vars(sys.modules[_jaxtyped.__module__]).update(_tb_flag=False)
_EMPTY = inspect.Parameter.empty
_CACHE_LIMIT = 10_000
_KINDS = "buifc"  # each is converted to those after it
_NO_STATIC: Mapping[str, object] = types.MappingProxyType({})


class Signature:
    """The operands and results of an op, read from the annotations of a Python function.

    The tensor operands are the parameters annotated with a jaxtyping array type or `np.ndarray`, also within Optional
    and Union; the others are static. If no parameter is annotated as a tensor, the operands are the unannotated
    positional ones without a default.

    `accepted` holds the keys (`key_of`) of the combinations that fit; it is a pure, bounded cache, and the only one of
    these verdicts. `static_names` are the static parameters that annotations name, as `"{heads}"` does; if there are
    any (`uses_static`), a key holds their values.

    >>> from jaxtyping import Float
    >>> def linear(weight: Float[Tensor, "out in"], x: Float[Tensor, "*b in"]) -> Float[Tensor, "*b out"]: ...
    >>> Signature.of(linear)
    linear(weight: Float[Tensor, "out in"], x: Float[Tensor, "*b in"]) -> Float[Tensor, "*b out"]
    """

    __slots__ = (
        "_broadcasts",
        "_results",
        "accepted",
        "name",
        "operands",
        "result",
        "static",
        "static_names",
        "uses_static",
    )

    def __init__(self, name: str, operands: Sequence[Operand], static: Mapping[str, object], result: object) -> None:
        """Make a signature from its parts; `Signature.of` makes one from a function."""
        self.name = name
        self.operands = tuple(operands)
        self.static: Mapping[str, object] = types.MappingProxyType(dict(static))
        self.result = result
        self.accepted: set[object] = set()
        self._results = results_of(result)
        self._broadcasts: bool | None = None  # not known yet
        used = {name for operand in (*operands, *self._results) for name in operand.names}
        self.static_names = tuple(name for name in self.static if name in used)
        self.uses_static = bool(self.static_names)

    @classmethod
    def of(cls, function: Callable[..., object], *, name: str | None = None) -> Signature:
        """Read the signature of a function.

        Raises TapeError if the parameters cannot be read or an annotation cannot be evaluated.

        >>> from jaxtyping import Float
        >>> def scale(x: Float[Tensor, "..."], c: float = 2.0) -> Float[Tensor, "..."]: ...
        >>> Signature.of(scale).static["c"]
        2.0
        """
        name = name or str(getattr(function, "__name__", type(function).__name__))
        try:
            parameters, hints = parameters_and_hints(function)
        except (TypeError, ValueError, NameError, AttributeError, SyntaxError) as error:
            raise TapeError(f"{name}: its signature cannot be read: {error}") from error
        read = [
            Operand.of(p.name, hints.get(p.name, Any), p.default is not _EMPTY, p.kind is p.VAR_POSITIONAL)
            for p in parameters
        ]
        tensors = {operand.name for operand in read if operand.leaves}
        if not tensors:
            positional = (p for p in parameters if p.kind not in (p.KEYWORD_ONLY, p.VAR_KEYWORD))
            tensors = {p.name for p in positional if p.name not in hints and p.default is _EMPTY}
        operands = [operand for operand in read if operand.name in tensors]
        static = {p.name: p.default for p in parameters if p.name not in tensors}
        return cls(name, operands, static, hints.get("return", Any))

    def __repr__(self) -> str:
        """The whole signature, with annotations."""
        operands = ", ".join(f"{'*' * o.variadic}{o.name}: {o.text}" for o in self.operands)
        return f"{self.name}({operands}) -> {annotation_text(self.result)}"

    def __str__(self) -> str:
        """The op and the names of its operands, with which every error message begins."""
        return f"{self.name}({', '.join('*' * o.variadic + o.name for o in self.operands)})"

    def text_of(self, position: int) -> str:
        """The annotation of the operand at a position, as text; the last operand takes the rest if it is variadic."""
        return self.operands[min(position, len(self.operands) - 1)].text if self.operands else ""

    @property
    def broadcasts(self) -> bool:
        """Whether the annotations say no more of shapes than that all operands broadcast to the result.

        >>> from jaxtyping import Float
        >>> def add(a: Float[Tensor, "*#shape"], b: Float[Tensor, "*#shape"]) -> Float[Tensor, "*shape"]: ...
        >>> Signature.of(add).broadcasts, Signature.of(lambda x: x, name="f").broadcasts
        (True, True)
        """
        if self._broadcasts is None:
            self._broadcasts = self._says_that_operands_broadcast()
        return self._broadcasts

    def _says_that_operands_broadcast(self) -> bool:
        axes = {axes_of_any_number(leaf) for operand in self.operands for leaf in operand.leaves}
        given = [axes_of_any_number(leaf) for part in self._results for leaf in part.leaves]
        if len(axes) > 1 or None in axes or None in given:
            return False
        [(name, free)] = cast("Any", axes) or [("...", True)]
        several = len(self.operands) > 1 or any(operand.variadic for operand in self.operands)
        return (free or not several) and all(part is None or part[0] in ("...", name) for part in given)

    def is_numpys(self, ufunc: np.ufunc | None = None) -> bool:
        """Whether NumPy itself enforces all that the annotations say of an op that acts element by element.

        It does where they say of shapes that they broadcast, and of dtypes nothing: nothing at all, or no more than
        what `ufunc`, which computes the op, takes and gives by its own table of types.
        """
        taken, given = (DTYPES, DTYPES) if ufunc is None else _dtypes_of(ufunc)
        return (
            self.broadcasts
            and all(taken <= _allowed(operand) for operand in self.operands)
            and all(given <= _allowed(part) for part in self._results)
        )

    def key_of(
        self, inputs: Sequence[object], result: object | None = None, *, static: Mapping[str, object] = _NO_STATIC
    ) -> tuple[object, ...]:
        """The key of a verdict: the pair of shape and dtype of every input, then that of the result.

        The entry of None is None, both for an input and for a result that is not known yet; the entry of a tuple is a
        tuple of pairs. If `uses_static`, a tuple with the types and values of `static_names` follows.

        >>> Signature.of(lambda x: x, name="f").key_of([np.zeros(3)], (1.0,))
        (((3,), dtype('float64')), (((), dtype('float64')),))
        """
        several = isinstance(result, (tuple, list))
        last = tuple(map(_part, cast("Any", result))) if several else _part(result)
        key = (*map(_part, inputs), last)
        if not self.uses_static:
            return key
        values = [static.get(name, self.static[name]) for name in self.static_names]
        return *key, tuple((type(value), value) for value in values)  # 2, 2.0 and True are equal, but not alike

    def verify(
        self,
        inputs: Sequence[object],
        result: object | None = None,
        *,
        static: Mapping[str, object] = _NO_STATIC,
        labels: Sequence[str | None] = (),
    ) -> None:
        """Check that the inputs and the result (unless it is None) fit; jaxtyping is asked once for each key.

        An input is anything with a shape and a dtype, a Python number, or None for an optional operand. Values do not
        matter. `labels` name the origin of each input in error messages, such as "node 3 'w1'".

        Raises ShapeError or DTypeError if a tensor does not fit, and TapeError if the number of inputs is wrong or an
        annotation cannot be evaluated.

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
        except TypeError:  # a static value that cannot be hashed: such a call is checked every time
            key = None
        operands = self._operand_slots(inputs, labels)
        slots = operands if result is None else operands + self._result_slots(result)
        scope = {**self.static, **static, **{slot.name: slot.value for slot in operands}}
        scope = {name: value for name, value in scope.items() if value is not _EMPTY and name.isidentifier()}
        misfit = self._first_misfit(slots, scope)
        if misfit is not None:
            raise refusal(str(self), slots, misfit, len(operands), scope, self._first_misfit)
        # No lock: every operation on the set is atomic, and a lost key is only checked again.
        if len(self.accepted) >= _CACHE_LIMIT:
            self.accepted.clear()
        if key is not None:
            self.accepted.add(key)

    def _operand_slots(self, inputs: Sequence[object], labels: Sequence[str | None]) -> list[Slot]:
        """Pair every input with its operand; optional operands left out at the end are None."""
        expected = expand(self.operands, len(inputs))
        if not sum(not operand.optional for operand in expected) <= len(inputs) <= len(expected):
            raise TapeError(f"{self!r}: got {len(inputs)} tensor{'s' * (len(inputs) != 1)}")
        rows = zip_longest(expected, inputs, labels[: len(inputs)])
        return [Slot(operand, x, stand_in(x), label) for operand, x, label in rows]

    def _result_slots(self, result: object) -> list[Slot]:
        """Pair every tensor of the result with its annotation; of a tuple, beartype would check only one item."""
        if not any(part.leaves for part in self._results):
            return []
        several = isinstance(result, (tuple, list))
        items = list(cast("Sequence[object]", result)) if several else [result]
        parts = expand(self._results, len(items))
        if len(parts) != len(items) or several is any(part.name == "result" for part in parts):
            return [Slot(Operand("result", Any, False, annotation_text(self.result)), result, None, None)]
        rows = zip(parts, items, strict=True)
        return [Slot(part, x, stand_in(x), None) for part, x in rows if part.leaves]

    def _first_misfit(self, slots: Sequence[Slot], scope: Mapping[str, object]) -> int | None:
        """Find the first slot that jaxtyping refuses; all slots share one scope of axis names."""
        at = 0

        def ask(**_: object) -> int | None:
            nonlocal at
            for at, slot in enumerate(slots):
                if not _fits(slot):
                    return at
            return None

        # jaxtyping looks "{name}" up in the arguments of the function that it decorates, so `judge` has them all.
        judge: Any = ask
        judge.__signature__ = inspect.Signature([inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY) for n in scope])
        try:
            return jaxtyped(judge, typechecker=None)(**scope)
        except Exception as error:
            annotation, reason = slots[at].operand.text, str(error).split(". ")[0]
            complaint = f"the annotation {annotation} of {slots[at].name} cannot be evaluated: {reason}"
            raise TapeError(f"{self}: {complaint}") from error


def parameters_and_hints(function: Callable[..., object]) -> tuple[list[inspect.Parameter], dict[str, Any]]:
    """The parameters of a function, and its evaluated annotations by name, that of its result as "return"."""
    source: Any = function.func if isinstance(function, functools.partial) else inspect.unwrap(function)
    annotated = getattr(source, "__annotations__", None)  # a ufunc has none, and get_type_hints minds
    parameters = signature_of(cast("Any", function)).parameters.values()
    return list(parameters), typing.get_type_hints(source, include_extras=True) if annotated else {}


def _allowed(operand: Operand) -> Set[str]:
    return DTYPES.intersection(*[set[str]().union(*map(allowed_dtypes, operand.leaves))] if operand.leaves else [])


def _dtypes_of(ufunc: np.ufunc) -> tuple[Set[str], Set[str]]:
    """The dtypes that a ufunc takes, those among them that NumPy would convert, and those that it gives."""
    takes, gives = ("".join(row.split("->")[i] for row in ufunc.types) for i in range(2))
    most = max((_KINDS.index(np.dtype(c).kind) for c in takes if c not in "OmM"), default=0)
    taken = {name for name in DTYPES if _KINDS.index(np.dtype(name).kind) <= most}
    return taken, DTYPES.intersection(np.dtype(c).name for c in gives if c not in "OmM")


def _part(x: object) -> object:
    """The entry of one tensor in a key; it is None only for None, so nothing else looks like a missing operand."""
    return None if x is None else shape_and_dtype(x)


def _fits(slot: Slot) -> bool:
    if slot.value is None:
        return slot.operand.optional and slot.given is None
    leaves = slot.operand.leaves
    return not leaves or satisfies(slot.value, cast("Any", Union)[leaves])


def argument_names(f: Callable[..., Any], count: int) -> list[str]:
    """The names of the positional parameters of a function; `x0`, `x1` if its signature cannot be read.

    >>> argument_names(lambda a, *rest: a, 3)
    ['a', 'rest[0]', 'rest[1]']
    """
    names: list[str] = []
    try:
        for parameter in inspect.signature(f).parameters.values():
            if parameter.kind is parameter.VAR_POSITIONAL:
                names += [f"{parameter.name}[{position}]" for position in range(count - len(names))]
            elif parameter.kind is not parameter.KEYWORD_ONLY and parameter.kind is not parameter.VAR_KEYWORD:
                names.append(parameter.name)
    except (TypeError, ValueError):  # a builtin that does not show its parameters
        pass
    return [*names, *(f"x{position}" for position in range(len(names), count))][:count]
