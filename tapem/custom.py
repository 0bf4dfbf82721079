"""Rules that users give to functions of their own, and values that are cut off from the derivative.

A function with a custom rule is one node whose static argument holds the rule. It is never traced around, so forward
and reverse mode always agree: reverse mode of a `custom_jvp` is the transpose of its rule, and forward mode of a
`custom_vjp` is the transpose of its pullback. A linear function is transposed by pulling back through it.
"""

# What a value is, an array, a tracer, a step or a tuple of them, is told apart as the program runs: to a checker it is
# Any, and what a test makes of that Unknown.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from contextlib import ContextDecorator
from contextvars import Token
from typing import Any

import numpy as np

from tapem.closing import close, is_tensor, place, refuse_captures
from tapem.declare import primitive
from tapem.errors import NoRuleError, ShapeError
from tapem.node import Abstract
from tapem.ops import structure as structure_ops
from tapem.primitive import Primitive
from tapem.program import lift
from tapem.recorder import Recorder, at_work, new_recorder, opened, put_to_work
from tapem.tangents import DoesNotExist, Zero, extern
from tapem.tracer import Tracer
from tapem.tracing import monadic
from tapem.transforms import vjp
from tapem.tree import Structure, flatten, leaves_like, tree_map, unflatten
from tapem.vectorise import vmap
from tapem.work import WORK, Work, run, set_back, working


class Rule:
    """A custom rule on flat lists: what the node of a call to a custom function carries.

    `forward(*leaves)` gives the output leaves and the residual leaves, `pull(residuals, cotangents)` the cotangents of
    the inputs, `push(inputs, tangents)` the tangents of the outputs. One of pull and push is the user's; the other is
    its transpose.
    """

    def __init__(
        self,
        name: str,
        forward: Callable[..., tuple[list[Any], list[Any]]],
        pull: Callable[[Sequence[Any], Sequence[Any]], list[Any]] | None = None,
        push: Callable[[Sequence[Any], Sequence[Any]], list[Any]] | None = None,
    ) -> None:
        """Of a custom function whose arguments are flattened."""
        self.name = name
        self.forward = forward
        self.pull = pull
        self.push = push

    def __repr__(self) -> str:
        return self.name


def forward_custom(*inputs: Any, rule: Rule) -> tuple[tuple[Any, ...], list[Any]]:
    """The value of a custom function, and its residuals."""
    outputs, residuals = rule.forward(*inputs)
    return tuple(outputs), residuals


def pull_custom(g: tuple[Any, ...], y: Any, residuals: list[Any], *inputs: Any, rule: Rule) -> tuple[Any, ...]:
    """The user's pullback, or the transpose of the user's tangent rule."""
    if rule.pull is not None:
        return tuple(rule.pull(residuals, g))
    push = rule.push
    assert push is not None
    floats = [index for index, value in enumerate(inputs) if Abstract.of(value).dtype.kind == "f"]

    def along(*tangents: Any) -> tuple[Any, ...]:
        filled = [zeros_of(value) for value in inputs]
        for index, tangent in zip(floats, tangents, strict=True):
            filled[index] = tangent
        return tuple(push(inputs, filled))

    _, transpose = vjp(along, *(zeros_of(inputs[index]) for index in floats))
    found = iter(transpose(tuple(g)))
    return tuple(next(found) if index in floats else Zero() for index in range(len(inputs)))


def push_custom(tangents: Sequence[Any], y: Any, residuals: list[Any], *inputs: Any, rule: Rule) -> tuple[Any, ...]:
    """The user's tangent rule, or the transpose of the user's pullback."""
    filled = [zeros_of(x) if type(t) is Zero else t for t, x in zip(tangents, inputs, strict=True)]
    if rule.push is not None:
        return tuple(rule.push(inputs, filled))
    pull = rule.pull
    assert pull is not None

    def back(*cotangents: Any) -> tuple[Any, ...]:
        return tuple(
            zeros_of(x) if type(ct) is Zero else ct for ct, x in zip(pull(residuals, cotangents), inputs, strict=True)
        )

    _, transpose = vjp(back, *(zeros_of(value) for value in y))
    return transpose(tuple(filled))


def batch_custom(
    op: Primitive, size: int, inputs: Sequence[Any], mapped: Sequence[bool], static: Mapping[str, Any]
) -> Any:
    """Call the custom function of all examples, whose rule is the batched rule."""
    rule: Rule = static["rule"]
    axes = tuple(0 if is_mapped else None for is_mapped in mapped)

    def forward(*leaves: Any) -> Any:
        return vmap(rule.forward, in_axes=axes, axis_size=size)(*leaves)

    def pull(residuals: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        def one(residuals: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
            assert rule.pull is not None
            found = rule.pull(residuals, cotangents)
            present.extend(type(part) is not Zero for part in found)
            return [part for part in found if type(part) is not Zero]

        present: list[bool] = []
        parts = iter(vmap(one, axis_size=size)(list(residuals), list(cotangents)))
        # An input that all examples share gets the sum of their cotangents.
        return [
            (ct if is_mapped else np.sum(ct, axis=0)) if some and (ct := next(parts)) is not None else Zero()
            for some, is_mapped in zip(present, mapped, strict=True)
        ]

    def push(inputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        assert rule.push is not None
        return vmap(rule.push, in_axes=(list(axes), list(axes)), axis_size=size)(list(inputs), list(tangents))

    several = Rule(rule.name, forward, None if rule.pull is None else pull, None if rule.push is None else push)
    return op(*inputs, rule=several)


def abstract_custom(*inputs: Any, rule: Rule) -> tuple[Abstract, ...]:
    """The shapes of a custom function's outputs."""

    def trace(recorder: Recorder) -> tuple[Abstract, ...]:
        outputs, _ = rule.forward(*(Tracer(recorder, recorder.leaf(Abstract.of(value))) for value in inputs))
        return tuple(Abstract.of(output) for output in outputs)

    return opened(new_recorder(abstract=True), trace)


@primitive(rrule=pull_custom, frule=push_custom, batch=batch_custom, abstract=abstract_custom, residuals=True)
def custom_call(*inputs, rule: Any) -> Any:  # pyright: ignore  # the rule says what its inputs and outputs are
    """Apply a function that has a custom rule, as one node with several results."""
    recorder = WORK.get().recorder if any(type(x) is Tracer for x in inputs) else None
    return run(put_to_work(recorder), functools.partial(forward_custom, *inputs, rule=rule))


custom_call.checked = False


def zeros_of(value: Any) -> Any:
    """Zeros of the shape and dtype of a value; of float64 where it has no tangents."""
    kind = Abstract.of(value)
    return np.zeros(kind.shape, kind.dtype if kind.dtype.kind == "f" else np.float64)


def apply_custom(
    f: Callable[..., Any], make: Callable[[Structure, list[Structure | None]], Rule], arguments: tuple[Any, ...]
) -> Any:
    """Call a custom function through whichever door its arguments stand in."""
    leaves, structure = flatten(arguments)
    recorder = at_work()
    if recorder is None or not any(type(leaf) is Tracer for leaf in leaves):
        return f(*arguments)
    box: list[Structure | None] = [None]
    rule = make(structure, box)
    closed = close(
        rule.forward,
        leaves,
        lambda values: ([new if is_tensor(old) else old for old, new in zip(leaves, values, strict=True)], {}),
    )
    refuse_captures(closed, rule.name)
    assert box[0] is not None
    count = box[0].num_leaves
    values, residuals = tuple(closed.outputs[:count]), None if recorder.abstract else closed.outputs[count:]
    return unflatten(box[0], place(recorder, custom_call, leaves, {"rule": rule}, values, residuals))


class custom_vjp:
    """A function whose reverse-mode rule the user gives.

    `fwd(*xs) -> (y, residuals)` computes the value and whatever the pullback needs, as a tree;
    `bwd(residuals, cotangent) -> tuple` gives one cotangent per argument (None or Zero() for nothing). Also as a
    decorator of the function itself, with `.defvjp(fwd, bwd)`. The rule holds in both modes (forward mode transposes
    bwd), at every order and under vmap; bwd must be linear in the cotangent. Arguments are positional.

    Raises ShapeError for a wrong number of cotangents; TapeError if the function closes over traced values.

    >>> import numpy as np, tapem as tm
    >>> clipped = custom_vjp(lambda x: (x, None), lambda _, g: (np.clip(g, -1.0, 1.0),))
    >>> tm.grad(lambda x: 100 * clipped(x))(2.0)
    np.float64(1.0)
    """

    def __init__(self, fwd: Callable[..., Any], bwd: Callable[..., Any] | None = None) -> None:
        """With both parts of the rule, or with the function alone, to be given its rule by `defvjp`."""
        self.function: Callable[..., Any] = fwd if bwd is None else lambda *xs: fwd(*xs)[0]
        self.rule: tuple[Callable[..., Any], Callable[..., Any]] | None = None if bwd is None else (fwd, bwd)
        functools.update_wrapper(self, fwd)

    def defvjp(self, fwd: Callable[..., Any], bwd: Callable[..., Any]) -> None:
        """Give the rule: `fwd(*xs) -> (y, residuals)` and `bwd(residuals, cotangent) -> tuple`."""
        self.rule = fwd, bwd

    def __call__(self, *arguments: Any) -> Any:
        """Apply the function."""
        if monadic(flatten(arguments)[0]):
            return lift(self)(*arguments)
        return apply_custom(self.function, self.flat_rule, arguments)

    def flat_rule(self, structure: Structure, out: list[Structure | None]) -> Rule:
        """The rule on lists of leaves; `out` receives the structure of the output."""
        if self.rule is None:
            raise NoRuleError(f"custom_vjp {self.__name__}: its rule is missing; give it with .defvjp(fwd, bwd).")
        fwd, bwd = self.rule
        kept: list[Structure | None] = [None]

        def forward(*leaves: Any) -> tuple[list[Any], list[Any]]:
            y, residuals = fwd(*unflatten(structure, leaves))
            outputs, out[0] = flatten(y)
            saved, kept[0] = flatten(residuals)
            return outputs, saved

        def pull(residuals: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
            assert out[0] is not None and kept[0] is not None
            found = bwd(unflatten(kept[0], residuals), unflatten(out[0], cotangents))
            parts = structure.children()
            if not isinstance(found, tuple) or len(found) != len(parts):
                count = len(found) if isinstance(found, tuple) else type(found).__name__
                raise ShapeError(
                    f"the bwd of {self.__name__} must return a tuple of {len(parts)} cotangents, one per argument, "
                    f"not {count}."
                )
            result: list[Any] = []
            for part, child in zip(found, parts, strict=True):
                if part is None or type(part) in (Zero, DoesNotExist):
                    result.extend([Zero()] * child.num_leaves)
                else:
                    result.extend(map(extern_cotangent, leaves_like(child, part, f"the bwd of {self.__name__}")))
            return result

        return Rule(self.__name__, forward, pull=pull)

    __name__: str


def fitting(tangent: Any, value: Any, what: str) -> Any:
    """A tangent that a user's rule returned, as an array or tracer; ShapeError if it does not fit its value."""
    if type(tangent) in (Zero, DoesNotExist):
        return zeros_of(value)
    tangent = extern(tangent)
    if np.shape(tangent) != np.shape(value):
        raise ShapeError(
            f"{what} returned a tangent of shape {np.shape(tangent)} for a value of shape {np.shape(value)}."
        )
    return tangent


def extern_cotangent(value: Any) -> Any:
    """A cotangent as an array or tracer, or Zero."""
    return Zero() if value is None or type(value) in (Zero, DoesNotExist) else extern(value)


class custom_jvp:
    """A function whose forward-mode rule the user gives: `rule(primals, tangents) -> (y, dy)`.

    Also as a decorator, with `.defjvp(rule)`. The rule holds in both modes (reverse mode transposes it), at every order
    and under vmap; it must be linear in the tangents. Arguments are positional.

    Raises TapeError if the function closes over traced values.

    >>> import numpy as np, tapem as tm
    >>> log1pexp = custom_jvp(
    ...     lambda x: np.log1p(np.exp(x)), lambda xs, ts: (np.log1p(np.exp(xs[0])), ts[0] / (1 + np.exp(-xs[0])))
    ... )
    >>> tm.grad(log1pexp)(0.0)
    np.float64(0.5)
    """

    def __init__(self, f: Callable[..., Any], rule: Callable[..., Any] | None = None) -> None:
        """With the rule, or without it, to be given by `defjvp`."""
        self.function = f
        self.rule = rule
        functools.update_wrapper(self, f)

    def defjvp(self, rule: Callable[..., Any]) -> None:
        """Give the rule: `rule(primals, tangents) -> (y, dy)`."""
        self.rule = rule

    def __call__(self, *arguments: Any) -> Any:
        """Apply the function."""
        if monadic(flatten(arguments)[0]):
            return lift(self)(*arguments)
        return apply_custom(self.function, self.flat_rule, arguments)

    def flat_rule(self, structure: Structure, out: list[Structure | None]) -> Rule:
        """The rule on lists of leaves; `out` receives the structure of the output."""
        rule = self.rule
        if rule is None:
            raise NoRuleError(f"custom_jvp {self.__name__}: its rule is missing; give it with .defjvp(rule).")

        def forward(*leaves: Any) -> tuple[list[Any], list[Any]]:
            outputs, out[0] = flatten(self.function(*unflatten(structure, leaves)))
            return outputs, []

        def push(inputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
            assert out[0] is not None
            y, dy = rule(unflatten(structure, inputs), unflatten(structure, tangents))
            what = f"the rule of {self.__name__}"
            values = leaves_like(out[0], y, what)
            nothing = dy is None or type(dy) in (Zero, DoesNotExist)
            parts = [Zero() for _ in values] if nothing else leaves_like(out[0], dy, what)
            return [fitting(part, value, what) for part, value in zip(parts, values, strict=True)]

        return Rule(self.__name__, forward, push=push)

    __name__: str


def detach(x: Any) -> Any:
    """The value of `x` (a tree), as a constant of every derivative; also named `stop_gradient`.

    Outside of vmap the result is a plain array, which may be turned into a number.

    >>> import numpy as np, tapem as tm
    >>> tm.grad(lambda x: x * detach(x))(3.0)
    np.float64(3.0)
    """
    leaves = flatten(x)[0]
    if len(leaves) == 1 and leaves[0] is x:
        return structure_ops.detach(x)
    return tree_map(structure_ops.detach, x)


stop_gradient = detach


def silenced() -> Work:
    """What is at work, with one more no_grad in force."""
    work = WORK.get()
    return work._replace(constant=work.constant + 1)


class Silent(ContextDecorator):
    """The block in which everything that is computed counts as constant for the enclosing derivatives."""

    _token: Token[Work]

    def _recreate_cm(self) -> Silent:
        return Silent()  # as a decorator, it is entered by any number of calls at once

    def __enter__(self) -> None:
        self._token = WORK.set(silenced().usual())

    def __exit__(self, *problem: object) -> None:
        set_back(self._token, lambda now, _: now._replace(constant=now.constant - 1))


def no_grad(thunk: Callable[[], Any] | None = None) -> Any:
    """`no_grad(thunk)` evaluates `thunk()` as a constant of every enclosing derivative; so does `with no_grad():`.

    It holds for whatever is computed meanwhile, through every door: by plain code, by `tape.record`, by the steps of a
    `do` program, and by steps that are described in the block and taken later. A transform that is called in the block
    differentiates as ever; its results are constants. A generator that yields inside the block leaves it in force for
    whoever called it, until it goes on.

    Inside a transform, a block that is left in any way, or not at all, ends with the transform at the latest. Outside,
    an interrupt (Ctrl-C) that arrives inside `__enter__` leaves no_grad in force, since Python has not begun to guard
    the block; `no_grad(thunk)` has no such gap.

    >>> import numpy as np, tapem as tm
    >>> tm.grad(lambda x: x * no_grad(lambda: x * x))(3.0)
    np.float64(9.0)
    """
    return Silent() if thunk is None else run(working(silenced()), lambda: detach(thunk()))
