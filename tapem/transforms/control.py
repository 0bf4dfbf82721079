"""Control flow and memory: checkpoint, scan, cond, while_loop, fori_loop.

A tape is a straight-line program, so a loop of known length is unrolled onto it, at a cost linear in its length, and a
branch with a known condition is taken. If a condition is not known, because `vmap` maps over it, `cond` and
`while_loop` become one node, which runs as soon as the condition is known (`branching`).
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np

from tapem.core import (
    CONTEXT,
    NOTHING,
    ShapeDtype,
    Structure,
    UnknownNumber,
    boundary,
    leaves_like,
    shown,
    taken,
    tree_flatten,
    tree_map,
    tree_unflatten,
)
from tapem.doors.direct import Tracer, home
from tapem.doors.monadic import lift
from tapem.errors import ArgumentError, ShapeError, TreeError
from tapem.ops import stack
from tapem.transforms.arguments import as_function, as_pair, check_condition, merge
from tapem.transforms.branching import Cond, While
from tapem.transforms.calls import call, call_abstractly
from tapem.transforms.closure_conversion import convert_closure, is_tensor, no_options, record_computed
from tapem.transforms.loops import converted_with_state, stays_whole, weak_kind, whole_fori_loop, whole_scan
from tapem.transforms.program import is_unknown
from tapem.transforms.tracing import at_home, function_name, monadic


def checkpoint(f: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap `f` so that its intermediate values are freed after the forward pass and recomputed in the backward pass.

    Only its inputs and outputs stay in memory. Usable as a decorator; the derivatives of any order are those of f.
    Source: Griewank & Walther 2000 (revolve), in its simplest form: one level, chosen by the user.

    >>> import numpy as np, tapem as tm
    >>> tm.grad(lambda x: checkpoint(np.sin)(x) ** 2)(0.5) == 2 * np.sin(0.5) * np.cos(0.5)
    np.True_
    """

    f = as_function(f, "checkpoint")

    @functools.wraps(f)
    def checkpointed(*arguments: Any, **options: Any) -> Any:
        leaves, structure = tree_flatten((arguments, options))
        if monadic(leaves):
            return lift(checkpoint(f))(*arguments, **options)
        if CONTEXT.get().constant or home(leaves, lambda: f"checkpoint({function_name(f)})") is None:
            return f(*arguments, **options)
        # An argument without a derivative (a number of layers, a mode, a mask) stays a plain value for Python code.
        inputs = [position for position, leaf in enumerate(leaves) if is_tensor(leaf)]
        operands = [leaves[position] for position in inputs]

        def record() -> Any:
            converted = convert_closure(
                f, operands, lambda values: tree_unflatten(structure, merge(leaves, inputs, values))
            )
            results = record_computed(
                call, [*operands, *converted.captures], {"program": converted.program}, tuple(converted.outputs)
            )
            return tree_unflatten(converted.structure, results)

        return at_home(leaves, "checkpoint", record)

    return checkpointed


def scan(
    f: Callable[[Any, Any], tuple[Any, Any]], init: Any, xs: Any = None, length: int | None = None
) -> tuple[Any, Any]:
    """Apply `f(carry, x) -> (carry, y)` along the first axis of `xs`, and return `(last carry, stacked ys)`.

    `init`, `xs` and `y` may be trees. Without xs, `length` is the number of steps. The loop is unrolled onto the tape:
    time and memory are linear in its length, in the forward and in the backward pass. In `tm.compile` it stays a loop,
    and so does its derivative; f runs once, and must keep the shapes and dtypes of the carry.

    Raises ShapeError if the leaves of xs differ in length, TreeError if f changes the structure of the carry,
    ArgumentError if f does not return a pair.

    >>> import numpy as np
    >>> scan(lambda total, x: (total + x, total * x), 0.0, np.array([1.0, 2.0, 3.0]))
    (np.float64(6.0), array([0., 2., 9.]))
    """
    f = as_function(f, "scan")
    leaves, structure = tree_flatten(xs)
    leaves = [taken(leaf, op="scan", argument="xs") for leaf in leaves]
    lengths = {np.shape(leaf)[0] if np.ndim(leaf) else None for leaf in leaves} | ({length} - {None})
    if None in lengths or len(lengths) != 1:
        raise ShapeError(
            f"scan: the leaves of xs (and length) must agree in length, but have shapes "
            f"{[np.shape(leaf) for leaf in leaves]} and length={length}."
        )
    count = cast("int", lengths.pop())
    values = [*leaves, *tree_flatten(init)[0]]
    if stays_whole(values, "scan"):
        return at_home(values, "scan", lambda: whole_scan(f, init, leaves, structure, count))
    # Iterating over a tracer takes its slices apart in one node; indexing it would make one node per step.
    steps = zip(*leaves, strict=True) if leaves else itertools.repeat((), count)
    carry, carried = init, tree_flatten(init)[1]
    rows: list[list[Any]] = []
    out_structure: Structure | None = None
    for slices in steps:
        carry, y = as_pair(f(carry, tree_unflatten(structure, slices)), f, "scan")
        leaves_like(carried, carry, "scan: the carry that f is given and the one that it returns")
        row, out_structure = tree_flatten(y)
        rows.append(row)
    if out_structure is None:  # there are no steps, but the shapes of y are known
        one = [ShapeDtype(np.shape(leaf)[1:], ShapeDtype.of(leaf).dtype) for leaf in leaves]
        _, y = as_pair(eval_shape(f, init, tree_unflatten(structure, one)), f, "scan")
        return carry, tree_map(lambda kind: np.zeros((0, *kind.shape), kind.dtype), y)
    return carry, tree_unflatten(out_structure, [stack(list(column)) for column in zip(*rows, strict=True)])


def fori_loop(lower: int, upper: int, body: Callable[[int, Any], Any], init: Any) -> Any:
    """Apply `body(i, state) -> state` for every i from `lower` up to, but not including, `upper`.

    Under `vmap` the bounds may differ from example to example; the body must then keep shapes and dtypes. So it must in
    `tm.compile`, where the loop stays one and i is not known: index arrays by `tm.take(array, i, axis=0)`.

    >>> fori_loop(0, 4, lambda i, total: total + i, 0.0)
    6.0
    """
    body = as_function(body, "fori_loop")
    for name, bound in cast("dict[str, Any]", {"lower": lower, "upper": upper}).items():
        if type(bound) is not Tracer and not hasattr(bound, "__index__"):
            raise ArgumentError(f"fori_loop: {name} is {bound!r}, but must be an integer.")
    if is_unknown(lower) or is_unknown(upper):

        def following(pair: tuple[Any, Any]) -> tuple[Any, Any]:
            return pair[0] + 1, body(*pair)

        return while_loop(lambda pair: pair[0] < upper, following, (lower, init))[1]
    values = tree_flatten(init)[0]
    if stays_whole(values, "fori_loop"):
        return at_home(values, "fori_loop", lambda: whole_fori_loop(lower, upper, body, init))
    state = init
    for index in range(lower, upper):
        state = body(index, state)
        if state is None and init is not None:
            raise ArgumentError("fori_loop: body must return the next state, but returned None: no `return`?")
    return state


def cond(predicate: Any, true_fun: Callable[..., Any], false_fun: Callable[..., Any], *operands: Any) -> Any:
    """`true_fun(*operands)` if the scalar predicate holds, else `false_fun(*operands)`.

    If the predicate is known, only that branch runs. Under `vmap`, each branch runs for the examples that take it; the
    results of both must then have the same structure, and their shapes and dtypes are broadcast and promoted. Code
    outside of the branches runs for every example.

    >>> float(cond(True, np.sin, np.cos, 0.0))
    0.0
    """
    true_fun, false_fun = as_function(true_fun, "cond"), as_function(false_fun, "cond")
    check_condition(predicate, "cond: the predicate")
    if np.ndim(predicate) != 0:
        raise ShapeError(f"cond needs a scalar predicate, not one of shape {np.shape(predicate)}; use np.where.")
    if not is_unknown(predicate):
        return true_fun(*operands) if predicate else false_fun(*operands)
    leaves, structure = tree_flatten(operands)
    inputs = [position for position, leaf in enumerate(leaves) if is_tensor(leaf)]
    given = [leaves[position] for position in inputs]

    def rebuild(values: Sequence[Any]) -> tuple[Sequence[Any], Mapping[str, Any]]:
        return tree_unflatten(structure, merge(leaves, inputs, values)), NOTHING

    whole = stays_whole([predicate, *leaves], "cond")

    def record() -> Any:
        yes, no = convert_closure(true_fun, given, rebuild), convert_closure(false_fun, given, rebuild)
        if yes.structure != no.structure:
            raise TreeError(
                f"cond: the results of the branches: the structures differ: {shown(yes.structure)} and "
                f"{shown(no.structure)}."
            )
        kinds = tuple(common_kind(one, other, whole) for one, other in zip(yes.outputs, no.outputs, strict=True))
        axes = ((),) * (1 + len(given) + len(yes.captures) + len(no.captures))
        program = Cond((), axes, yes.program, no.program, len(given), len(yes.captures), kinds)
        outputs = call(predicate, *given, *yes.captures, *no.captures, program=program)
        return tree_unflatten(yes.structure, outputs)

    return at_home([predicate, *leaves], "cond", record)


def common_kind(one: Any, other: Any, whole: bool) -> ShapeDtype:
    """The common shape and dtype of two values, as in np.where. Raises ShapeError if there is none.

    Two Python numbers stay one, if the condition stays `whole`.
    """
    a, b = weak_kind(one), weak_kind(other)
    try:
        shape = np.broadcast_shapes(a.shape, b.shape)
    except ValueError:
        raise ShapeError(f"cond: the results of the branches differ in shape: {a} and {b}.") from None
    stand_ins = [kind.kind(1) if isinstance(kind, UnknownNumber) else kind.dtype for kind in (a, b)]
    if whole and isinstance(a, UnknownNumber) and isinstance(b, UnknownNumber):
        return a if np.can_cast(b.dtype, a.dtype, "same_kind") else b
    return ShapeDtype(shape, np.result_type(*stand_ins))


def while_loop(cond_fun: Callable[[Any], Any], body_fun: Callable[[Any], Any], init: Any) -> Any:
    """Apply `body_fun` to the state for as long as `cond_fun(state)` holds.

    Differentiable in both modes: the derivative is that of the iterations that ran. Under `vmap` the body runs for the
    examples that are not done yet. In `tm.compile` it stays a loop, which keeps in stacks what its derivative needs.

    Raises TreeError if the body changes the structure of the state, ShapeError or DTypeError (under vmap) if it changes
    a shape or dtype.

    >>> while_loop(lambda x: x < 100.0, lambda x: x * 3.0, 1.0)
    243.0
    """
    cond_fun, body_fun = as_function(cond_fun, "while_loop"), as_function(body_fun, "while_loop")
    leaves, structure = tree_flatten(init)
    if stays_whole(leaves, "while_loop"):
        return unknown_loop(cond_fun, body_fun, init)
    state = init
    while True:
        holds = cond_fun(state)
        check_condition(holds, "while_loop: what cond_fun returned")
        if np.ndim(holds) != 0:
            raise ShapeError(f"while_loop: cond_fun must return one bool, not shape {np.shape(holds)}; use np.all.")
        if is_unknown(holds):
            return unknown_loop(cond_fun, body_fun, state)
        if not holds:
            return state
        state = body_fun(state)
        leaves_like(structure, state, "while_loop: the state before and after the body")


def unknown_loop(cond_fun: Callable[[Any], Any], body_fun: Callable[[Any], Any], state: Any) -> Any:
    """A loop whose end is not known while it is traced, as one call."""
    leaves, structure = tree_flatten(state)
    # The body decides the dtypes: a Python number at the start stands for what the loop makes of it.
    if not stays_whole(leaves, "while_loop"):
        leaves = [np.asarray(leaf) if type(leaf) in (bool, int, float, complex) else leaf for leaf in leaves]

    @functools.wraps(body_fun)
    def step(*values: Any) -> list[Any]:
        following = body_fun(tree_unflatten(structure, values))
        return leaves_like(structure, following, "while_loop: the state before and after the body")

    @functools.wraps(cond_fun)
    def holds(*values: Any) -> Any:
        return cond_fun(tree_unflatten(structure, values))

    def record() -> Any:
        state, body = converted_with_state(step, leaves, (), "while_loop")
        test = convert_closure(holds, [*map(weak_kind, state)], no_options)
        if len(test.outputs) != 1 or ShapeDtype.of(test.outputs[0]).shape != ():
            raise ArgumentError("while_loop: the condition must return one scalar.")
        axes = ((),) * (len(leaves) + len(test.captures) + len(body.captures))
        program = While((), axes, test.program, body.program, len(leaves), len(test.captures))
        return tree_unflatten(structure, call(*state, *test.captures, *body.captures, program=program))

    return at_home(leaves, "while_loop", record)


@boundary
def eval_shape(f: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """The shapes and dtypes that `f` would return, as a tree of `ShapeDtype`, without computing anything.

    Arguments are arrays, or `ShapeDtype` values that say what an array would be.

    >>> import numpy as np
    >>> eval_shape(np.dot, np.ones((2, 3)), np.ones(3))
    ShapeDtype(shape=(2,), dtype=dtype('float64'))
    """
    leaves, structure = tree_flatten((arguments, options))
    leaves = [taken(leaf, op="eval_shape", argument="one of its arguments") for leaf in leaves]

    def program(*values: Any) -> tuple[Any, ...]:
        positional, keywords = tree_unflatten(structure, values)
        found, box[0] = tree_flatten(f(*positional, **keywords))
        return tuple(found)

    box: list[Any] = [None]
    shapes = call_abstractly(*leaves, program=program)
    return tree_unflatten(box[0], shapes)
