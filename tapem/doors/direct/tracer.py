"""The direct door: a tracer stands for a node while plain code runs, and implements NumPy's own protocols.

An op of a tracer is recorded at once, on the tracer's recorder, and returns a tracer. NumPy's functions call the same
ops through `__array_ufunc__` and `__array_function__`, so a plain NumPy function can be recorded unchanged. Where NumPy
has no hook, a tracer must raise, since the gradient would be lost silently.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any, ClassVar, NoReturn

import numpy as np

from tapem.core import (
    ARRAY_API,
    CONTEXT,
    FUNCTIONS,
    METHODS,
    UFUNCS,
    Handle,
    Node,
    Primitive,
    ShapeDtype,
    Static,
    UnknownNumber,
    called_with,
    detach,
    has_door,
    instead,
    is_weak,
    name_of,
    pick,
    recorded,
    register_door,
    ufunc_handler,
    unstack,
)
from tapem.doors.direct.methods import ArrayMethods
from tapem.doors.direct.number_powers import power_of
from tapem.doors.direct.recorder import Recorder, current_recorder, plain_index
from tapem.doors.direct.rewriting import rewritten_call
from tapem.errors import ArgumentError, ConcretizationError, EscapedTracerError, MutationError, NoRuleError
from tapem.tangents import Tangent
from tapem.types import NUMBERS, is_inexact, own, refuse_meeting, type_text, user_assigns_item, users_line


class Tracer(Handle, ArrayMethods["Tracer"]):
    """A node on a recorder, which plain code uses like an array.

    >>> import numpy as np, tapem as tm
    >>> tm.grad(lambda x: np.sum(np.sin(x) * x[0]))(np.array([0.0, 1.0]))
    array([0.84147098, 0.        ])
    """

    __slots__ = ("node", "recorder")

    def __init__(self, recorder: Recorder, node: Node) -> None:
        """Stand for a node of a recorder."""
        self.recorder = recorder
        self.node = node

    def __len__(self) -> int:
        shape = self.node.shape
        if not shape:
            raise TypeError("len() of a tracer of shape ()")
        return shape[0]

    def __iter__(self) -> Iterator[Tracer]:
        if not self.node.shape:
            raise TypeError("a tracer of shape () cannot be iterated over")
        apart: Any = unstack
        return iter(apart(self))

    def __repr__(self) -> str:
        name = "" if self.node.name is None else f" {self.node.name!r}"
        value = self.node.output
        shown = "" if isinstance(value, ShapeDtype) or self.size > 10 else f" = {np.asarray(value).tolist()}"
        return f"Tracer {self.node.id}{name} {type_text(self.shape, self.dtype)}{shown}"

    def __eq__(self, other: object) -> Any:
        return UFUNCS[np.equal](self, other)

    def __ne__(self, other: object) -> Any:
        return UFUNCS[np.not_equal](self, other)

    def __pow__(self, other: Any) -> Any:
        power = UFUNCS[np.power] if not self.recorder.plain else power_of(self, other)
        return power(self, other)

    def __rpow__(self, other: Any) -> Any:
        power = UFUNCS[np.power] if not self.recorder.plain else power_of(self, other)
        return power(other, self)

    def __hash__(self) -> int:
        raise ConcretizationError(
            f"{users_line()}: {self!r} cannot be a key of a dict or a member of a set: as of an array, its == is "
            'elementwise. Use its name or position as the key, as in {"w": 1}.'
        )

    # -- reading a value ------------------------------------------------------------------------------------------

    def __bool__(self) -> bool:
        value = self.node.output
        if isinstance(value, ShapeDtype):
            raise ConcretizationError(
                f"{users_line()}: the truth of {self!r} was asked for, but inside vmap, eval_shape, compile or a loop "
                "body only its shape is known. Use tm.where(condition, a, b) or tm.cond(condition, f, g, ...) instead "
                "of if, tm.while_loop instead of while; or name the argument in static_argnums of tm.compile."
            )
        return bool(value)

    def _refuse(self, conversion: str) -> NoReturn:
        refuse_meeting(self)
        self._refuse_index()
        self._refuse_assignment()
        if isinstance(self.node.output, ShapeDtype):
            raise ConcretizationError(
                f"{users_line()}: {conversion} of {self!r} asks for its value, but inside vmap, eval_shape, compile or "
                "a loop body only its shape is known. Compute with tapem's or NumPy's functions (np.sin, not math.sin) "
                "and choose by tm.where or tm.cond; an argument of tm.compile may be static (static_argnums)."
            )
        raise ConcretizationError(
            f"{users_line()}: {conversion} of {self!r} would lose its gradient. For a number that is not "
            f"differentiated write {conversion}(tm.detach(x)), outside of vmap; to compute with it use tapem's or "
            "NumPy's functions (np.sin, not math.sin)."
        )

    def __float__(self) -> float:
        self._refuse("float")

    def __int__(self) -> int:
        self._refuse("int")

    def __complex__(self) -> complex:
        self._refuse("complex")

    def __index__(self) -> int:
        self._refuse("int")

    def item(self) -> float:
        """Raise ConcretizationError, since a Python number has no gradient."""
        self._refuse("float")

    def tolist(self) -> list[Any]:
        """Raise ConcretizationError, since Python numbers have no gradient."""
        self._refuse("list")

    def _refuse_assignment(self) -> None:
        if user_assigns_item():
            raise ConcretizationError(
                f"{users_line()}: an element of an array cannot be {self!r}: the array would lose its gradient. "
                "Collect the values in a list and write out = np.stack(values), or np.concatenate(values); or write "
                "out = tm.scatter_set(out, indices, values, axis)."
            )

    def __getitem__(self, index: Any) -> Any:
        recorder, known, context = self.recorder, plain_index(index), CONTEXT.get()
        plain = context is recorder.usual or context == (recorder, 0, None)
        if known is None or not plain:
            return super().__getitem__(index)
        key = (self.node.id, known)
        node = recorder.slices.get(key)
        if node is None:
            result: Any = super().__getitem__(index)
            recorder.slices[key] = result.node
            return result
        return Tracer(recorder, node)

    def __setitem__(self, index: Any, value: Any) -> NoReturn:
        call = rewritten_call()
        if call is not None:  # the user did not write this assignment
            what, instead_of_it = call
            raise MutationError(
                f"{users_line()}: {what} changes its array in place, which a tracer cannot be. Write {instead_of_it}."
            )
        super().__setitem__(index, value)

    def _refuse_index(self) -> None:
        if not isinstance(self.node.output, ShapeDtype):
            return
        unknown = (
            f"{users_line()}: the value of {self!r} was asked for, but inside vmap, eval_shape, compile or a loop body "
            "only its shape is known."
        )
        if type(self.node.output) is UnknownNumber and not is_inexact(self.dtype):
            raise ConcretizationError(
                f"{unknown} To index by it write tm.take(array, i, axis=0) instead of array[i]. A number that decides "
                "shapes, the number of steps or which code runs is static: name its argument in static_argnums or "
                "static_argnames of tm.compile."
            )
        if not is_inexact(self.dtype):
            raise ConcretizationError(
                f"{unknown} To index by it write tm.take(array, i, axis=0) instead of array[i], and "
                "tm.where(mask, a, b) instead of array[mask]; an argument of tm.compile may be static (static_argnums)."
            )

    def __array__(self, dtype: Any = None, copy: Any = None) -> NoReturn:
        refuse_meeting(self)
        self._refuse_index()
        self._refuse_assignment()
        before, after = rewritten_call() or ("np.array([x, y]) or np.asarray(x)", "np.stack([x, y]) or x")
        raise ConcretizationError(
            f"{users_line()}: {self!r} cannot become a plain array: that would lose its gradient. Where you wrote "
            f"{before}, write {after}; for a function of another library, use tapem's or NumPy's; for values that are "
            "not differentiated, such as those of a plot, tm.detach(x)."
        )

    def __format__(self, spec: str) -> str:
        value = self.node.output  # for printing only, so no gradient is lost
        return format(value, spec) if spec and not isinstance(value, ShapeDtype) else repr(self)

    def __copy__(self) -> Tracer:
        return self

    def __deepcopy__(self, memo: object) -> Tracer:
        return self

    def __reduce__(self) -> NoReturn:
        raise ConcretizationError(
            f"{users_line()}: {self!r} cannot be pickled: it only lives inside its transform. Pickle what the "
            "transform returns, or tm.detach(x)."
        )

    # -- NumPy's protocols ----------------------------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        if options and options.pop("out", None) is not None:
            masked = " For where=mask too, write np.where(mask, result, other)." if "where" in options else ""
            raise MutationError(
                f"{name_of(ufunc)} would write its result into an array (out=, or an operator such as += on an "
                f"array), which a tracer's value cannot be. Write y = y + x instead of y += x.{masked}"
            )
        if method == "__call__":
            op = ufunc_handler(ufunc)
            if op is not None:
                if type(self.node.output) is UnknownNumber and all(map(is_weak, inputs)):
                    inputs = tuple(self.astype(self.dtype) if x is self else x for x in inputs)
                return called_with(ufunc, name_of(ufunc), op, inputs, options) if options else op(*inputs)
        else:
            reduction = METHODS.get((ufunc, method))
            if reduction is not None:
                return reduction(*inputs, **options)
        raise no_rule(name_of(ufunc) if method == "__call__" else f"{name_of(ufunc)}.{method}", self)

    def __array_function__(
        self,
        function: Callable[..., Any],
        types: Iterable[type],
        arguments: tuple[Any, ...],
        options: Mapping[str, Any],
    ) -> Any:
        handler = FUNCTIONS.get(function)
        if handler is None:
            raise no_rule(name_of(function), self)
        if options.get("out") is not None:
            raise MutationError(f"{name_of(function)}(..., out=...) would write into an array; use its result.")
        if not (_OWN.issuperset(map(type, arguments)) and _OWN.issuperset(map(type, options.values()))):
            if any(issubclass(kind, Tangent) for kind in types):
                return NotImplemented  # the algebra of tangents handles tracers
            name = name_of(function)
            arguments = tuple(own(x, op=name, argument=f"argument {i}") for i, x in enumerate(arguments))
            options = {key: own(x, op=name, argument=f"argument {key!r}") for key, x in options.items()}
        return handler(*arguments, **options)

    # -- the array API standard -----------------------------------------------------------------------------------

    def __array_namespace__(self, *, api_version: str | None = None) -> ModuleType:
        """`tapem.xp`, whose functions take tracers; ArgumentError for a version that it does not conform to."""
        if api_version not in ARRAY_API:
            raise ArgumentError(
                f"tapem.xp does not conform to version {api_version!r} of the array API standard, but to "
                f"{', '.join(repr(version) for version in ARRAY_API if version is not None)}."
            )
        return ARRAY_API[api_version]


_new = object.__new__

# What NumPy's functions are given nearly always, and need not be asked whether it is foreign.
_OWN = frozenset({Tracer, np.ndarray, *NUMBERS, str, type(None)})


def no_rule(name: str, tracer: Tracer) -> NoRuleError:
    """The error for a NumPy function that tapem does not have."""
    known, other = type(tracer.node.output) is not ShapeDtype, instead(name)
    why = "its result would lose the gradient" if known else "inside vmap, where values are not known, it cannot run"
    advice = f"Write {other} instead" if other else "Write it with functions that have one"
    cut = ", declare it with tm.primitive, or call it on tm.detach(x)" if known else ", or declare it with tm.primitive"
    return NoRuleError(f"{name} has no rule in tapem, so {why}. {advice}{cut}.")


class DirectDoor:
    """Record the op at once, on the highest recorder among the operands."""

    rank: ClassVar[int] = 1

    @staticmethod
    def apply(op: Primitive, operands: tuple[Any, ...], static: Static) -> Any:
        """The tracer of the recorded op; a plain array if no derivative can depend on the result."""
        # The usual case, in one pass: all tracers are of the current recorder, which knows values.
        recorder: Any = None
        for operand in operands:
            if type(operand) is Tracer:
                if operand.recorder is not recorder:
                    if recorder is not None:
                        return apply_slowly(op, operands, static)
                    recorder = operand.recorder
            elif type(operand) not in _OWN and has_door(operand):  # a Ref or a step: their door ranks higher
                return op.dispatch(operands, static)
        if CONTEXT.get() is not recorder.usual or not op.differentiable:
            return apply_slowly(op, operands, static)
        nodes = recorder.nodes
        node = recorded(len(nodes), op, operands, static)
        nodes.append(node)
        if nodes[node.id] is not node:
            node = recorder.renumbered(node)
        if type(node.output) is tuple:
            return results_of(recorder, node)
        tracer = _new(Tracer)  # costs half as much as a call of the class, once per op
        tracer.recorder = recorder
        tracer.node = node
        return tracer


def apply_slowly(op: Primitive, operands: tuple[Any, ...], static: Static) -> Any:
    """The same, where recorders are nested or abstract, or the op is not recorded, or someone is watching."""
    current, constants, watcher = CONTEXT.get()
    recorder = highest(operands, None if current is None else current.closure, op.usage)
    if not recorder.abstract and (constants or not op.differentiable):
        return apart(op.compute(tuple(x.node.output if type(x) is Tracer else x for x in operands), static), operands)
    node = recorder.record(op, operands, static)
    if watcher is not None:
        watcher.recorded(node)
    if constants and op.differentiable and type(node.output) is not tuple:
        # Under no_grad, on an abstract recorder: the result is detached, also from tracers of lower levels.
        node = recorder.record(detach, (Tracer(recorder, node),))
    return results_of(recorder, node)


def apart(value: Any, operands: tuple[Any, ...]) -> Any:
    """Copy a value if it shares memory with the tape's own arrays, since the user may overwrite it."""
    if type(value) is tuple:
        return tuple(apart(part, operands) for part in value)
    if type(value) is not np.ndarray:
        return value
    shared = value.base is not None or any(type(x) is Tracer and x.node.output is value for x in operands)
    return value.copy() if shared else value


def highest(values: Sequence[Any], start: Recorder | None, caller: Callable[[], str]) -> Any:
    """The highest recorder among `start` and those of the tracers; None if there is none.

    Raises EscapedTracerError if one has ended, or if neither of two stands on the other; `caller` gives the name shown
    in errors.
    """
    found = start
    for value in values:
        if type(value) is Tracer and value.recorder is not found:
            own: Recorder = value.recorder
            own.check_alive()
            if found is None or own.stands_on(found):
                found = own
            elif not found.stands_on(own):
                raise EscapedTracerError(
                    f"{caller()} mixes values of two traces that know nothing of each other, such as those of two "
                    "threads. Pass the values as arguments of one function, or start the thread in the context of the "
                    "function around it: contextvars.copy_context().run(work)."
                )
    return found


def home(values: Sequence[Any], caller: Callable[[], str]) -> Any:
    """The recorder on which a transform of these values stands: the current one, or a higher one among theirs.

    The operands decide, not the thread: a tracer that was passed to another thread is still a tracer.
    """
    return highest(values, current_recorder(), caller)


def results_of(recorder: Recorder, node: Node) -> Any:
    """The tracer of a node, or a tuple of tracers for several results.

    Integers and bools among several results, such as a counter or positions, are constants of every derivative.
    """
    tracer: Any = Tracer(recorder, node)
    if type(node.output) is not tuple:
        return tracer
    parts = [DirectDoor.apply(pick, (tracer,), Static(index=index)) for index in range(len(node.output))]
    dtypes = [ShapeDtype.of(part).dtype for part in node.output]
    return tuple(part if is_inexact(dtype) else detach(part) for part, dtype in zip(parts, dtypes, strict=True))


register_door(Tracer, DirectDoor)
