"""The op `custom_call`: a function with its own rule as one node, whose static argument holds the rule.

The derivative never bypasses the rule, so forward and reverse mode always agree: reverse mode of a tangent rule is its
transpose, and forward mode of a pullback is the transpose of the pullback. To transpose a linear function, its pullback
is taken. Where values are known, the function runs on plain arrays, so its own rule may call it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, cast

import numpy as np

from tapem.core import NOTHING, Primitive, ShapeDtype, constant, read_only, run, snapshot
from tapem.doors.direct import Recorder, Tracer, new_recorder, opened, prepared_for
from tapem.errors import TapeError
from tapem.ops import primitive
from tapem.sweeps import zeros_of
from tapem.tangents import Zero
from tapem.transforms.closure_conversion import convert_closure, is_tensor
from tapem.transforms.derivatives import vjp
from tapem.transforms.program import kind_of
from tapem.transforms.tracing import at_home
from tapem.transforms.vectorize import vmap
from tapem.types import is_inexact


class Rule(Protocol):
    """A function with a rule, on flat lists of leaves: either `pull` or `push` is given, as `reverse` says."""

    name: str
    reverse: bool

    def function(self, *inputs: Any) -> list[Any]:
        """The outputs."""
        ...

    def forward(self, *inputs: Any) -> tuple[list[Any], list[Any]]:
        """The outputs and the residuals."""
        ...

    def pull(self, residuals: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        """The cotangents of the inputs."""
        ...

    def push(self, inputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """The tangents of the outputs."""
        ...


def pull_custom(g: tuple[Any, ...], y: Any, residuals: list[Any], *inputs: Any, rule: Rule) -> tuple[Any, ...]:
    """The user's pullback, or the transpose of the user's tangent rule."""
    if rule.reverse:
        return tuple(rule.pull(shielded(residuals), shielded(g)))
    floats = [index for index, value in enumerate(inputs) if is_inexact(ShapeDtype.of(value).dtype)]

    def along(*tangents: Any) -> tuple[Any, ...]:
        filled = [zeros_of(value) for value in inputs]
        for index, tangent in zip(floats, tangents, strict=True):
            filled[index] = tangent
        return tuple(rule.push(shielded(inputs), filled))

    def transposed() -> Any:
        zeros = [zeros_of(inputs[index]) for index in floats]
        converted = convert_closure(along, zeros, lambda values: (values, NOTHING))
        # A custom function that the rule applies to the tangents is linear in them, as is the whole rule. It is
        # replaced by its plain function, since the transpose of its own rule would need this transpose again.
        linear = converted.program.with_op(custom_call, seen_through, len(zeros))
        _, transpose = vjp(lambda *tangents: linear(*tangents, *converted.captures), *zeros)
        return transpose(tuple(g))

    found = iter(at_home((*inputs, *g), rule.name, transposed))
    return tuple(next(found) if index in floats else Zero() for index in range(len(inputs)))


def seen_through(*inputs: Any, rule: Rule) -> Any:
    """A call of a custom function without its tangent rule; a pullback stays, since it is already a transpose."""
    return custom_call(*inputs, rule=rule) if rule.reverse else tuple(rule.function(*inputs))


def push_custom(tangents: Sequence[Any], y: Any, residuals: list[Any], *inputs: Any, rule: Rule) -> tuple[Any, ...]:
    """The user's tangent rule, or the transpose of the user's pullback."""
    filled = [zeros_of(x) if type(t) is Zero else t for t, x in zip(tangents, inputs, strict=True)]
    if not rule.reverse:
        return tuple(rule.push(shielded(inputs), shielded(filled)))

    def back(*cotangents: Any) -> tuple[Any, ...]:
        found = rule.pull(shielded(residuals), cotangents)
        return tuple(zeros_of(x) if type(ct) is Zero else ct for ct, x in zip(found, inputs, strict=True))

    def transposed() -> Any:
        _, transpose = vjp(back, *(zeros_of(value) for value in y))
        return transpose(tuple(filled))

    return at_home((*inputs, *filled), rule.name, transposed)


class Batched:
    """The rule of a custom function for all examples, made from the rule for one."""

    def __init__(self, rule: Rule, size: int, mapped: Sequence[bool]) -> None:
        """Extend a rule; mapped inputs have their batch axis first, and so do all outputs and residuals."""
        self.rule = rule
        self.name = rule.name
        self.reverse = rule.reverse
        self.size = size
        self.mapped = mapped
        self.axes = tuple(0 if is_mapped else None for is_mapped in mapped)

    def function(self, *inputs: Any) -> list[Any]:
        """The outputs of all examples."""
        return vmap(self.rule.function, in_axes=self.axes, axis_size=self.size)(*inputs)

    def forward(self, *inputs: Any) -> tuple[list[Any], list[Any]]:
        """The outputs and residuals of all examples."""
        return vmap(self.rule.forward, in_axes=self.axes, axis_size=self.size)(*inputs)

    def pull(self, residuals: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        """The cotangents of all examples; an input that all examples share gets the sum."""

        def one(residuals: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
            found = self.rule.pull(residuals, cotangents)
            present.extend(type(part) is not Zero for part in found)
            return [part for part in found if type(part) is not Zero]

        present: list[bool] = []
        parts = iter(vmap(one, axis_size=self.size)(list(residuals), list(cotangents)))
        return [
            (ct if is_mapped else np.sum(ct, axis=0)) if some and (ct := next(parts)) is not None else Zero()
            for some, is_mapped in zip(present, self.mapped, strict=True)
        ]

    def push(self, inputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """The tangents of all examples."""
        axes = list(self.axes)
        return vmap(self.rule.push, in_axes=(axes, axes), axis_size=self.size)(list(inputs), list(tangents))


def batch_custom(
    op: Primitive, size: int, inputs: Sequence[Any], mapped: Sequence[bool], static: Mapping[str, Any]
) -> Any:
    """Call the custom function for all examples; without tracers no rule is needed."""
    rule = Batched(static["rule"], size, mapped)
    if any(type(value) is Tracer for value in inputs):
        return op(*inputs, rule=rule)
    return tuple(rule.function(*inputs))


def abstract_custom(*inputs: Any, rule: Rule) -> tuple[ShapeDtype, ...]:
    """The shapes of a custom function's outputs."""

    def trace(recorder: Recorder) -> tuple[ShapeDtype, ...]:
        inside = [
            Tracer(recorder, recorder.leaf(kind_of(x))) if isinstance(x, ShapeDtype) or is_tensor(x) else x
            for x in inputs
        ]
        outputs = rule.function(*inside)
        captured = [tracer for tracer, _ in (recorder.captures or {}).values()]
        foreign = [value for value in outputs if type(value) is Tracer and value.recorder is not recorder]
        refuse_traced([*captured, *foreign], rule.name)
        return tuple(ShapeDtype.of(output) for output in outputs)

    return opened(new_recorder(abstract=True, capturing=True), trace)


# No overload can describe an op of any number of inputs with a static argument without default.
_any_number = cast(
    "Callable[[Any], Primitive]",
    primitive(rrule=pull_custom, frule=push_custom, batch=batch_custom, abstract=abstract_custom, residuals=True),
)


@_any_number
def custom_call(*inputs, rule: Any) -> Any:  # pyright: ignore  # the rule says what its inputs and outputs are
    """Apply a function that has a custom rule, as one node with several results."""
    if any(type(value) is Tracer for value in inputs):  # a recorded sweep asks for the residuals
        outputs, residuals = rule.forward(*inputs)
        return tuple(outputs), residuals
    outputs, residuals = run(prepared_for(None), rule.forward, *shielded(inputs))
    refuse_traced([*outputs, *residuals], rule.name)
    kept = [snapshot(value) if type(value) is np.ndarray else value for value in residuals]
    return tuple(constant(value, op=rule.name, argument="its result") for value in outputs), kept


custom_call.checked = False
custom_call.refusals = ()  # an error in the function is the user's error


def shielded(values: Sequence[Any]) -> list[Any]:
    """The values for a user's rule: read-only, since the tape and other rules hold the same arrays."""
    return [read_only(value) if type(value) is np.ndarray else value for value in values]


def refuse_traced(values: Sequence[Any], name: str) -> None:
    """Raise TapeError if a custom function returned a tracer for arrays, since it then closes over a tracer."""
    for value in values:
        if type(value) is Tracer:
            raise TapeError(
                f"{name} closes over {value!r}, or over a value that it was computed from, and its rule cannot give a "
                "derivative for that. Pass it as an argument."
            )
