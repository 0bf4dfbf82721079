"""Parameters and state compared, name by name and shape by shape, with what a layer's `init` and `init_state` give.

Every call of a model makes this comparison, so what init gives is found out once for each layer: from its shapes alone
where it can be traced, and only its form is kept.
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
    """What has first parameters and a first state: a layer."""

    def init(self, key: Any, input_shape: Any = None) -> Any:
        """The first parameters."""
        ...

    def init_state(self) -> Any:
        """The first state."""
        ...


class Form(NamedTuple):
    """What two trees share that can stand for each other: the containers, and the shape of every leaf."""

    structure: Any
    shapes: tuple[tuple[int, ...], ...]


def form_of(tree: Any) -> Form:
    """The form of a tree; a leaf without a shape is a number."""
    leaves, structure = tm.tree_flatten(tree)
    return Form(structure, tuple([getattr(leaf, "shape", ()) for leaf in leaves]))


class Beginnings(NamedTuple):
    """What a layer's first parameters and first state look like; the first two are None if init minds the input.

    `form` is that of the pair of them, the others are shapes by their names.

    >>> import layers
    >>> beginnings_of(layers.BatchNorm(2)).params
    {'beta': (2,), 'gamma': (2,)}
    """

    form: Form | None
    params: Shapes | None
    state: Shapes

    def have_form(self, leaves: list[Any], structure: Any) -> bool:
        """Whether this is the pair of the parameters and the state of such a layer, taken apart."""
        return self.form is not None and self.form == (structure, tuple([getattr(x, "shape", ()) for x in leaves]))

    def have_shapes(self, params: Any, state: Any) -> bool:
        """The same by the names of the leaves: a list may stand for a tuple."""
        return tm.tree_shapes(params) == self.params and tm.tree_shapes(state) == self.state


def beginnings_of(layer: Begins, input_shape: tuple[int, ...] | None = None) -> Beginnings:
    """What a layer begins with, for inputs of this shape if it minds; equal layers share the answer."""
    try:
        hash(layer)
    except TypeError:  # a layer of the user's, with a list or an array among its fields
        return asked(layer, input_shape)
    return remembered(layer, input_shape)


def asked(layer: Begins, input_shape: tuple[int, ...] | None) -> Beginnings:
    """The same, found by asking the layer."""
    state = layer.init_state()
    try:
        params = first_params(layer)
    except (TapeError, TypeError):
        if input_shape is None:
            return Beginnings(None, None, tm.tree_shapes(state))
        params = first_params(layer, input_shape)
    return Beginnings(form_of((params, state)), tm.tree_shapes(params), tm.tree_shapes(state))


def first_params(layer: Begins, input_shape: tuple[int, ...] | None = None) -> Any:
    """A tree like the first parameters, of which nothing but the shapes counts: large ones need not be drawn."""
    init = layer.init if input_shape is None else functools.partial(layer.init, input_shape=input_shape)
    try:  # in a context of its own, where nobody watches or records
        return contextvars.Context().run(tm.eval_shape, init, KEY)
    except (TapeError, TypeError, ValueError, AttributeError):  # it draws with what takes no tracer for a key
        return init(KEY)


remembered = functools.lru_cache(maxsize=256)(asked)


def check_trees(layer: Any, params: Any, state: Any, x: Any) -> None:
    """ArgumentError or ShapeError where params or state are not those of the layer."""
    first, shape = layer.beginnings, getattr(x, "shape", None)
    if (beginnings_of(layer, shape) if first.params is None else first).have_shapes(params, state):
        return
    # What the layer begins with is asked for anew: nobody is refused on account of what was true before.
    wants = first_params(layer, shape)
    for name, given, wanted in (("params", params, wants), ("state", state, layer.init_state())):
        if tm.tree_shapes(given).keys() != tm.tree_shapes(wanted).keys():
            refuse_structure(layer, name, given, wanted)
        if problems := tm.tree_differences(given, wanted):
            raise ShapeError("\n  ".join([f"{complaint(layer, name)}: shapes differ", *problems]))


def refuse_other_structures(layer: Begins, params: Any, state: Any) -> None:
    """ArgumentError where params or state are not, container by container, what the layer begins with."""
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
    """The beginning of every message."""
    return f"{layer!r}: {name} is not what model.{'init' if name == 'params' else 'init_state'} gives"


__all__ = ["Beginnings", "beginnings_of", "check_trees", "refuse_other_structures"]
