"""Layer: an immutable description of a function with parameters; and Sequential, layers one after another.

A layer holds no arrays. `init` draws a tree of parameters, `apply` is a pure function of parameters and input. A layer
defines its computation once, in `forward`, as plain code on arrays; `apply` runs it through the door of its arguments.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias, overload

import numpy.typing as npt

import tapem as tm
from layers.checking import Beginnings, beginnings_of, check_trees, refuse_other_structures
from layers.overriding import adapt
from layers.shapes import ANY, Pattern, check_pattern, misfit, shown
from tapem import ArgumentError, Ref, ShapeError, TapeError, TapeM
from tapem.display import Displayed

Array: TypeAlias = npt.NDArray[Any]
# A tree of arrays: what `init` gives, and what optimizers and `tm.grad` take and give back.
Params: TypeAlias = "Array | Mapping[str, Params] | Sequence[Params]"
# A value without parameters, or without state: an empty tree.
EMPTY: tuple[()] = ()
# What asks for a step.
MONADIC = (Ref, TapeM)


def is_empty(tree: Any) -> bool:
    """Whether a tree is EMPTY; unlike `==`, this does not compare arrays.

    >>> is_empty(EMPTY), is_empty({"mean": 0.0})
    (True, False)
    """
    return isinstance(tree, tuple) and not tree


class Part(NamedTuple):
    """A layer within another one, with its own parameters and the shape of its input.

    >>> from layers import Linear, Relu
    >>> model = Linear(4, 8) >> Relu()
    >>> [(part.layer, part.input_shape) for part in model.parts(model.init(tm.random.key(0)), (None, 4))]
    [(Linear(4, 8), (None, 4)), (Relu(), (None, 8))]
    """

    layer: Layer
    params: Any
    input_shape: Pattern


class Layer(Displayed):
    """The base of all layers; a new one is a frozen dataclass with `forward` and the methods that differ from these.

    - `takes`: the shape that inputs must have, as a pattern (see `layers.shapes`); by default any.
    - `output_shape`: the shape of the output; by default that of the input.
    - `init`: the first parameters; by default none.
    - `forward`: the value, written with NumPy or tapem's ops for arrays.
    - A layer with state (running statistics) overrides `init_state`, and `step` in place of `forward`.
    - A layer made of layers calls their `as_part`, and lists them in `parts`.

    Or it overrides `init(key)`, `apply(params, x)` and `output_shape(input_shape)`, the three methods that users call;
    `apply` gets `key`, `train` and `state` if it has parameters of these names. Either way a layer composes and works
    through all three doors, with its parameters and its state checked.

    >>> import numpy as np
    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Scale(Layer):
    ...     size: int
    ...     def init(self, key, input_shape=None):
    ...         return {"scale": np.ones(self.size)}
    ...     def forward(self, params, x, *, key=None, train=False):
    ...         return params["scale"] * x
    >>> model = Scale(2) >> Scale(2)
    >>> model.apply(model.init(tm.random.key(0)), np.array([1.0, 2.0]))
    array([1., 2.])
    """

    def __init_subclass__(cls, **options: Any) -> None:
        """Adapt the methods that a new layer overrides; see `layers.overriding`."""
        super().__init_subclass__(**options)
        adapt(cls)

    def __getstate__(self) -> dict[str, Any]:
        """The state to pickle, without cached values."""
        return {name: value for name, value in vars(self).items() if name != "beginnings"}

    @property
    def takes(self) -> Pattern:
        """The shape that inputs must have."""
        return ANY

    def output_shape(self, input_shape: Pattern) -> Pattern:
        """The shape of the output for an input of this shape, batch axes included.

        Unknown sizes may be None, and leading axes `...`. Raises ShapeError if the layer does not take the shape.
        """
        self.check_input(input_shape)
        return input_shape

    def check_input(self, input_shape: Pattern) -> None:
        """Raise ShapeError if the layer does not take inputs of this shape."""
        reason = misfit(check_pattern(input_shape), self.takes)
        if reason is not None:
            raise ShapeError(f"{self!r} takes {shown(self.takes)}, not {shown(input_shape)}: {reason}.")

    def init(self, key: Array, input_shape: Pattern | None = None) -> Params:
        """Draw the first parameters with the key; `input_shape`, if given, is checked against the layer."""
        if input_shape is not None:
            self.check_input(input_shape)
        return EMPTY

    def init_state(self) -> Any:
        """The first state: an empty tree, unless the layer has state."""
        return EMPTY

    @property
    def has_state(self) -> bool:
        """Whether the layer has state, such as running statistics."""
        return not is_empty(self.init_state())

    def parts(self, params: Any, input_shape: Pattern) -> Sequence[Part]:
        """The layers that this one consists of, each with its parameters and its input shape; here none."""
        return ()

    def forward(self, params: Any, x: Any, *, key: Any = None, train: bool = False) -> Any:
        """The value for arrays or tracers; overridden by every layer without state."""
        raise NotImplementedError(f"{type(self).__name__} has none of forward, step and apply")

    def step(self, params: Any, state: Any, x: Any, *, key: Any = None, train: bool = False) -> tuple[Any, Any]:
        """The value and the new state; overridden by layers with state, and by layers made of layers."""
        return self.forward(params, x, key=key, train=train), state

    def as_part(self, params: Any, state: Any, x: Any, *, key: Any = None, train: bool = False) -> tuple[Any, Any]:
        """The value and the new state, called by a layer that contains this one and has checked params and state."""
        if type(self).apply is not Layer.apply:
            if is_empty(state):
                return self.apply(params, x, key=key, train=train), state
            found: Any = self.apply(params, x, key=key, train=train, state=state)
        else:
            found = self.step(params, state, x, key=key, train=train)
        return found if type(found) is tuple and len(found) == 2 and found[0] is not None else self._pair(found)

    def _pair(self, found: Any) -> tuple[Any, Any]:
        """Check that a user's layer returned a value and a new state. Raises ArgumentError otherwise."""
        if type(found) is not tuple or len(found) != 2:
            raise ArgumentError(f"{self!r} must return (value, new state), but returned {found!r}.")
        if found[0] is None:
            raise ArgumentError(f"{self!r} returned None for a value: a `return` is missing.")
        return found

    @overload
    def apply(self, params: Params, x: Array, *, key: Array | None = None, train: bool = False) -> Array: ...
    @overload
    def apply(self, params: Any, x: Ref | TapeM[Ref], *, key: Any = None, train: bool = False) -> TapeM[Ref]: ...
    @overload
    def apply(self, params: Any, x: Any, *, key: Any = None, train: bool = False, state: Any = None) -> Any: ...
    def apply(self, params: Any, x: Any, *, key: Any = None, train: bool = False, state: Any = None) -> Any:
        """The value of the layer: an array, a tracer or a step, depending on params and x.

        `key` is for layers that draw random numbers, `train` for layers that work differently in training. With the
        `state` of a model that has one, the result is `(value, new state)`.

        Raises ArgumentError if the model has state and none is given, ShapeError if x or params do not fit.
        """
        options = {"train": train} if key is None else {"train": train, "key": key}
        return self.entered(self._run, params, x, state, options)

    def entered(self, body: Callable[..., Any], params: Any, x: Any, state: Any, options: dict[str, Any]) -> Any:
        """Run `body`, which computes the result of `apply`, through the door of its arguments."""
        given = EMPTY if state is None else state
        leaves, structure = tm.tree_flatten((params, given))
        every = leaves + tm.tree_flatten(x)[0]
        for value in options.values():
            every += tm.tree_flatten(value)[0]
        if any([isinstance(leaf, MONADIC) for leaf in every]):
            return tm.lift(functools.partial(self.entered, body))(params, x, state, options)
        if not self.beginnings.have_form(leaves, structure):
            if is_empty(given) and self.has_state:
                raise ArgumentError(
                    f"{self!r} has state: start from model.init_state(), and call apply(..., state=state), which "
                    "returns (value, new state)."
                )
            check_trees(self, params, given, x)
        try:
            found = body(params, x, **options) if state is None else body(params, x, state=state, **options)
        except (KeyError, IndexError, TypeError) as error:  # Python's errors for a tree of another structure
            if not isinstance(error, TapeError):
                refuse_other_structures(self, params, given)
            raise
        if state is not None:
            return self._pair(found)
        return found if found is not None else self._pair((found, EMPTY))

    def _run(self, params: Any, x: Any, *, key: Any = None, train: bool = False, state: Any = None) -> Any:
        """The result of `apply`, computed by `step`."""
        if state is None:
            return self._pair(self.step(params, EMPTY, x, key=key, train=train))[0]
        return self.step(params, state, x, key=key, train=train)

    @functools.cached_property
    def beginnings(self) -> Beginnings:
        """The form of the first parameters and the first state."""
        return beginnings_of(self)

    def __rshift__(self, other: Layer) -> Sequential:
        """This layer, then the other one; `>>` is associative, and its result is flat."""
        if not isinstance(other, Layer):
            return NotImplemented
        parts = [layer.layers if isinstance(layer, Sequential) else (layer,) for layer in (self, other)]
        return Sequential(*parts[0], *parts[1])


@dataclass(frozen=True, init=False, repr=False)
class Sequential(Layer):
    """Layers one after another; its parameters are the tuple of theirs. Also written `a >> b`.

    The constructor raises ShapeError if a layer does not take the output of the one before.

    >>> from layers import Linear, Relu
    >>> model = Linear(4, 8) >> Relu() >> Linear(8, 2)
    >>> model.output_shape((32, 4))
    (32, 2)
    >>> Linear(4, 8) >> Relu() >> Linear(7, 2)
    Traceback (most recent call last):
    tapem.errors.ShapeError: layer 2, Linear(7, 2), takes (..., 7), but layer 0, Linear(4, 8), gives (..., 8): ...
    """

    layers: tuple[Layer, ...]

    def __init__(self, *layers: Layer) -> None:
        """Compose the layers in this order."""
        for layer in layers:
            if not isinstance(layer, Layer):
                raise ArgumentError(f"Sequential is made of layers, but was given {layer!r}.")
        object.__setattr__(self, "layers", layers)
        self._shapes(self.takes)

    def __repr__(self) -> str:
        return f"Sequential({', '.join(map(repr, self.layers))})"

    def __len__(self) -> int:
        return len(self.layers)

    @overload
    def __getitem__(self, index: int) -> Layer: ...
    @overload
    def __getitem__(self, index: slice) -> Sequential: ...
    def __getitem__(self, index: int | slice) -> Layer:
        return Sequential(*self.layers[index]) if isinstance(index, slice) else self.layers[index]

    @property
    def takes(self) -> Pattern:
        """The shape that the first layer with a requirement takes, if all layers before it take any shape."""
        for layer in self.layers:
            if layer.takes != ANY or type(layer).output_shape is not Layer.output_shape:
                return layer.takes
        return ANY

    def _shapes(self, input_shape: Pattern) -> list[Pattern]:
        """The shape before each layer, and after the last."""
        shapes: list[Pattern] = [input_shape]
        for position, layer in enumerate(self.layers):
            shape = shapes[-1]
            reason = misfit(shape, layer.takes)
            if reason is not None:
                raise ShapeError(self._complaint(shapes, position, reason))
            shapes.append(layer.output_shape(shape))
        return shapes

    def _complaint(self, shapes: list[Pattern], position: int, reason: str) -> str:
        layer, given = self.layers[position], shapes[position]
        what = f"layer {position}, {layer!r}, takes {shown(layer.takes)}"
        # Name the layer that made this shape, not a relu in between.
        makers = [i for i in range(position) if shapes[i + 1] != shapes[i] or self.layers[i].takes != ANY]
        if not makers:
            return f"{what}, but the input has shape {shown(given)}: {reason}"
        maker = makers[-1]
        return f"{what}, but layer {maker}, {self.layers[maker]!r}, gives {shown(given)}: {reason}"

    def output_shape(self, input_shape: Pattern) -> Pattern:
        """The output shape of the last layer for an input of this shape."""
        return self._shapes(check_pattern(input_shape))[-1]

    def init(self, key: Array, input_shape: Pattern | None = None) -> tuple[Params, ...]:
        """The first parameters of every layer, each drawn with its own key."""
        shapes = self._shapes(self.takes if input_shape is None else check_pattern(input_shape))
        keys = tm.random.split(key, len(self.layers))
        return tuple(
            layer.init(own, None if input_shape is None else shape)
            for layer, own, shape in zip(self.layers, keys, shapes, strict=False)
        )

    def init_state(self) -> tuple[Any, ...]:
        """The first state of every layer."""
        states = tuple(layer.init_state() for layer in self.layers)
        return EMPTY if all(map(is_empty, states)) else states

    def parts(self, params: Any, input_shape: Pattern) -> Sequence[Part]:
        """The layers in their order."""
        return tuple(map(Part, self.layers, params, self._shapes(input_shape)))

    def forward(self, params: Any, x: Any, *, key: Any = None, train: bool = False) -> Any:
        """The value of the last layer."""
        return self.step(params, EMPTY, x, key=key, train=train)[0]

    def step(self, params: Any, state: Any, x: Any, *, key: Any = None, train: bool = False) -> tuple[Any, Any]:
        """The value of the last layer, and the new state of every layer."""
        stateless = is_empty(state)
        states = (EMPTY,) * len(self.layers) if stateless else state
        for name, tree in (("params", params), ("state", states)):
            if len(tree) != len(self.layers):
                raise ArgumentError(f"{self!r} has {len(self.layers)} layers, but {name} has {len(tree)} parts.")
        keys: Any = (None,) * len(self.layers) if key is None else tm.random.split(key, len(self.layers))
        after: list[Any] = []
        for layer, own, before, one in zip(self.layers, params, states, keys, strict=True):
            x, new = layer.as_part(own, before, x, key=one, train=train)
            after.append(new)
        return x, EMPTY if stateless else tuple(after)


__all__ = ["EMPTY", "Array", "Layer", "Params", "Part", "Sequential"]
