"""The optimizers: the base class holds what they share; each one says how one array of parameters moves."""

# The names are in lower case, because users call these classes like functions that return optimizers.

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn, TypeAlias

import numpy as np

from tapem.core import Structure, leaves_like, tree_flatten, tree_unflatten
from tapem.errors import ArgumentError, DTypeError, ShapeError, TreeError
from tapem.ops import astype, norm, stack
from tapem.optim.numbers import chosen, fitting, is_unknown, square_root
from tapem.optim.schedules import Schedule, require
from tapem.types import is_inexact

# A learning rate: a number, or a function of the number of updates already made.
Rate: TypeAlias = float | Schedule
# Any nesting of dict, list, tuple, NamedTuple and dataclass of float arrays.
Tree: TypeAlias = Any


_HALF = np.dtype(np.float16)


def _is_half(x: Any) -> bool:
    return getattr(x, "dtype", None) == _HALF


def _room(fresh: Any, other: Any = 0.0) -> Any:
    """The `out` for an operation on an intermediate result and `other`: the result's own memory, or None.

    It is None for NumPy scalars and tracers, which have no memory of their own.
    """
    return fresh if type(fresh) is np.ndarray and type(other) in (np.ndarray, float) else None


class Optimizer(ABC):
    """The base of all optimizers: it flattens trees and calls `leaf` once for every array of parameters.

    Parameters of float16 are updated in float32 and then rounded, and their slots are float32, since float16 cannot
    hold the square of a gradient of 1e-4 or an eps of 1e-8. There is no float32 copy of the parameters, so steps of
    less than a thousandth of them are lost; to train with such steps, keep the parameters in float32.

    Complex parameters move along the conjugate of the gradient that `grad` gives, so that a real loss descends; what is
    squared is its absolute value.

    A new optimizer is a frozen dataclass with `lr`, the names of its `slots` (arrays that it keeps for each array of
    parameters, zeros at first) and `leaf`.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class sign_descent(Optimizer):
    ...     lr: Rate
    ...     def leaf(self, param, grad, rate, step):
    ...         return (param - rate * np.sign(grad),)
    >>> optimizer = sign_descent(0.5)
    >>> params = [np.array([1.0, 1.0])]
    >>> optimizer.update([np.array([3.0, -0.1])], optimizer.init(params), params)[0]
    [array([0.5, 1.5])]
    """

    slots: ClassVar[tuple[str, ...]] = ()
    lr: Rate

    def memory(self) -> tuple[str, ...]:
        """The names of the slots in use; a subclass that does not need all of them overrides this."""
        return self.slots

    def init(self, params: Tree) -> dict[str, Any]:
        """The state before the first update: `step`, the number of updates, and for each slot a tree like params."""
        leaves, structure = tree_flatten(params)
        kinds = [np.float32 if _is_half(leaf) else None for leaf in leaves]
        zeros = {
            name: tree_unflatten(structure, list(map(np.zeros_like, leaves, kinds)))  # pyright: ignore
            for name in self.memory()
        }
        return {"step": 0, **zeros}

    def update(self, grads: Tree, state: dict[str, Any], params: Tree) -> tuple[Tree, dict[str, Any]]:
        """Return new parameters and the new state; the arguments are not changed.

        Raises TreeError if grads, params and state have different structures, ShapeError if a gradient or a slot has
        another shape than its parameters.
        """
        leaves, structure = tree_flatten(params)
        gradients = leaves_like(structure, grads, "the parameters and their gradients")
        names = self.memory()
        if type(state) is not dict or len(state) != len(names) + 1 or any(name not in state for name in names):
            entries = ", ".join(("step", *names))
            raise TreeError(f"{self!r}: the state must have the entries {entries}, as init(params) makes them.")
        remembered = [leaves_like(structure, state[name], f"the parameters and the state {name!r}") for name in names]
        step = state["step"]
        rate = self.rate(step)
        rows: list[tuple[Any, ...]] = []
        for position, (param, grad, *slots) in enumerate(zip(leaves, gradients, *remembered, strict=True)):
            if type(param) in (float, int, complex):
                param = np.asarray(param)[()]
            if type(grad) in (float, int, complex):
                grad = np.asarray(grad)[()]
            if half := _is_half(param):
                param, *slots = (x.astype(np.float32) for x in (param, *slots))
            for name, slot in zip(names, slots, strict=True):
                if getattr(slot, "shape", ()) != param.shape:
                    _refuse(f"state {name!r}", slot.shape, param, position, structure)
            if grad.dtype is not param.dtype or grad.shape != param.shape:
                grad = _fitted(param, grad, position, structure)
            if grad.dtype.kind == "c":  # df/dx - i df/dy points uphill along its conjugate
                grad = np.conjugate(grad)
            row = self.leaf(param, grad, rate, step, *slots)
            rows.append((row[0].astype(_HALF), *row[1:]) if half else row)
        columns = [tree_unflatten(structure, column) for column in zip(*rows, strict=True)]
        updated, *memories = columns or [params] * (1 + len(names))  # a tree without leaves stays as it is
        return updated, {"step": step + 1, **dict(zip(names, memories, strict=True))}

    def rate(self, step: Any) -> Any:
        """The learning rate of the next update; in a compiled update a number that is not known."""
        if is_unknown(step):
            return self.lr(step) if callable(self.lr) else self.lr
        return float(self.lr(int(step)) if callable(self.lr) else self.lr)

    @abstractmethod
    def leaf(self, param: Any, grad: Any, rate: float, step: int, *slots: Any) -> tuple[Any, ...]:
        """The new value of one array of parameters, followed by the new value of each slot."""


def _fitted(param: Any, grad: Any, position: int, structure: Structure) -> Any:
    """Convert a gradient to the dtype of its parameters, so that float32 parameters stay float32.

    Raises ShapeError or DTypeError if it does not fit.
    """
    if grad.shape != param.shape:
        _refuse("gradient", grad.shape, param, position, structure)
    if not is_inexact(param.dtype):
        raise DTypeError(
            f"update: leaf {position} of the parameters is {param.dtype}; only floats and complex numbers can be "
            "optimized."
        )
    if grad.dtype.kind == "c" and param.dtype.kind != "c":
        raise DTypeError(
            f"update: the gradient of leaf {position} is {grad.dtype}, but the parameter is {param.dtype}, which is "
            "real. Give its real part, .real."
        )
    return grad.astype(param.dtype)


def _refuse(kind: str, shape: tuple[int, ...], param: Any, position: int, structure: Structure) -> NoReturn:
    """Raise ShapeError for a gradient or a slot (its `kind`) that does not fit its leaf of the parameters."""
    path = tree_unflatten(structure, list(range(structure.num_leaves)))
    raise ShapeError(
        f"update: the {kind} of leaf {position} has shape {shape}, but the parameter has {param.shape} "
        f"(leaves are numbered {path!r})."
    )


def _decayed(param: Any, grad: Any, weight_decay: float) -> Any:
    """The gradient of the loss plus `weight_decay / 2` times the squared norm of the parameters."""
    if weight_decay == 0:
        return grad
    total = param * weight_decay
    return np.add(total, grad, out=_room(total, grad))


def _mixed(average: Any, new: Any, decay: float) -> Any:
    """The moving average `decay * average + (1 - decay) * new`."""
    total, share = average * decay, new * (1 - decay)
    return np.add(total, share, out=_room(total, share))


def _squared(x: Any) -> Any:
    """The square of the absolute value, in the dtype of x."""
    return x * np.conjugate(x) if x.dtype.kind == "c" else np.square(x)


def _stepped(param: Any, direction: Any, rate: float) -> Any:
    """The parameters moved by `-rate * direction`, in one temporary array."""
    change = direction * fitting(rate, direction)
    return np.subtract(param, change, out=_room(change, param))


@dataclass(frozen=True)
class sgd(Optimizer):
    """Stochastic gradient descent: `p - lr g`, with momentum `v = momentum v + g` and `p - lr v` if it is not 0.

    With `nesterov` the step is along `g + momentum v`. `weight_decay` adds `weight_decay p` to the gradient.
    Source: torch.optim.SGD (with dampening 0); Sutskever et al. 2013.

    >>> optimizer = sgd(0.1)
    >>> params = {"w": np.array([1.0, 2.0])}
    >>> params, state = optimizer.update({"w": np.array([10.0, 0.0])}, optimizer.init(params), params)
    >>> params, state
    ({'w': array([0., 2.])}, {'step': 1})
    """

    lr: Rate
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0

    slots = ("momentum",)

    def __post_init__(self) -> None:
        """Check the numbers."""
        _check_rate("sgd", self.lr)
        require(0 <= self.momentum < 1, "sgd: momentum", self.momentum, "within [0, 1)")
        require(self.weight_decay >= 0, "sgd: weight_decay", self.weight_decay, "at least 0")
        if self.nesterov and self.momentum == 0:
            raise ArgumentError("sgd: nesterov needs a momentum greater than 0.")

    def memory(self) -> tuple[str, ...]:
        """The velocity, if there is momentum."""
        return self.slots if self.momentum else ()

    def leaf(self, param: Any, grad: Any, rate: float, step: int, *slots: Any) -> tuple[Any, ...]:
        """The new parameters, and the new velocity if there is momentum."""
        if self.weight_decay:
            grad = _decayed(param, grad, self.weight_decay)
        if not slots:
            return (_stepped(param, grad, rate),)
        velocity = slots[0] * self.momentum
        velocity = np.add(velocity, grad, out=_room(velocity, grad))
        direction = grad + self.momentum * velocity if self.nesterov else velocity
        return _stepped(param, direction, rate), velocity


@dataclass(frozen=True)
class adam(Optimizer):
    """Adam: steps along the mean of the gradient, divided by the root of the mean of its square, both bias-corrected.

    `weight_decay` adds `weight_decay p` to the gradient; for decoupled decay see `adamw`.
    Source: torch.optim.Adam; Kingma and Ba 2015, algorithm 1.

    >>> optimizer = adam(0.1)
    >>> params, state = optimizer.update([np.array([3.0])], optimizer.init([np.array([1.0])]), [np.array([1.0])])
    >>> params[0].round(6), state["step"], sorted(state)
    (array([0.9]), 1, ['mean', 'square', 'step'])
    """

    lr: Rate = 1e-3
    b1: float = 0.9
    b2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0

    slots = ("mean", "square")

    def __post_init__(self) -> None:
        """Check the numbers."""
        name = type(self).__name__
        _check_rate(name, self.lr)
        require(0 <= self.b1 < 1, f"{name}: b1", self.b1, "within [0, 1)")
        require(0 <= self.b2 < 1, f"{name}: b2", self.b2, "within [0, 1)")
        require(self.eps >= 0, f"{name}: eps", self.eps, "at least 0")
        require(self.weight_decay >= 0, f"{name}: weight_decay", self.weight_decay, "at least 0")

    def leaf(self, param: Any, grad: Any, rate: float, step: int, *slots: Any) -> tuple[Any, ...]:
        """The new parameters, and the new means of the gradient and of its square."""
        return self.moved(param, _decayed(param, grad, self.weight_decay), rate, step, *slots)

    def moved(self, param: Any, grad: Any, rate: float, step: int, mean: Any, square: Any) -> tuple[Any, ...]:
        """The step itself, without weight decay."""
        mean = _mixed(mean, grad, self.b1)
        square = _mixed(square, _squared(grad), self.b2)
        root = np.sqrt(square)
        root = np.divide(root, fitting(square_root(1 - self.b2 ** (step + 1)), root), out=_room(root))
        root = np.add(root, self.eps, out=_room(root))
        direction = np.divide(mean, root, out=_room(root, mean))
        return _stepped(param, direction, rate / (1 - self.b1 ** (step + 1))), mean, square


@dataclass(frozen=True)
class adamw(adam):
    """Adam with decoupled weight decay: the parameters shrink by `lr weight_decay` before Adam's step.

    Source: torch.optim.AdamW; Loshchilov and Hutter 2019.

    >>> optimizer = adamw(0.1, weight_decay=0.5)
    >>> optimizer.update([np.array([0.0])], optimizer.init([np.array([1.0])]), [np.array([1.0])])[0]
    [array([0.95])]
    """

    weight_decay: float = 0.01

    def leaf(self, param: Any, grad: Any, rate: float, step: int, *slots: Any) -> tuple[Any, ...]:
        """The new parameters, and the new means of the gradient and of its square."""
        return self.moved(param * fitting(1 - rate * self.weight_decay, param), grad, rate, step, *slots)


@dataclass(frozen=True)
class rmsprop(Optimizer):
    """RMSprop: steps along the gradient, divided by the root of the moving mean of its square, with optional momentum.

    Source: torch.optim.RMSprop, where `decay` is called alpha; Tieleman and Hinton 2012, lecture 6.5.

    >>> optimizer = rmsprop(0.1, decay=0.75)
    >>> optimizer.update([np.array([4.0])], optimizer.init([np.array([1.0])]), [np.array([1.0])])[0][0].round(6)
    array([0.8])
    """

    lr: Rate = 1e-2
    decay: float = 0.99
    eps: float = 1e-8
    momentum: float = 0.0
    weight_decay: float = 0.0

    slots = ("square", "momentum")

    def __post_init__(self) -> None:
        """Check the numbers."""
        _check_rate("rmsprop", self.lr)
        require(0 <= self.decay < 1, "rmsprop: decay", self.decay, "within [0, 1)")
        require(self.eps >= 0, "rmsprop: eps", self.eps, "at least 0")
        require(0 <= self.momentum < 1, "rmsprop: momentum", self.momentum, "within [0, 1)")
        require(self.weight_decay >= 0, "rmsprop: weight_decay", self.weight_decay, "at least 0")

    def memory(self) -> tuple[str, ...]:
        """The mean square, and the velocity if there is momentum."""
        return self.slots if self.momentum else self.slots[:1]

    def leaf(self, param: Any, grad: Any, rate: float, step: int, *slots: Any) -> tuple[Any, ...]:
        """The new parameters, the new mean square, and the new velocity if there is momentum."""
        grad = _decayed(param, grad, self.weight_decay)
        square = _mixed(slots[0], _squared(grad), self.decay)
        direction = _divided_by_root(grad, square, self.eps)
        if len(slots) == 1:
            return _stepped(param, direction, rate), square
        velocity = slots[1] * self.momentum
        velocity = np.add(velocity, direction, out=_room(velocity, direction))
        return _stepped(param, velocity, rate), square, velocity


@dataclass(frozen=True)
class adagrad(Optimizer):
    """Adagrad: steps along the gradient, divided by the root of the sum of all its squares so far.

    Source: torch.optim.Adagrad; Duchi, Hazan and Singer 2011.

    >>> optimizer = adagrad(0.1)
    >>> optimizer.update([np.array([4.0])], optimizer.init([np.array([1.0])]), [np.array([1.0])])[0][0].round(6)
    array([0.9])
    """

    lr: Rate = 1e-2
    eps: float = 1e-10
    weight_decay: float = 0.0

    slots = ("square",)

    def __post_init__(self) -> None:
        """Check the numbers."""
        _check_rate("adagrad", self.lr)
        require(self.eps >= 0, "adagrad: eps", self.eps, "at least 0")
        require(self.weight_decay >= 0, "adagrad: weight_decay", self.weight_decay, "at least 0")

    def leaf(self, param: Any, grad: Any, rate: float, step: int, *slots: Any) -> tuple[Any, ...]:
        """The new parameters and the new sum of squares."""
        grad = _decayed(param, grad, self.weight_decay)
        square = _squared(grad)
        square = np.add(square, slots[0], out=_room(square, slots[0]))
        return _stepped(param, _divided_by_root(grad, square, self.eps), rate), square


def _divided_by_root(grad: Any, square: Any, eps: float) -> Any:
    root = np.sqrt(square)
    root = np.add(root, eps, out=_room(root))
    return np.divide(grad, root, out=_room(root, grad))


def _check_rate(name: str, lr: Any) -> None:
    number = np.ndim(lr) == 0 and np.asarray(lr).dtype.kind in "iuf"
    require(callable(lr) or (number and lr >= 0), f"{name}: lr", lr, "a number that is at least 0, or a schedule")


def global_norm(tree: Tree) -> float:
    """The Euclidean norm of all elements of a tree, computed in float64.

    >>> global_norm({"w": np.array([3.0]), "b": np.array([[4.0]])})
    5.0
    """
    leaves = map(np.asarray, tree_flatten(tree)[0])
    return math.hypot(*(float(norm(leaf.astype(np.result_type(leaf.dtype, np.float64)))) for leaf in leaves))


def clip_by_global_norm(grads: Tree, limit: float) -> Tree:
    """Scale gradients down together if their global norm exceeds the limit.

    Raises ArgumentError if the limit is not positive. Source: Pascanu et al. 2013; unlike torch's
    `clip_grad_norm_`, gradients within the limit are returned unchanged.

    >>> clip_by_global_norm([np.array([3.0]), np.array([4.0])], 1.0)
    [array([0.6]), array([0.8])]
    """
    require(limit > 0, "clip_by_global_norm: limit", limit, "positive")
    leaves, structure = tree_flatten(grads)
    if any(map(is_unknown, leaves)):
        return tree_unflatten(structure, _clipped(leaves, limit))
    length = global_norm(grads)
    if length <= limit:
        return grads
    return tree_unflatten(structure, [leaf * (limit / length) for leaf in leaves])


def _clipped(leaves: Sequence[Any], limit: float) -> list[Any]:
    """The same for gradients that are not known yet."""
    wide: list[Any] = [astype(leaf, np.result_type(leaf.dtype, np.float64)) for leaf in leaves]
    norms: list[Any] = [norm(x) for x in wide]
    length: Any = norm(stack(norms))
    factor = chosen(length <= limit, 1.0, limit / length)
    return [leaf * fitting(factor, leaf) for leaf in leaves]


__all__ = [
    "Optimizer",
    "adagrad",
    "adam",
    "adamw",
    "clip_by_global_norm",
    "global_norm",
    "rmsprop",
    "sgd",
]
