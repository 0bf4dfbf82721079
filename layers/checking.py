"""Compare parameters and state, name by name and shape by shape, with those of a layer's `init` and `init_state`.

Every call of a model makes this comparison, so the form of the first parameters is computed only once for each layer,
from shapes alone if `init` can be traced.
"""

from __future__ import annotations

import contextvars
import functools
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, TypeAlias

import tapem as tm
from tapem import ArgumentError, ShapeError, TapeError

Shapes: TypeAlias = Mapping[str, tuple[int, ...]]

KEY = tm.random.key(0)


class Begins(Protocol):
    """An object with first parameters and a first state, such as a layer."""

    def init(self, key: Any, input_shape: Any = None) -> Any:
        """The first parameters."""
        ...

    def init_state(self) -> Any:
        """The first state."""
        ...


class Form(NamedTuple):
    """The containers of a tree and the shapes of its leaves; two trees of equal form can replace each other."""

    structure: Any
    shapes: tuple[tuple[int, ...], ...]


def form_of(tree: Any) -> Form:
    """The form of a tree; a leaf without a shape counts as a number, of shape ()."""
    leaves, structure = tm.tree_flatten(tree)
    return Form(structure, tuple([getattr(leaf, "shape", ()) for leaf in leaves]))


class Beginnings(NamedTuple):
    """The form of a layer's first parameters and state; the first two fields are None if init depends on the input.

    `form` is the form of the pair of both, the other fields are shapes by their names.

    >>> import layers
    >>> beginnings_of(layers.BatchNorm(2)).params
    {'beta': (2,), 'gamma': (2,)}
    """

    form: Form | None
    params: Shapes | None
    state: Shapes

    def have_form(self, leaves: list[Any], structure: Any) -> bool:
        """Whether these are the leaves and structure of a pair (parameters, state) of such a layer."""
        return self.form is not None and self.form == (structure, tuple([getattr(x, "shape", ()) for x in leaves]))

    def have_shapes(self, params: Any, state: Any) -> bool:
        """The same by the names of the leaves: a list may replace a tuple."""
        return tm.tree_shapes(params) == self.params and tm.tree_shapes(state) == self.state


def beginnings_of(layer: Begins, input_shape: tuple[int, ...] | None = None) -> Beginnings:
    """The first parameters and state of a layer, for inputs of this shape if it depends on it; cached per layer."""
    try:
        hash(layer)
    except TypeError:  # a user's layer with a list or an array among its fields
        return asked(layer, input_shape)
    return remembered(layer, input_shape)


def asked(layer: Begins, input_shape: tuple[int, ...] | None) -> Beginnings:
    """The same without the cache."""
    state = layer.init_state()
    try:
        params = first_params(layer)
    except (TapeError, TypeError):
        if input_shape is None:
            return Beginnings(None, None, tm.tree_shapes(state))
        params = first_params(layer, input_shape)
    return Beginnings(form_of((params, state)), tm.tree_shapes(params), tm.tree_shapes(state))


def first_params(layer: Begins, input_shape: tuple[int, ...] | None = None) -> Any:
    """A tree with the shapes of the first parameters, without drawing them if `init` can be traced."""
    init = layer.init if input_shape is None else functools.partial(layer.init, input_shape=input_shape)
    try:  # in a separate context, without a watcher and a recorder
        return contextvars.Context().run(tm.eval_shape, init, KEY)
    except (
        TapeError,
        TypeError,
        ValueError,
        AttributeError,
    ):  # it draws with a function that does not take a tracer as key
        return init(KEY)


remembered = functools.lru_cache(maxsize=256)(asked)


def check_trees(layer: Any, params: Any, state: Any, x: Any) -> None:
    """Raise ArgumentError or ShapeError if params or state do not belong to the layer."""
    first, shape = layer.beginnings, getattr(x, "shape", None)
    if (beginnings_of(layer, shape) if first.params is None else first).have_shapes(params, state):
        return
    # Without the cache, so that an old answer cannot cause an error.
    wants = first_params(layer, shape)
    for name, given, wanted in (("params", params, wants), ("state", state, layer.init_state())):
        if tm.tree_shapes(given).keys() != tm.tree_shapes(wanted).keys():
            refuse_structure(layer, name, given, wanted)
        if problems := tm.tree_differences(given, wanted):
            raise ShapeError("\n  ".join([f"{complaint(layer, name)}: shapes differ", *problems]))


def refuse_other_structures(layer: Begins, params: Any, state: Any) -> None:
    """Raise ArgumentError if params or state have other containers than the layer's first ones."""
    for name, given, wanted in (("params", params, first_params(layer)), ("state", state, layer.init_state())):
        if form_of(given).structure != form_of(wanted).structure:
            refuse_structure(layer, name, given, wanted)


def refuse_structure(layer: Begins, name: str, given: Any, wanted: Any) -> None:
    """Raise the ArgumentError for trees with other leaves."""
    raise ArgumentError(f"{complaint(layer, name)}: it has the structure {outline(given)}, not {outline(wanted)}.")


def outline(tree: Any) -> str:
    """The containers of a tree, with a star for every leaf.

    >>> outline({"w": 1.0, "b": (2.0, None)})
    "{'b': (*, None), 'w': *}"
    """
    _, structure = tm.tree_flatten(tree)
    return str(structure).removeprefix("PyTreeSpec(").removesuffix(")").removesuffix(", namespace='tapem'")


def complaint(layer: Begins, name: str) -> str:
    """The beginning of every error message."""
    return f"{layer!r}: {name} is not what model.{'init' if name == 'params' else 'init_state'} gives"


__all__ = ["Beginnings", "beginnings_of", "check_trees", "refuse_other_structures"]
