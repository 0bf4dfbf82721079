"""Hypothesis strategies made from jaxtyping annotations: random arguments whose shapes fit together.

Axis names get sizes, names of several axes get shapes, and then every array is drawn in the shape that its annotation
spells with them. Examples shrink towards scalars, sizes of 1, simple numbers and no broadcasting.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from typing import TYPE_CHECKING, Any, cast, get_origin

import numpy as np

from tapem.core import ShapeDtype
from tapem.errors import ArgumentError
from tapem.testing.axis_sizes import Axes
from tapem.testing.domains import REACH, Domain, kinds_within, known_domain, one_within
from tapem.testing.dtypes import allows
from tapem.testing.edges import LAYOUTS, NUMBERS, known_edges, with_numbers
from tapem.testing.seeded import hypothesis_modules
from tapem.types import Operand, Signature

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn, SearchStrategy

# The dtypes that annotations such as Float, Shaped, Num, Int and Bool may allow, the simplest first.
DTYPES = [np.dtype(name) for name in "float64 float32 int64 int32 bool uint8 complex128 complex64".split()]
DEFAULT = [dtype for dtype in DTYPES if dtype != np.uint8]
_OTHERS = [np.dtype(name) for name in "float16 int16 int8 uint16 uint32 uint64".split()]


def shaped(
    fn: Callable[..., Any],
    /,
    *,
    elements: Any = None,
    domain: Domain = None,
    edges: bool | Sequence[str] | None = None,
    dtypes: Sequence[Any] | None = None,
    min_side: int = 1,
    max_side: int = 4,
    max_axes: int = 3,
    static: Mapping[str, Any] | None = None,
) -> SearchStrategy[tuple[Any, ...]]:
    """Make a strategy that draws arguments for `fn`: a tuple of arrays whose shapes and dtypes its annotations allow.

    `fn` is an op, or any function whose parameters have jaxtyping annotations. These may have axis names (of the same
    size everywhere), fixed sizes, symbolic sizes (`2*n`, `n-1`), `*batch` and `...`, `#n` and `*#batch` (each array
    broadcasts in its own way), `_`, Union and Optional, `*xs`, and sizes named by static arguments (`{heads}*d`, taken
    from `static` or the parameter's default). Unannotated parameters of an op broadcast together.

    - `elements`: a strategy for the numbers in the arrays, or a mapping from parameter names to strategies. A function
      of the axis sizes may replace a strategy: `{"labels": lambda axes: st.integers(0, axes["classes"] - 1)}`.
      By default floats, and both parts of complex numbers, are in [-5, 5], integers in [-8, 8] (from 0 if unsigned).
    - `domain`: what the floats have to be, for all tensors or by name, as in `{"cov": "positive definite"}`:
      "positive", "unit interval", "invertible", "positive definite", "orthogonal", "probabilities" (along the last
      axis), "sorted" (likewise), "away from kinks" (no integers, no two equal ones), or a function of the array.
    - `edges`: what is drawn now and then beside ordinary arrays. By default "ties", "zeros" (of both signs), "fortran"
      order, negative "strides", "read-only" arrays, which functions of arrays should take; besides there are
      "subnormal", "tiny" and "large" numbers, "non-native" byte order and "empty" axes. True draws all, False none.
      Numbers stay as they are where `elements` or `domain` say what they are.
    - `dtypes`: the dtypes to draw if the annotation leaves a choice; by default float64, float32, complex128,
      complex64, int64, int32 and bool. All floats and complex numbers of one example have the same precision. Where
      nothing is said of the dtype, as by Shaped, floats and integers are drawn.
    - `min_side`, `max_side`: the sizes of named axes; `max_axes`: how many axes a `*name` stands for.

    Raises MissingExtraError without Hypothesis, ArgumentError for a function without annotated tensors, or with another
    parameter without a default before a tensor.

    >>> from hypothesis import given, settings
    >>> from jaxtyping import Float
    >>> def linear(weight: Float[np.ndarray, "out in"], x: Float[np.ndarray, "*batch in"]):
    ...     return x @ weight.T
    >>> @settings(max_examples=20, database=None)
    ... @given(shaped(linear))
    ... def test(arguments):
    ...     weight, x = arguments
    ...     assert linear(weight, x).shape == (*x.shape[:-1], weight.shape[0])
    >>> test()
    """
    _, st = hypothesis_modules()
    signature = Signature.of(fn)
    callable_by_position(fn, signature)
    if not 0 <= min_side <= max_side:
        raise ArgumentError(f"shaped: min_side={min_side} must be between 0 and max_side={max_side}.")
    kinds = [np.dtype(dtype) for dtype in dtypes] if dtypes is not None else None
    known_domain(domain, [operand.name for operand in signature.operands])
    wanted = known_edges(edges)
    content = Content(elements, domain, wanted)
    given = {**{k: v for k, v in signature.static.items() if v is not inspect.Parameter.empty}, **(static or {})}

    def build(draw: DrawFn) -> tuple[Any, ...]:
        axes = Axes(draw, given, (min_side, max_side), max_axes, "empty" in wanted)
        drawn = types_of(draw, signature, axes, kinds, domain)
        return tuple(None if one is None else filled(draw, *one, axes.sizes, content) for one in drawn)

    return st.composite(build)()


def abstract_arguments(fn: Callable[..., Any], max_side: int = 5) -> SearchStrategy[tuple[Any, ...]]:
    """Make a strategy that draws arguments as `shaped` does, but only their shapes and dtypes: values of ShapeDtype.

    No axis has the size 1, so that nothing broadcasts that is not meant to.
    """
    _, st = hypothesis_modules()
    signature = Signature.of(fn)
    callable_by_position(fn, signature)
    given = {k: v for k, v in signature.static.items() if v is not inspect.Parameter.empty}

    def build(draw: DrawFn) -> tuple[Any, ...]:
        drawn = types_of(draw, signature, Axes(draw, given, (2, max_side), 2), None)
        return tuple(None if one is None else ShapeDtype(*one[1:]) for one in drawn)

    return st.composite(build)()


def types_of(
    draw: DrawFn, signature: Signature, axes: Axes, kinds: Sequence[np.dtype[Any]] | None, domain: Domain = None
) -> list[tuple[str, tuple[int, ...], np.dtype[Any]] | None]:
    """The name, shape and dtype of every argument; None for optional ones that are left out.

    All shapes are drawn before all numbers, so that a size that shrinks does not shift another shape.
    """
    _, st = hypothesis_modules()
    float_dtype = draw(st.sampled_from([d for d in kinds or DTYPES if d.kind == "f"] or [np.dtype(np.float64)]))
    drawn: list[tuple[str, tuple[int, ...], np.dtype[Any]] | None] = []
    for operand in signature.operands:
        count = draw(st.integers(1, 3)) if operand.variadic else 1
        wanted = kinds_within(domain, operand.name)
        drawn += [one_type(draw, operand, axes, kinds, float_dtype, wanted) for _ in range(count)]
    return drawn


def callable_by_position(fn: Callable[..., Any], signature: Signature) -> None:
    """Raise ArgumentError unless the function can be called with its tensors alone, by position."""
    parameters = inspect.signature(getattr(fn, "__wrapped__", fn), eval_str=True).parameters
    for name, parameter in parameters.items():
        if parameter.default is parameter.empty and is_tree(parameter.annotation):
            raise ArgumentError(
                f"shaped: {signature.name} takes {parameter}, which is a tree; only parameters annotated as tensors "
                "are drawn. Close over it, with lambda or functools.partial, or check the function at a point of your "
                f"own: tm.testing.check_grads({signature.name}, ({name}, ...))."
            )
    if not signature.operands:
        raise ArgumentError(
            f"shaped: {signature.name} has no parameter annotated as a tensor, such as x: Float[Tensor, 'n'], so there "
            "is nothing to draw."
        )
    tensors = {operand.name for operand in signature.operands}
    named = [name for name in tensors if parameters[name].kind is inspect.Parameter.KEYWORD_ONLY]
    if named:
        raise ArgumentError(
            f"shaped: {signature.name} takes its tensor {named[0]!r} by keyword only, but tensors are drawn by "
            f"position; wrap it, as in lambda {named[0]}: {signature.name}({named[0]}={named[0]}), with annotations."
        )
    last = signature.operands[-1].name
    for name, parameter in parameters.items():
        if name == last:
            return
        if name not in tensors:
            raise ArgumentError(
                f"shaped: {signature.name} takes {parameter} before its tensor {last!r}; close over it, as in "
                f"lambda, or with functools.partial({signature.name}, {name}=...), so that tensors come first."
            )


def missing_arguments(fn: Callable[..., Any], signature: Signature, static: Collection[str] = ()) -> list[str]:
    """The names of the parameters without a default that are neither drawn nor given."""
    empty = [name for name, default in signature.static.items() if default is inspect.Parameter.empty]
    wanted = [name for name in empty if name not in static]
    several = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    if not wanted:
        return []
    parameters = inspect.signature(getattr(fn, "__wrapped__", fn)).parameters
    return [name for name in wanted if name in parameters and parameters[name].kind not in several]


def is_tree(annotation: Any) -> bool:
    """Whether a parameter is annotated as a container, or a class with fields, rather than as one tensor or number."""
    origin: Any = get_origin(annotation) or annotation
    if not isinstance(origin, type) or origin in PLAIN:
        return False
    return is_dataclass(origin) or issubclass(cast("type[Any]", origin), Collection)


PLAIN = (str, bytes, np.ndarray)


def one_type(
    draw: DrawFn,
    operand: Operand,
    axes: Axes,
    kinds: Sequence[np.dtype[Any]] | None,
    float_dtype: np.dtype[Any],
    of_kinds: str = "biufc",
) -> tuple[str, tuple[int, ...], np.dtype[Any]] | None:
    """The name, shape and dtype of one argument; None for an optional operand that is left out."""
    _, st = hypothesis_modules()
    if operand.optional and draw(st.booleans(), label=f"{operand.name} is None"):
        return None
    leaf: Any = draw(st.sampled_from(operand.leaves)) if operand.leaves else None
    shape = axes.shape(getattr(leaf, "dim_str", "..." if operand.leaves else "*#shape"))
    possible = possible_dtypes(leaf, kinds, float_dtype, operand)
    wanted = [dtype for dtype in possible if dtype.kind in of_kinds]
    return operand.name, shape, draw(st.sampled_from(wanted or possible))


@dataclass(frozen=True)
class Content:
    """What arrays are filled with: strategies for the numbers, the domain, and the edges that are drawn."""

    elements: Any
    domain: Domain
    edges: tuple[str, ...]

    def numbers_of(self, name: str) -> Any:
        """The strategy for the numbers of a parameter, or None."""
        by_name = isinstance(self.elements, Mapping)
        return cast("Mapping[str, Any]", self.elements).get(name) if by_name else self.elements

    def finished(self, draw: DrawFn, name: str, values: Any) -> Any:
        """An array with its numbers in their domain, or else at an edge, and laid out in some way."""
        _, st = hypothesis_modules()
        free = self.numbers_of(name) is None and self.domain is None and values.dtype.kind in "fc"
        numbers = [edge for edge in self.edges if edge in NUMBERS] if free and values.size else []
        layouts = [edge for edge in self.edges if edge in LAYOUTS] if values.size else []
        if numbers:
            edge = draw(st.sampled_from([*[None] * (2 + len(numbers)), *numbers]))
            values = values if edge is None else with_numbers(values, edge)
        values = one_within(self.domain, name, values)
        edge = draw(st.sampled_from([*[None] * (2 + len(layouts)), *layouts])) if layouts else None
        return values if edge is None else LAYOUTS[edge](values)


def filled(
    draw: DrawFn, name: str, shape: tuple[int, ...], dtype: np.dtype[Any], sizes: Mapping[str, int], content: Content
) -> Any:
    """An array of this shape and dtype with drawn elements."""
    _, st = hypothesis_modules()
    numbers: Any = content.numbers_of(name)
    if callable(numbers) and not isinstance(numbers, st.SearchStrategy):
        numbers = numbers(dict(sizes))
    if numbers is None:
        numbers = default_elements(dtype)
    count = int(np.prod(shape, dtype=np.int64))
    values = draw(st.lists(numbers, min_size=count, max_size=count), label=name)
    with np.errstate(over="ignore"):
        return content.finished(draw, name, np.array(values, dtype).reshape(shape))


def default_elements(dtype: np.dtype[Any]) -> Any:
    """The default strategy for numbers of a dtype."""
    _, st = hypothesis_modules()
    if dtype.kind == "b":
        return st.booleans()
    if dtype.kind in "iu":
        return st.integers(0 if dtype.kind == "u" else -8, 8)
    floats = st.floats(-REACH, REACH, width=min(64, 8 * dtype.itemsize))
    return floats if dtype.kind == "f" else st.builds(complex, floats, floats)


def possible_dtypes(
    leaf: Any, kinds: Sequence[np.dtype[Any]] | None, float_dtype: np.dtype[Any], operand: Operand
) -> list[np.dtype[Any]]:
    """The dtypes that an annotation allows, the simplest first."""
    wanted = DEFAULT if kinds is None else list(kinds)
    complex_dtype = np.result_type(float_dtype, np.complex64)
    fitting = [dtype for dtype in wanted if allows(leaf, dtype)]
    if not fitting:  # an annotation such as Float16 allows none of them
        fitting = [dtype for dtype in [*DTYPES, *_OTHERS] if allows(leaf, dtype)]
        fitting = [complex_dtype] if complex_dtype in fitting and fitting[0].kind == "c" else fitting[:1]
    if not fitting:
        raise ArgumentError(f"shaped: no dtype of NumPy's fits the annotation {operand.text} of {operand.name}.")
    if kinds is None and any(dtype.kind == "f" for dtype in fitting) and allows(leaf, np.dtype(bool)):
        fitting = [dtype for dtype in fitting if dtype.kind in ("fi" if is_open(leaf) else "fic")]
    # One precision for all floats and complex numbers of an example.
    for own in (complex_dtype, float_dtype):
        if own in fitting:
            fitting = [own, *(dtype for dtype in fitting if dtype.kind != own.kind)]
    return sorted(dict.fromkeys(fitting), key=lambda dtype: dtype.kind == "c")


def is_open(leaf: Any) -> bool:
    """Whether an annotation says nothing of the dtype, as Shaped does, so that not even numbers are meant.

    >>> from jaxtyping import Num, Shaped
    >>> is_open(Shaped[np.ndarray, "n"]), is_open(Num[np.ndarray, "n"])
    (True, False)
    """
    return allows(leaf, np.dtype(object))


__all__ = ["abstract_arguments", "hypothesis_modules", "is_open", "missing_arguments", "shaped"]
