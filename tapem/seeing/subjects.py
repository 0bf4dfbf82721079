"""What explain, show and draw take: a tape, a function, a `do` program, a model or a compiled function, as a tape."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, cast

from tapem import random
from tapem.compiler import Compiled
from tapem.core import LEAF, tree_leaves
from tapem.doors.monadic import TapeM
from tapem.doors.pure import Ref, Tape
from tapem.errors import ArgumentError
from tapem.seeing.origins import Origin
from tapem.seeing.taping import Taped, tape_of
from tapem.types import short_text


class Subject(NamedTuple):
    """A tape to be looked at: its outputs, where its nodes come from, and what it is called."""

    tape: Tape
    outputs: tuple[Ref, ...]
    origins: Mapping[int, Origin]
    title: str

    def output(self, caller: str) -> Ref:
        """The only output. Raises ArgumentError if there are several, or none."""
        if len(self.outputs) != 1:
            raise ArgumentError(
                f"{caller}: {self.title} has {len(self.outputs)} outputs; a sweep begins at one. Return one value, or "
                f"give the tape and an output, {caller}(tape, out)."
            )
        return self.outputs[0]


def subject_of(x: Any, *arguments: Any, caller: str) -> Subject:
    """The tape of x: of a tape (with an output, by default its last node), or of a function, program, model and input.

    A model takes its parameters and its input, or the input alone; then it shows its first parameters.

    Raises ArgumentError for anything else.
    """
    if isinstance(x, Tape):
        given = tuple(tree_leaves(arguments)) or ((len(x) - 1,) if len(x) else ())
        return Subject(x, tuple(Ref(x[out]) for out in given), MappingProxyType({}), "the tape")
    if isinstance(x, Taped):
        return Subject(x.tape, tuple(tree_leaves(x.outputs)), x.origins, "the tape")
    if isinstance(x, TapeM):
        program = cast("TapeM[Any]", x)
        result, tape = program.run(Tape())
        outputs = tuple(leaf for leaf in tree_leaves(result) if isinstance(leaf, Ref))
        return Subject(tape, outputs, MappingProxyType({}), "the program")
    title, f, values = function_of(x, arguments, caller)
    taped = tape_of(f, *values)
    return Subject(taped.tape, tuple(tree_leaves(taped.outputs)), taped.origins, title)


def function_of(x: Any, arguments: tuple[Any, ...], caller: str) -> tuple[str, Callable[..., Any], tuple[Any, ...]]:
    """The title, the function and the arguments of what can be called."""
    apply, init = getattr(x, "apply", None), getattr(x, "init", None)
    if callable(apply) and callable(init):
        if not arguments:
            raise ArgumentError(f"{caller}: a model needs an input: {caller}(model, x), or {caller}(model, params, x).")
        values = arguments if len(arguments) > 1 else (init(random.key(0)), *arguments)
        return type(x).__name__, named_apply(apply), values
    if isinstance(x, Compiled):
        return x.__name__, *x.plain(*arguments)
    if callable(x):
        return getattr(x, "__name__", type(x).__name__), x, arguments
    raise ArgumentError(
        f"{caller} takes a tape, a function with its arguments, a do program or a model with an input"
        f"{', or a tree of arrays' if caller == 'show' else ''}, not "
        f"{short_text(x)}."
    )


def named_apply(apply: Callable[..., Any]) -> Callable[..., Any]:
    """A model's `apply` as a function of parameters and input only."""

    def model(params: Any, x: Any) -> Any:
        return apply(params, x)

    return model


def leaves_of(tape: Tape) -> list[Ref]:
    """The leaves of a tape that require a gradient."""
    return [Ref(node) for node in tape if node.op is LEAF and node.requires_grad]


__all__ = ["Subject", "leaves_of", "subject_of"]
