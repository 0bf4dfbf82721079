"""The op `call`: a whole program as one node, and the programs that differentiate and batch programs.

The rules of `call` are calls of other programs: its pullback is a call of `Pullback(program)`, its tangent a call of
`Pushforward(program)`, its batch a call of the batched program. So the op is closed under every transform. A program
recomputes what it needs, so nothing of its inside is kept between the forward and the backward sweep.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, cast

import numpy as np

from tapem.declare import primitive
from tapem.node import Abstract
from tapem.primitive import Primitive
from tapem.recorder import Recorder, new_recorder, opened, put_to_work
from tapem.tangents import Zero
from tapem.tracer import Tracer
from tapem.transforms import jvp, merge, vjp
from tapem.vectorise import vmap
from tapem.work import run


class Program(Protocol):
    """A function of arrays or tracers, to a tuple of them, that closes over nothing that is traced."""

    __name__: str

    def __call__(self, *inputs: Any) -> tuple[Any, ...]:
        """The outputs for these inputs."""
        ...


def call_abstractly(*inputs: Any, program: Program) -> tuple[Abstract, ...]:
    """The shapes of a program's outputs."""
    shapes = getattr(program, "shapes", None)
    if shapes is not None:
        return shapes(*inputs)

    def trace(recorder: Recorder) -> tuple[Abstract, ...]:
        outputs = program(*(Tracer(recorder, recorder.leaf(Abstract.of(value))) for value in inputs))
        return tuple(Abstract.of(output) for output in outputs)

    return opened(new_recorder(abstract=True), trace)


def batch_call(
    op: Primitive, size: int, inputs: Sequence[Any], mapped: Sequence[bool], static: Mapping[str, Any]
) -> Any:
    """Call the program of all examples."""
    return op(*inputs, program=batched(static["program"], size, tuple(mapped)))


def pull_call(g: tuple[Any, ...], y: Any, *inputs: Any, program: Program) -> tuple[Any, ...]:
    """Call the pullback of the outputs that were used; integer inputs get nothing."""
    floats = [is_float(value) for value in inputs]
    used = tuple(part is not None and is_float(value) for part, value in zip(g, y, strict=True))
    if not (any(floats) and any(used)):
        return (Zero(),) * len(inputs)
    cotangents = [part for part, use in zip(g, used, strict=True) if use]
    found = iter(call(*inputs, *cotangents, program=Pullback(program, len(inputs), used)))
    return tuple(next(found) if flag else Zero() for flag in floats)


def push_call(tangents: Sequence[Any], y: Any, *inputs: Any, program: Program) -> tuple[Any, ...]:
    """Call the pushforward along the inputs that have a tangent."""
    moving = tuple(type(t) is not Zero and is_float(x) for t, x in zip(tangents, inputs, strict=True))
    given = [t for t, moves in zip(tangents, moving, strict=True) if moves]
    return call(*inputs, *given, program=Pushforward(program, moving))


def is_float(value: Any) -> bool:
    """Whether a value can be perturbed."""
    return Abstract.of(value).dtype.kind == "f"


# An op of any number of inputs and a static argument without default: a shape of function that no overload can tell.
_any_number = cast(
    "Callable[[Any], Primitive]",
    primitive(rrule=pull_call, frule=push_call, batch=batch_call, abstract=call_abstractly),
)


@_any_number
def call(*inputs, program: Any) -> Any:  # pyright: ignore  # the program says what its inputs and outputs are
    """Apply a closed program, as one node with several results."""
    return tuple(run(put_to_work(None), functools.partial(program, *inputs)))


call.checked = False
call.refusals = ()  # what the program raises is the user's
call.whole_cotangent = False


class Pullback:
    """The program `(inputs, cotangents of the used outputs) -> cotangents of the float inputs`.

    An output that nobody used has no cotangent at all: 0 times an infinite derivative would be NaN.
    """

    def __init__(self, program: Program, count: int, used: tuple[bool, ...]) -> None:
        """Of a program with this many inputs; `used` says which of its outputs have a cotangent."""
        self.program = program
        self.count = count
        self.used = used
        self.__name__ = f"pullback of {program.__name__}"

    def __call__(self, *values: Any) -> tuple[Any, ...]:
        """Run the program again, and sweep it backward."""

        def outputs(*inputs: Any) -> tuple[Any, ...]:
            return tuple(part for part, use in zip(self.program(*inputs), self.used, strict=True) if use)

        inputs, cotangents = values[: self.count], values[self.count :]
        _, pullback = vjp(outputs, *inputs)
        return tuple(ct for ct, x in zip(pullback(cotangents), inputs, strict=True) if is_float(x))

    def shapes(self, *values: Any) -> tuple[Abstract, ...]:
        """Cotangents have the shapes of their inputs."""
        return tuple(Abstract.of(x) for x in values[: self.count] if is_float(x))

    def batched(self, size: int, mapped: tuple[bool, ...] | None) -> Program:
        """The pullback of the batched program, every input of which is mapped: each example has its own cotangents."""
        return spread(Pullback(batched(self.program, size), self.count, self.used), size, mapped)


class Pushforward:
    """The program `(inputs, tangents of the moving inputs) -> tangents of the outputs`."""

    def __init__(self, program: Program, moving: tuple[bool, ...]) -> None:
        """Of a program; `moving` says which of its inputs have a tangent."""
        self.program = program
        self.moving = moving
        self.__name__ = f"pushforward of {program.__name__}"

    def __call__(self, *values: Any) -> tuple[Any, ...]:
        """Run the program again, and push the tangents along."""
        inputs, tangents = values[: len(self.moving)], values[len(self.moving) :]
        positions = [position for position, moves in enumerate(self.moving) if moves]

        def along(*moving: Any) -> tuple[Any, ...]:
            return self.program(*merge(inputs, positions, moving))

        return jvp(along, tuple(inputs[position] for position in positions), tangents)[1]

    def shapes(self, *values: Any) -> tuple[Abstract, ...]:
        """Tangents have the shapes of the outputs."""
        outputs = call_abstractly(*values[: len(self.moving)], program=self.program)
        return tuple(out if out.dtype.kind == "f" else Abstract(out.shape, np.dtype(float)) for out in outputs)

    def batched(self, size: int, mapped: tuple[bool, ...] | None) -> Program:
        """The pushforward of the batched program."""
        return spread(Pushforward(batched(self.program, size), self.moving), size, mapped)


class Spread:
    """A program that needs a batch axis in every input, given inputs of which some have none: they are repeated."""

    def __init__(self, program: Program, size: int, mapped: tuple[bool, ...], axis: int = 0) -> None:
        """Of a batched program; `axis` is where the batch axis belongs, behind those of later batches."""
        self.program = program
        self.size = size
        self.mapped = mapped
        self.axis = axis
        self.__name__ = program.__name__

    def spread(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """A shape with the batch axis put in."""
        return (*shape[: self.axis], self.size, *shape[self.axis :])

    def __call__(self, *values: Any) -> tuple[Any, ...]:
        """Repeat what is not mapped, and run."""
        return self.program(
            *(
                value if is_mapped else np.broadcast_to(np.expand_dims(value, self.axis), self.spread(np.shape(value)))
                for value, is_mapped in zip(values, self.mapped, strict=True)
            )
        )

    def shapes(self, *values: Any) -> tuple[Abstract, ...]:
        """The shapes that the batched program gives."""
        kinds = [Abstract.of(value) for value in values]
        return call_abstractly(
            *(
                kind if is_mapped else Abstract(self.spread(kind.shape), kind.dtype)
                for kind, is_mapped in zip(kinds, self.mapped, strict=True)
            ),
            program=self.program,
        )

    def batched(self, size: int, mapped: tuple[bool, ...] | None) -> Program:
        """One more batch axis in front."""
        return spread(Spread(batched(self.program, size), self.size, self.mapped, self.axis + 1), size, mapped)


def spread(program: Program, size: int, mapped: tuple[bool, ...] | None) -> Program:
    """A batched program that needs a batch axis in every input, given inputs of which `mapped` have one."""
    return program if mapped is None or all(mapped) else Spread(program, size, mapped)


class Batched:
    """A program for all examples at once: all its outputs have their batch axis first."""

    def __init__(self, program: Program, size: int, mapped: tuple[bool, ...] | None = None) -> None:
        """Of a program whose inputs are mapped over axis 0: all of them, or those that `mapped` says."""
        axes = 0 if mapped is None else tuple(0 if is_mapped else None for is_mapped in mapped)
        self.run = vmap(program, in_axes=axes, axis_size=size)
        self.__name__ = f"batched {program.__name__}"

    def __call__(self, *values: Any) -> tuple[Any, ...]:
        """The outputs for all examples."""
        return self.run(*values)


def batched(program: Any, size: int, mapped: tuple[bool, ...] | None = None) -> Program:
    """The program for all examples, as it knows how, or by `vmap`; `mapped` says which inputs are, by default all."""
    own = getattr(program, "batched", None)
    return Batched(program, size, mapped) if own is None else own(size, mapped)
