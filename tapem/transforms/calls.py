"""The op `call`: a whole program as one node, and the programs that differentiate and batch programs.

The rules of `call` are calls of other programs: its pullback is a call of `Pullback(program)`, its tangent a call of
`Pushforward(program)`, its batch a call of the batched program. So the op is closed under every transform. A program
recomputes its intermediate values, so none are kept between the forward and the backward sweep.
"""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Protocol, cast

import numpy as np

from tapem.core import Primitive, ShapeDtype, UnknownNumber, run
from tapem.doors.direct import Recorder, Tracer, new_recorder, opened, prepared_for
from tapem.ops import astype, primitive
from tapem.tangents import Zero
from tapem.transforms.arguments import merge
from tapem.transforms.derivatives import jvp, vjp
from tapem.transforms.program import kind_of, union
from tapem.transforms.residuals import Kept, Pulled, kept, pulled
from tapem.transforms.vectorize import vmap
from tapem.types import is_inexact


class ClosedFunction(Protocol):
    """A function from arrays or tracers to a tuple of them that does not close over tracers, such as a `Program`.

    `links` says for each output on which inputs its derivative can depend: bit i stands for input i. Without a link
    there is no derivative at all, not a derivative of 0: 0 times an infinite slope would be NaN.
    """

    __name__: str

    @property
    def links(self) -> Sequence[int]:
        """For each output, the inputs on which its derivative can depend."""
        ...

    def __call__(self, *inputs: Any) -> tuple[Any, ...]:
        """The outputs for these inputs."""
        ...


def call_abstractly(*inputs: Any, program: Callable[..., tuple[Any, ...]]) -> tuple[ShapeDtype, ...]:
    """The shapes of a program's outputs."""
    shapes = getattr(program, "shapes", None)
    if shapes is not None:
        return shapes(*inputs)

    def trace(recorder: Recorder) -> tuple[ShapeDtype, ...]:
        outputs = program(*(Tracer(recorder, recorder.leaf(ShapeDtype.of(value))) for value in inputs))
        return tuple(ShapeDtype.of(output) for output in outputs)

    return opened(new_recorder(abstract=True), trace)


def batch_call(
    op: Primitive, size: int, inputs: Sequence[Any], mapped: Sequence[bool], static: Mapping[str, Any]
) -> Any:
    """Call the program of all examples."""
    return op(*inputs, program=batched(static["program"], size, tuple(mapped)))


def pull_call(g: tuple[Any, ...], y: Any, *inputs: Any, program: ClosedFunction) -> tuple[Any, ...]:
    """Call the pullback of the outputs that were used, for the inputs on which they depend."""
    used = tuple(part is not None and is_float(value) for part, value in zip(g, y, strict=True))
    reached = union(link for link, use in zip(program.links, used, strict=True) if use)
    moving = tuple(needs and bool(reached >> number & 1) for number, needs in enumerate(sought(inputs)))
    if not any(moving):
        return (Zero(),) * len(inputs)
    cotangents = [as_array(part) for part, use in zip(g, used, strict=True) if use]
    found = iter(call(*inputs, *cotangents, program=Pullback(program, moving, used)))
    return tuple(next(found) if moves else Zero() for moves in moving)


def push_call(tangents: Sequence[Any], y: Any, *inputs: Any, program: ClosedFunction) -> tuple[Any, ...]:
    """Call the pushforward along the inputs that have a tangent, for the outputs that depend on them."""
    given = [type(t) is not Zero and is_float(x) for t, x in zip(tangents, inputs, strict=True)]
    along = union(1 << number for number, has_one in enumerate(given) if has_one)
    reached = tuple(bool(link & along) and is_float(part) for link, part in zip(program.links, y, strict=True))
    if not any(reached):
        return (Zero(),) * len(reached)
    mattering = union(link for link, reaches in zip(program.links, reached, strict=True) if reaches)
    moving = tuple(has_one and bool(mattering >> number & 1) for number, has_one in enumerate(given))
    moved = [as_array(t) for t, moves in zip(tangents, moving, strict=True) if moves]
    found = iter(call(*inputs, *moved, program=Pushforward(program, moving, reached)))
    return tuple(next(found) if reaches else Zero() for reaches in reached)


def as_array(value: Any) -> Any:
    """A tangent or cotangent that is a Python number, as an array: so programs of derivatives take them."""
    return astype(value, value.dtype) if type(kind_of(value)) is UnknownNumber else value


def is_float(value: Any) -> bool:
    """Whether a value can be perturbed."""
    kind = kind_of(value)
    return is_inexact(kind.dtype)


def sought(inputs: Sequence[Any]) -> list[bool]:
    """Which inputs may need a cotangent; in a recorded sweep only tracers on which a differentiated value depends."""
    if not any(type(value) is Tracer for value in inputs):
        return [is_float(value) for value in inputs]
    return [type(value) is Tracer and value.node.requires_grad and is_float(value) for value in inputs]


# No overload can describe an op of any number of inputs with a static argument without default.
_any_number = cast(
    "Callable[[Any], Primitive]",
    primitive(rrule=pull_call, frule=push_call, batch=batch_call, abstract=call_abstractly),
)


@_any_number
def call(*inputs, program: Any) -> Any:  # pyright: ignore  # the program says what its inputs and outputs are
    """Apply a closed program, as one node with several results."""
    return tuple(run(prepared_for(None), functools.partial(program, *inputs)))


call.checked = False
call.refusals = ()  # errors of the program are the user's
call.whole_cotangent = False


class Derivative:
    """The pullback or the pushforward of a program, as a program.

    It works between the `moving` inputs and the `reached` outputs; nothing is computed for the others.
    """

    kind: ClassVar[str]

    @abstractmethod
    def __call__(self, *values: Any) -> tuple[Any, ...]:
        """The outputs for these inputs."""

    @property
    @abstractmethod
    def links(self) -> Sequence[int]:
        """For each output, the inputs on which its derivative can depend."""

    def __init__(self, program: ClosedFunction, moving: tuple[bool, ...], reached: tuple[bool, ...]) -> None:
        """Differentiate a program; `moving` has one entry per input, `reached` one per output."""
        self.program = program
        self.moving = moving
        self.reached = reached
        self.__name__ = f"{self.kind} of {program.__name__}"

    def split(self, values: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any], Callable[..., tuple[Any, ...]]]:
        """Split values into the program's inputs and the rest, and make the program a function of the moving inputs."""
        inputs, rest = values[: len(self.moving)], values[len(self.moving) :]

        def function(*moving: Any) -> tuple[Any, ...]:
            outputs = self.program(*merge(inputs, positions, moving))
            return tuple(part for part, reaches in zip(outputs, self.reached, strict=True) if reaches)

        positions = [position for position, moves in enumerate(self.moving) if moves]
        return [inputs[position] for position in positions], rest, function

    def batched(self, size: int, mapped: tuple[bool, ...] | None) -> ClosedFunction:
        """The derivative of the batched program; moving inputs are mapped, as each example has its own derivative."""
        count = len(self.moving)
        given = mapped or (True,) * (count + sum(self.moving if isinstance(self, Pushforward) else self.reached))
        inputs = tuple(own or moves for own, moves in zip(given, self.moving, strict=False))
        derivative = type(self)(batched(self.program, size, inputs), self.moving, self.reached)
        needs = [*self.moving, *(True for _ in given[count:])]
        return spread(derivative, size, [own or not need for own, need in zip(given, needs, strict=True)])

    def reached_links(self) -> list[int]:
        """The links of the outputs that are reached."""
        return [link for link, reaches in zip(self.program.links, self.reached, strict=True) if reaches]


class Pullback(Derivative):
    """The program `(inputs, cotangents of the reached outputs) -> cotangents of the moving inputs`."""

    kind = "pullback"

    def __call__(self, *values: Any) -> tuple[Any, ...]:
        """Run the program again, and sweep it backward."""
        moving, cotangents, function = self.split(values)
        return vjp(function, *moving)[1](tuple(cotangents))

    def shapes(self, *values: Any) -> tuple[ShapeDtype, ...]:
        """Cotangents have the shapes of their inputs."""
        return tuple(ShapeDtype.of(x) for x, moves in zip(values, self.moving, strict=False) if moves)

    @property
    def links(self) -> list[int]:
        """The links of a cotangent: all inputs on which a reached output depends, and these outputs' cotangents."""
        count = len(self.moving)
        return [
            union(
                link | 1 << count + position for position, link in enumerate(self.reached_links()) if link >> number & 1
            )
            for number, moves in enumerate(self.moving)
            if moves
        ]


class Pushforward(Derivative):
    """The program `(inputs, tangents of the moving inputs) -> tangents of the reached outputs`."""

    kind = "pushforward"

    def __call__(self, *values: Any) -> tuple[Any, ...]:
        """Run the program again, and push the tangents along."""
        moving, tangents, function = self.split(values)
        return jvp(function, tuple(moving), tuple(tangents))[1]

    def shapes(self, *values: Any) -> tuple[ShapeDtype, ...]:
        """Tangents have the shapes of the outputs."""
        outputs = call_abstractly(*values[: len(self.moving)], program=self.program)
        return tuple(out for out, reaches in zip(outputs, self.reached, strict=True) if reaches)

    @property
    def links(self) -> list[int]:
        """The links of a tangent: the inputs on which its output depends, and the tangents of these inputs."""
        positions = [position for position, moves in enumerate(self.moving) if moves]
        return [
            link | union(1 << len(self.moving) + i for i, position in enumerate(positions) if link >> position & 1)
            for link in self.reached_links()
        ]


class Spread:
    """A program that needs a batch axis in some inputs that have none: they are repeated.

    `places` says for each input at which axis it is repeated, None for not at all.
    """

    def __init__(self, program: ClosedFunction, size: int, places: tuple[int | None, ...]) -> None:
        """Of a batched program."""
        self.program = program
        self.size = size
        self.places = places
        self.__name__ = program.__name__

    @property
    def links(self) -> Sequence[int]:
        """Those of the program."""
        return self.program.links

    def __call__(self, *values: Any) -> tuple[Any, ...]:
        """Repeat the inputs that need it, and run."""
        return self.program(
            *(
                value
                if place is None
                else np.broadcast_to(np.expand_dims(value, place), repeated_shape(np.shape(value), place, self.size))
                for value, place in zip(values, self.places, strict=True)
            )
        )

    def shapes(self, *values: Any) -> tuple[ShapeDtype, ...]:
        """The shapes that the batched program gives."""
        kinds = [ShapeDtype.of(value) for value in values]
        return call_abstractly(
            *(
                kind if place is None else ShapeDtype(repeated_shape(kind.shape, place, self.size), kind.dtype)
                for kind, place in zip(kinds, self.places, strict=True)
            ),
            program=self.program,
        )

    def batched(self, size: int, mapped: tuple[bool, ...] | None) -> ClosedFunction:
        """One more batch axis in front, which the mapped inputs have."""
        flags = mapped or (True,) * len(self.places)
        places = tuple(None if place is None else place + own for place, own in zip(self.places, flags, strict=True))
        return Spread(batched(self.program, size, flags), self.size, places)


def repeated_shape(shape: tuple[int, ...], place: int, size: int) -> tuple[int, ...]:
    """A shape with a batch axis put in."""
    return (*shape[:place], size, *shape[place:])


def spread(program: ClosedFunction, size: int, ready: Sequence[bool]) -> ClosedFunction:
    """A batched program, given inputs of which those that are not `ready` still need the batch axis in front."""
    return program if all(ready) else Spread(program, size, tuple(None if is_ready else 0 for is_ready in ready))


class Batched:
    """A program for all examples at once: all its outputs have their batch axis first."""

    def __init__(self, program: ClosedFunction, size: int, mapped: tuple[bool, ...] | None = None) -> None:
        """Of a program whose inputs are mapped over axis 0: all of them, or those that `mapped` says."""
        axes = 0 if mapped is None else tuple(0 if is_mapped else None for is_mapped in mapped)
        self.program = program
        self.run = vmap(program, in_axes=axes, axis_size=size)
        self.__name__ = f"batched {program.__name__}"

    @property
    def links(self) -> Sequence[int]:
        """Those of the program."""
        return self.program.links

    def __call__(self, *values: Any) -> tuple[Any, ...]:
        """The outputs for all examples."""
        return self.run(*values)


def batched(program: Any, size: int, mapped: tuple[bool, ...] | None = None) -> ClosedFunction:
    """The program for all examples, as it knows how, or by `vmap`; `mapped` says which inputs are, by default all."""
    own = getattr(program, "batched", None)
    return Batched(program, size, mapped) if own is None else own(size, mapped)


# -- the rules of `kept` and `pulled` ----------------------------------------------------------------------------------


def pull_kept(g: Any, y: Any, *inputs: Any, what: Kept | Pulled) -> tuple[Any, ...]:
    """Pull a cotangent of a residual back through the implementation."""
    moving = [number for number, value in enumerate(inputs) if is_inexact(kind_of(value).dtype)]
    _, pullback = vjp(lambda *xs: what(*merge(inputs, moving, xs)), *(inputs[number] for number in moving))
    found = iter(pullback(g))
    return tuple(next(found) if number in moving else Zero() for number in range(len(inputs)))


def push_kept(tangents: Sequence[Any], y: Any, *inputs: Any, what: Kept | Pulled) -> Any:
    """Push tangents through the implementation."""
    given = [type(t) is not Zero and is_inexact(kind_of(x).dtype) for t, x in zip(tangents, inputs, strict=True)]
    moving = [number for number, has_one in enumerate(given) if has_one]
    primals, along = (tuple(values[number] for number in moving) for values in (inputs, tangents))
    return jvp(lambda *xs: what(*merge(inputs, moving, xs)), primals, along)[1]


def batch_kept(
    op: Primitive, size: int, inputs: Sequence[Any], mapped: Sequence[bool], static: Mapping[str, Any]
) -> Any:
    """Map the implementation."""
    return vmap(static["what"], in_axes=tuple(0 if own else None for own in mapped), axis_size=size)(*inputs)


for op in (kept, pulled):
    op.rrule, op.frule, op.batch = pull_kept, push_kept, batch_kept
