"""A function with its own rule: how it is called, and how its trees are flattened and restored.

A rule gets and returns trees like the function's arguments and results; the op `custom_call` works on flat lists of
tensors only.
"""

from __future__ import annotations

import functools
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from tapem.core import ShapeDtype, Structure, note, shown, taken, tree_flatten, tree_unflatten
from tapem.doors.direct import Tracer
from tapem.doors.monadic import lift
from tapem.errors import DTypeError, TapeError, TreeError
from tapem.transforms.arguments import merge, position
from tapem.transforms.custom_call import custom_call
from tapem.transforms.tracing import function_name, monadic


class Custom(ABC):
    """The base of functions with their own rule, `custom_vjp` and `custom_jvp`."""

    def __init__(self, function: Callable[..., Any], given: Callable[..., Any], nondiff_argnums: Sequence[int]) -> None:
        """Take name, documentation and signature from the function that the user gave."""
        functools.update_wrapper(self, given)
        self.__name__ = function_name(given)
        self.function = function
        self.nondiff_argnums = tuple(nondiff_argnums)
        self.signature = signature_of(given)

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Apply the function."""
        arguments = self.positional(arguments, options)
        leaves = tree_flatten(arguments)[0]
        if monadic(leaves):
            return lift(self)(*arguments)
        if not any(type(leaf) is Tracer for leaf in leaves):
            return self.function(*arguments)
        call = self.called_with(arguments)
        outputs = custom_call(*call.operands(arguments), rule=call)
        return tree_unflatten(call.output_structure(), outputs)

    @abstractmethod
    def called_with(self, arguments: tuple[Any, ...]) -> Call:
        """One call of the function, with its rule. Raises NoRuleError if it has none."""

    def positional(self, arguments: tuple[Any, ...], options: dict[str, Any]) -> tuple[Any, ...]:
        """All arguments by position, also named ones and defaults, as rules get them.

        Raises TypeError if they do not fit the signature, or if one is keyword-only.
        """
        signature = self.signature
        if signature is None:
            if options:
                raise TypeError(f"{self.__name__} is not written in Python; pass its arguments by position.")
            return arguments
        if not options and len(arguments) == len(signature.parameters):
            return arguments
        try:
            bound = signature.bind(*arguments, **options)
        except TypeError as error:
            raise TypeError(f"{self.__name__}{signature}: {error}.") from None
        bound.apply_defaults()
        by_name = [name for name in bound.kwargs if name in options]
        if by_name:
            raise TypeError(
                f"{self.__name__}{signature}: {', '.join(by_name)} can be given by name only, so a rule, whose "
                "arguments are positional, would never see it. Make it a positional argument."
            )
        return bound.args

    def argument(self, number: int) -> str:
        """The name of an argument in errors."""
        names = list(self.signature.parameters) if self.signature is not None else []
        return names[number] if number < len(names) else f"argument {number}"

    __name__: str


def signature_of(f: Callable[..., Any]) -> inspect.Signature | None:
    """The signature that resolves a call; None for NumPy's functions, whose defaults a rule does not expect."""
    if (getattr(f, "__module__", None) or "numpy").partition(".")[0] == "numpy":
        return None
    try:
        return inspect.signature(f)
    except (TypeError, ValueError):  # some built-in functions have none
        return None


class Call:
    """One call of a custom function, as a function of a flat list of operands, which are tensors.

    Its methods also run on one example of a batch, and on tracers, so they use the trees and shapes of the last run of
    the function or its rule. A node holds it, so it holds no tracers: they would hold their tape in turn.
    """

    reverse: bool

    def __init__(self, custom: Custom, arguments: tuple[Any, ...]) -> None:
        """Flatten the arguments; those that `nondiff_argnums` names stay as they are.

        Raises TapeError if one of those holds tracers.
        """
        self.name = custom.__name__
        self.custom = custom
        fixed = {position(number, len(arguments)) for number in custom.nondiff_argnums}
        self.arguments = [argument if number in fixed else None for number, argument in enumerate(arguments)]
        self.fixed = [arguments[number] for number in sorted(fixed)]
        self.numbers = [number for number in range(len(arguments)) if number not in fixed]
        self.structure = tree_flatten(self.chosen(arguments))[1]
        self.names = self.named_leaves()
        self.inputs: list[ShapeDtype] = []
        self.outputs: list[ShapeDtype] = []
        self.structures: dict[str, Structure] = {}
        for number in fixed:
            if any(type(leaf) is Tracer for leaf in tree_flatten(arguments[number])[0]):
                raise TapeError(
                    f"{self.name}: nondiff_argnums names {custom.argument(number)}, which holds a value that is being "
                    "differentiated or mapped. Leave it out of nondiff_argnums, and return None as its cotangent."
                )

    def __repr__(self) -> str:
        return self.name

    def chosen(self, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments that are not fixed."""
        return tuple(arguments[number] for number in self.numbers)

    def operands(self, arguments: tuple[Any, ...]) -> list[Any]:
        """The leaves of the arguments, which are tensors; DTypeError if one is not."""
        leaves = tree_flatten(self.chosen(arguments))[0]
        return [self.tensor(leaf, name) for leaf, name in zip(leaves, self.names, strict=True)]

    def named_leaves(self) -> list[str]:
        """The names in errors of the leaves of the differentiable arguments."""
        parts = zip(self.numbers, self.structure.children(), strict=True)
        return [
            self.custom.argument(number) + "".join(f"[{entry!r}]" for entry in path)
            for number, part in parts
            for path in part.paths()
        ]

    def tensor(self, leaf: Any, name: str) -> Any:
        """A leaf of the arguments as a tensor."""
        try:
            return taken(leaf, op=self.name, argument=f"argument {name!r}")
        except DTypeError as error:
            note(error, "Name an argument that is not a tensor, such as a function or a mode, in nondiff_argnums=.")
            raise

    def output_structure(self) -> Structure:
        """The structure of the function's result."""
        return self.structures["output"]

    def tree(self, operands: Sequence[Any]) -> tuple[Any, ...]:
        """The differentiable arguments."""
        return tree_unflatten(self.structure, operands)

    def full(self, operands: Sequence[Any]) -> list[Any]:
        """All the arguments."""
        return list(merge(self.arguments, self.numbers, self.tree(operands)))

    def seen(self, operands: Sequence[Any], y: Any, caller: str) -> list[Any]:
        """The leaves of the function's result. Raises TreeError if its structure differs from that of earlier runs."""
        leaves, structure = tree_flatten(y)
        kinds = [ShapeDtype.of(leaf) for leaf in leaves]
        known = self.structures.setdefault("output", structure)
        if known != structure:
            raise TreeError(f"{caller} returns {shown(structure)}, but {self.name} itself {shown(known)}.")
        self.inputs, self.outputs = [ShapeDtype.of(value) for value in operands], kinds
        return leaves

    def function(self, *operands: Any) -> list[Any]:
        """The outputs of the function itself."""
        return self.seen(operands, self.custom.function(*self.full(operands)), self.name)

    def forward(self, *operands: Any) -> tuple[list[Any], list[Any]]:
        """The outputs and the residuals."""
        return self.function(*operands), []

    def pull(self, residuals: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        """The cotangents of the operands, by the user's rule, where it is one of reverse mode."""
        raise AssertionError("asked of a rule of forward mode")

    def push(self, inputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """The tangents of the outputs, by the user's rule, where it is one of forward mode."""
        raise AssertionError("asked of a rule of reverse mode")
