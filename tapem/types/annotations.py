"""Annotations: parse a jaxtyping annotation into its alternatives, and write it as text.

Only jaxtyping decides what an annotation allows, by checking a stand-in array; nothing here decides it.
"""

from __future__ import annotations

import ast
import re
import types
import typing
from collections.abc import Sequence, Set
from typing import Any, NamedTuple, Union, cast, get_args, get_origin

import numpy as np
from jaxtyping import AbstractArray, AbstractDtype, Bool, Complex, Float, Int, Shaped

__all__ = [
    "DTYPES", "Operand", "allowed_dtypes", "allows_dtype", "annotation_text", "axes_of_any_number", "axis_sizes",
    "expand", "is_jaxtyping", "names_in_braces", "results_of", "satisfies",
]  # fmt: skip

DTYPES = frozenset(
    "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 complex64 complex128".split()
)
"""The names of the dtypes that the same program may meet on every machine."""

_NUMBER_KINDS: dict[object, Any] = {bool: Bool, int: Int, float: Float, complex: Complex}
_ANY_AXES = re.compile(r"\.\.\.|(?P<broadcasts>#)?\*(?P<also>#)?(?P<name>[A-Za-z]\w*)")


class Operand(NamedTuple):
    """A tensor parameter of an op: `optional` if it may be None or left out, `variadic` for `*xs`.

    `leaves` are the array types that the annotation allows, in the form that jaxtyping checks; () if it is open.

    >>> Operand.of("ys", Any, variadic=True)
    Operand(name='ys', annotation=typing.Any, optional=False, text='Tensor', variadic=True, leaves=())
    """

    name: str
    annotation: object
    optional: bool
    text: str
    variadic: bool = False
    leaves: tuple[Any, ...] = ()

    @classmethod
    def of(cls, name: str, annotation: Any, optional: bool = False, variadic: bool = False) -> Operand:
        """Make an operand from its annotation; `X | None` makes it optional too.

        >>> Operand.of("mask", Bool[np.ndarray, "n"] | None).optional
        True
        """
        optional = optional or type(None) in _alternatives(annotation)
        return cls(name, annotation, optional, annotation_text(annotation), variadic, _array_types(annotation))

    @property
    def names(self) -> set[str]:
        """The static arguments that the dimension strings name, such as heads in `"{heads}"`."""
        return {name for leaf in self.leaves if is_jaxtyping(leaf) for name in names_in_braces(leaf.dim_str)}


def results_of(annotation: Any) -> list[Operand]:
    """List the tensors of a return annotation; the parts of a tuple are named result[0], result[1] and so on."""
    origin, args = get_origin(annotation), get_args(annotation)
    if hasattr(annotation, "_fields"):  # a NamedTuple
        origin, args = tuple, tuple(typing.get_type_hints(annotation, include_extras=True).values())
    if origin is list or args[-1:] == (...,):
        return [Operand.of("result", args[0], variadic=True)]
    if origin is tuple:
        return [Operand.of(f"result[{i}]", arg) for i, arg in enumerate(args)]
    return [Operand.of("result", annotation)]


def expand(operands: Sequence[Operand], count: int) -> list[Operand]:
    """Repeat the variadic operand, if there is one, until there are `count` operands."""
    repeats = range(count - len(operands) + 1)
    rows = [[o._replace(name=f"{o.name}[{i}]") for i in repeats] if o.variadic else [o] for o in operands]
    return [operand for row in rows for operand in row]


def _alternatives(annotation: Any) -> list[Any]:
    """List the alternatives of a Union, Optional, Annotated or type alias."""
    if hasattr(annotation, "__value__"):  # an alias, such as NumPy's NDArray[...] from 2.5 on
        value, arguments = annotation.__value__, get_args(annotation)
        return _alternatives(value[arguments] if arguments else value)
    if get_origin(annotation) is typing.Annotated:
        return _alternatives(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return [alternative for argument in get_args(annotation) for alternative in _alternatives(argument)]
    return [annotation]


def is_jaxtyping(annotation: object) -> bool:
    """Whether an annotation is an array type of jaxtyping's."""
    return isinstance(annotation, type) and issubclass(annotation, AbstractArray)


def _is_numpy(annotation: object) -> bool:
    return annotation is np.ndarray or get_origin(annotation) is np.ndarray


def _array_types(annotation: Any) -> tuple[Any, ...]:
    """List the array types in an annotation; number types count as 0-d arrays, but only beside an array type."""
    leaves: list[Any] = []
    alternatives = _alternatives(annotation)
    if not any(is_jaxtyping(a) or _is_numpy(a) for a in alternatives):
        return ()
    for a in alternatives:
        if a in _NUMBER_KINDS:
            leaves.append(_NUMBER_KINDS[a][np.ndarray, ""])
        elif is_jaxtyping(a) and a.array_type not in (Any, np.ndarray):
            # The stand-in is a NumPy array, so the container in the annotation (Ref, jax.Array) is replaced.
            leaves.append(a.dtype[np.ndarray, a.dim_str])
        elif is_jaxtyping(a) or _is_numpy(a):
            leaves.append(a)
    return tuple(leaves)


def names_in_braces(dim_str: str) -> list[str]:
    """List the names in braces in a dimension string such as "{heads}*d"."""
    nodes = ast.walk(ast.parse(f"f'{dim_str}'")) if "{" in dim_str else ()
    return [node.id for node in nodes if isinstance(node, ast.Name)]


def annotation_text(annotation: Any) -> str:
    """Write an annotation as in source code."""
    alternatives = _alternatives(annotation)
    if len(alternatives) > 1:
        return " | ".join(map(annotation_text, alternatives))
    [annotation] = alternatives
    origin, args = get_origin(annotation), get_args(annotation)
    if is_jaxtyping(annotation):
        container = annotation.array_type
        name = "Tensor" if container is np.ndarray else getattr(container, "__name__", str(container))
        return f'{annotation.dtype.__name__}[{name}, "{annotation.dim_str}"]'
    if origin is np.ndarray and get_args(args[1])[0] is not Any:
        return f"NDArray[{get_args(args[1])[0].__name__}]"
    if origin in (tuple, list):
        return f"{origin.__name__}[{', '.join(map(annotation_text, args))}]"
    if annotation is Any or _is_numpy(annotation):
        return "Tensor"
    if annotation is type(None) or annotation is ...:
        return "None" if annotation is type(None) else "..."
    return getattr(annotation, "__name__", str(annotation))


def satisfies(value: object, annotation: Any) -> bool:
    """Ask beartype whether a value fits an annotation; the first call imports beartype."""
    from beartype.door import is_bearable

    return is_bearable(value, annotation)


def allows_dtype(leaf: Any, dtype: np.dtype[Any]) -> bool:
    """Whether an array type allows a dtype, whatever the shape."""
    if not is_jaxtyping(leaf):
        return satisfies(np.zeros((), dtype), leaf)

    class Kind(AbstractDtype):
        dtypes = leaf.dtypes

    return isinstance(np.zeros((), dtype), cast("Any", Kind)[np.ndarray, "..."])


def allowed_dtypes(leaf: Any) -> Set[str]:
    """Which of the dtypes an array type allows, read off it without asking about an array."""
    if not is_jaxtyping(leaf):
        return DTYPES if annotation_text(leaf) == "Tensor" else frozenset()
    return DTYPES if leaf.dtypes is cast("Any", Shaped).dtypes else DTYPES.intersection(leaf.dtypes)


def axes_of_any_number(leaf: Any) -> tuple[str, bool] | None:
    """The name of the axes, and whether they broadcast, where an array type says nothing else of a shape.

    >>> axes_of_any_number(Float[np.ndarray, "*#shape"]), axes_of_any_number(Float[np.ndarray, "... 3"])
    (('shape', True), None)
    """
    found = _ANY_AXES.fullmatch(leaf.dim_str) if is_jaxtyping(leaf) else _ANY_AXES.fullmatch("...")
    return found and (found["name"] or "...", not found["name"] or bool(found["broadcasts"] or found["also"]))


def axis_sizes(operand: Operand, shape: tuple[int, ...]) -> dict[str, str]:
    """The sizes of the named axes of one operand, by the first of its annotations that has as many axes as the shape.

    >>> axis_sizes(Operand.of("x", Float[np.ndarray, "*batch in"]), (5, 2, 3))
    {'batch': '(5, 2)', 'in': '3'}
    """
    for leaf in operand.leaves:
        axes = str(getattr(leaf, "dim_str", "")).split()
        several = [index for index, axis in enumerate(axes) if axis.startswith("*") or axis == "..."]
        if len(several) > 1 or len(shape) < len(axes) - len(several) or (not several and len(shape) != len(axes)):
            continue
        if several:
            place = several[0]
            count = len(shape) - len(axes) + 1
            shape_of: list[Any] = [*shape[:place], shape[place : place + count], *shape[place + count :]]
        else:
            shape_of = list(shape)
        names = [axis.strip("*#?") for axis in axes]
        return {name: str(size) for name, size in zip(names, shape_of, strict=True) if name.isidentifier()}
    return {}
