"""Einstein summation: every contraction is one op, and its derivative is the same op with the labels swapped.

A term such as `"...ij"` becomes a tuple of labels, one per axis: a letter, or a negative integer for an axis of the
ellipsis. The rules work on labels; `contraction` turns labels into subscripts again.
"""

from __future__ import annotations

import functools
import math
import string
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, TypeAlias, overload

import numpy as np

from tapem.core import Array, Primitive, Shape, ShapeDtype
from tapem.errors import ArgumentError
from tapem.ops.declare import Numeric, Operand, Step, variadic
from tapem.tangents import Thunk, Zero
from tapem.types import Num, Tensor

T = Num[Tensor, "..."]
Labels: TypeAlias = tuple[Hashable, ...]

BATCH = "the batch axis"  # a label that no subscripts can contain
# Upper case first: NumPy orders the axes of an implicit output by ASCII code, and integer labels by number.
LETTERS = string.ascii_uppercase + string.ascii_lowercase
# With fewer multiplications than this, NumPy's plain loop is faster than BLAS through einsum (measured: 32 x 32 x 32).
PLAIN_LOOP = 2**15


@functools.lru_cache(4096)
def labels_of(subscripts: str, ranks: tuple[int, ...]) -> tuple[list[Labels], Labels]:
    """The labels of every operand and of the output. Raises ValueError for invalid subscripts.

    >>> labels_of("...ij,jk->...ik", (3, 2))
    ([(-1, 'i', 'j'), ('j', 'k')], (-1, 'i', 'k'))
    """
    left, _, right = subscripts.partition("->")
    terms = left.split(",")
    if len(terms) != len(ranks):
        raise ValueError(f"{subscripts!r} has {len(terms)} terms for {len(ranks)} operands")
    names = [term.replace("...", "", 1) for term in (*terms, right)]
    for letter in "".join(names):
        if letter not in LETTERS:
            raise ValueError(f"{letter!r} in {subscripts!r} is neither a letter nor part of one ellipsis per term")
    hidden = [rank - len(name) for rank, name in zip(ranks, names, strict=False)]
    for position, (term, rank) in enumerate(zip(terms, ranks, strict=True)):
        if hidden[position] < 0 or (hidden[position] > 0 and "..." not in term):
            labels = rank - hidden[position]
            raise ValueError(f"{term!r} has {labels} labels, but operands[{position}] has {rank} axes")
    widest = max(hidden)
    if widest and "..." not in right:
        raise ValueError(f"the output {right!r} of {subscripts!r} must have the ellipsis that its operands have")
    for letter in names[-1]:
        if names[-1].count(letter) > 1 or letter not in left:
            what = "repeated in the output" if letter in left else "in the output but in no operand"
            raise ValueError(f"the label {letter!r} of {subscripts!r} is {what}")

    def spread(term: str, count: int) -> Labels:
        before, _, after = term.partition("...")
        return (*before, *range(-count, 0), *after)

    output = spread(right, widest if "..." in right else 0)
    return [spread(term, count) for term, count in zip(terms, hidden, strict=True)], output


def sizes_of(labels: Sequence[Labels], shapes: Sequence[Shape]) -> dict[Hashable, int]:
    """The size of every label; as in NumPy, an axis of size 1 stretches to the size that the label has elsewhere.

    >>> sizes_of([("i", "j"), ("j",)], [(2, 1), (3,)])
    {'i': 2, 'j': 3}
    """
    sizes: dict[Hashable, int] = {}
    for position, (own, shape) in enumerate(zip(labels, shapes, strict=True)):
        seen: dict[Hashable, int] = {}
        for label, size in zip(own, shape, strict=True):
            if seen.setdefault(label, size) != size:
                raise ValueError(f"the axes {label!r} of operands[{position}] are {seen[label]} and {size} long")
            if sizes.setdefault(label, size) == 1:
                sizes[label] = size
            elif size not in (1, sizes[label]):
                raise ValueError(f"the axis {label!r} is {size} in operands[{position}], but {sizes[label]} before it")
    return sizes


def contraction(operands: Sequence[Any], labels: Sequence[Labels], output: Labels) -> Any:
    """The Einstein sum of operands with these labels, computed in the way that is fast for their sizes."""
    letters = dict(zip(dict.fromkeys(label for own in labels for label in own), LETTERS, strict=False))
    terms = ["".join(letters[label] for label in own) for own in (*labels, output)]
    subscripts = ",".join(terms[:-1]) + "->" + terms[-1]
    work = math.prod(sizes_of(labels, [np.shape(x) for x in operands]).values())
    return contract(*operands, subscripts=subscripts, optimize=work > PLAIN_LOOP)


def shape_of_contraction(operands: Sequence[Any], labels: Sequence[Labels], output: Labels) -> ShapeDtype:
    """Shape and dtype of an Einstein sum."""
    kinds = [ShapeDtype.of(x) for x in operands]
    sizes = sizes_of(labels, [kind.shape for kind in kinds])
    return ShapeDtype(tuple(sizes[label] for label in output), np.result_type(*(kind.dtype for kind in kinds)))


def batch_contraction(operands: Sequence[Any], mapped: Sequence[bool], labels: Sequence[Labels], output: Labels) -> Any:
    """The Einstein sum of every example: the batch axis gets a label of its own, in front."""
    own = [(BATCH, *one) if is_mapped else one for one, is_mapped in zip(labels, mapped, strict=True)]
    return contraction(operands, own, (BATCH, *output))


def _ranks(operands: Sequence[Any]) -> tuple[int, ...]:
    return tuple(np.ndim(x) for x in operands)


def _pull(g: Any, y: Any, *operands: Any, subscripts: str, optimize: Any) -> tuple[Any, ...]:
    labels, output = labels_of(subscripts, _ranks(operands))
    return tuple(
        Thunk(functools.partial(_cotangent, g, operands, labels, output, position)) for position in range(len(operands))
    )


def _cotangent(g: Any, operands: Sequence[Any], labels: Sequence[Labels], output: Labels, position: int) -> Any:
    """The cotangent of one operand: the Einstein sum of `g` and all other operands, with this operand's axes."""
    shapes = [np.shape(x) for x in operands]
    own, shape, joint = labels[position], shapes[position], sizes_of(labels, shapes)
    others = [*operands[:position], *operands[position + 1 :]]
    theirs = [*labels[:position], *labels[position + 1 :]]
    found = set(output).union(*theirs)
    # A label of this operand alone was summed, so its axis is stretched below. An axis that the forward pass stretched
    # is summed, by leaving its label out.
    sizes = dict(zip(own, shape, strict=True))
    kept = tuple(label for label, size in sizes.items() if label in found and size == joint[label])
    part = contraction([g, *others], [output, *theirs], kept)
    found_sizes = dict(zip(kept, np.shape(part), strict=True))
    part = np.reshape(part, tuple(found_sizes.pop(label, 1) for label in own))
    if np.shape(part) != shape:
        part = np.broadcast_to(part, shape)
    if len(set(own)) == len(own):
        return part
    # The forward pass read only the diagonal of a repeated label.
    index = np.indices(shape, sparse=True)
    diagonal = np.ones(shape, bool)
    for axis, label in enumerate(own):
        diagonal &= index[axis] == index[own.index(label)]
    return np.where(diagonal, part, 0)


def _push(tangents: Sequence[Any], y: Any, *operands: Any, **static: Any) -> Any:
    parts = [
        contract(*operands[:position], tangent, *operands[position + 1 :], **static)
        for position, tangent in enumerate(tangents)
        if type(tangent) is not Zero
    ]
    return functools.reduce(lambda a, b: a + b, parts)


def _batch(op: Primitive, size: int, inputs: Sequence[Any], mapped: Sequence[bool], static: Mapping[str, Any]) -> Any:
    ranks = tuple(np.ndim(x) - is_mapped for x, is_mapped in zip(inputs, mapped, strict=True))
    return batch_contraction(inputs, mapped, *labels_of(static["subscripts"], ranks))


@variadic(
    rrule=_pull,
    frule=_push,
    batch=_batch,
    abstract=lambda *operands, subscripts, optimize: shape_of_contraction(
        operands, *labels_of(subscripts, _ranks(operands))
    ),
    name="einsum",
)
def contract(*operands: T, subscripts: str, optimize: bool | str | Sequence[Any] = False) -> T:
    """The Einstein sum with explicit subscripts, which `einsum` records: Num "..." each -> Num "...".

    Its derivative with respect to an operand is an Einstein sum of the cotangent and the other operands: labels that
    appear nowhere else are broadcast back, and the cotangent of a repeated label is on the diagonal.

    >>> contract(np.ones((2, 3)), np.ones(3), subscripts="ij,j->i")
    array([3., 3.])
    """
    sizes_of(labels_of(subscripts, _ranks(operands))[0], [np.shape(x) for x in operands])
    return np.einsum(subscripts, *operands, optimize=optimize)


@overload
def einsum(subscripts: str, /, *operands: Numeric, optimize: bool | str | Sequence[Any] = False) -> Array: ...  # pyright: ignore[reportOverlappingOverload]
@overload
def einsum(subscripts: str, /, *operands: Operand, optimize: bool | str | Sequence[Any] = False) -> Step: ...
@overload
def einsum(*interleaved: Any, optimize: bool | str | Sequence[Any] = False) -> Any: ...
def einsum(*operands: Any, optimize: Any = False) -> Any:
    """The Einstein sum of the operands, as in `np.einsum`, with all forms of subscripts.

    `einsum(subscripts, *operands)` takes one label per axis, `...` for any other axes, and a label twice in one term
    for a diagonal. Without `->` the output has the labels that occur once, in alphabetical order, after the ellipsis.
    An axis of size 1 stretches to the size that its label has elsewhere. The interleaved form, `einsum(a, [0, 1], b,
    [1, 2], [0, 2])`, takes integers below 52 and `...` as labels. `optimize` is NumPy's: False (a plain loop), True,
    "greedy", "optimal" or a path; the derivatives choose their own.

    Shapes: Num "...", one or more -> Num "...".

    Raises ShapeError or ArgumentError, which name the label, for subscripts that do not fit the operands.

    >>> a = np.arange(6.0).reshape(2, 3)
    >>> einsum("ij,kj->ik", a, a)
    array([[ 5., 14.],
           [14., 50.]])
    >>> float(einsum("ii", a @ a.T)), einsum(a, [0, 1], [1])
    (55.0, array([3., 5., 7.]))
    """
    if operands and isinstance(operands[0], str):
        subscripts, tensors = operands[0], operands[1:]
    else:
        subscripts, tensors = _from_interleaved(operands)
    if not tensors:
        raise ArgumentError(f"einsum: {subscripts!r} needs operands, but got none; write einsum('ij,jk', a, b).")
    return contract(*tensors, subscripts=explicit(subscripts), optimize=optimize)


def explicit(subscripts: str) -> str:
    """Make subscripts explicit: without spaces, and with an output.

    >>> explicit("ij, jk"), explicit("ii"), explicit("b...a")
    ('ij,jk->ik', 'ii->', 'b...a->...ab')
    """
    text = subscripts.replace(" ", "")
    if "->" in text:
        return text
    once = sorted(label for label in set(text) - set(".,") if text.count(label) == 1)
    return f"{text}->{'...' * ('...' in text)}{''.join(once)}"


def _from_interleaved(operands: Sequence[Any]) -> tuple[str, Sequence[Any]]:
    """The subscripts and operands of `einsum(a, [0, 1], b, [1, 2], [0, 2])`."""
    pairs = len(operands) // 2

    def term(labels: Any) -> str:
        try:
            return "".join("..." if label is Ellipsis else LETTERS[range(52)[label]] for label in labels)
        except (TypeError, IndexError) as error:
            raise ArgumentError(
                f"einsum: {labels!r} is not a list of labels; after each operand write a list of integers from 0 to 51 "
                "and `...`. The other form is einsum('ij,jk->ik', a, b)."
            ) from error

    subscripts = ",".join(term(labels) for labels in operands[1 : 2 * pairs : 2])
    if len(operands) % 2:
        subscripts += "->" + term(operands[-1])
    return subscripts, operands[: 2 * pairs : 2]


__all__ = ["einsum"]
