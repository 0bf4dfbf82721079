"""Random programs in torch, through the NumPy names that torch has for its tensors (`torch._numpy`)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
import torch._numpy as tnp

from .language import Program
from .running import Namespace
from .vocabulary import CUSTOM, PLAIN

# Rules of users are those of NumPy functions: torch takes the functions. It has no negative steps and no `reduce`.
TEXTS = {text: PLAIN[text] for text in CUSTOM if "custom_" in text} | {
    "{0}[::-1]": "np.flip({0}, 0)",
    "{0}[..., ::-2]": "np.flip({0}, -1)[..., ::2]",
    "np.add.reduce({0})": "np.sum({0}, axis=0)",
}


def tensor(value: Any) -> Any:
    """A value of torch."""
    return tnp.asarray(value).tensor


def on_tensors(f: Callable[..., Any]) -> Callable[..., Any]:
    """A function of arrays as one of tensors."""
    return lambda *tensors: tensor(f(*map(tnp.asarray, tensors)))


def grad(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The gradient function."""
    return lambda z: tnp.asarray(torch.func.grad(on_tensors(f))(tensor(z)))


def jvp(f: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
    """The value, and the derivative along the tangents."""
    found = torch.func.jvp(on_tensors(f), tuple(map(tensor, primals)), tuple(map(tensor, tangents)))
    return tuple(map(tnp.asarray, found))


def pulled(f: Callable[..., Any], z: Any) -> Any:
    """The cotangent of `z` for a cotangent that is the cosine of the value."""
    y, pullback = torch.func.vjp(on_tensors(f), tensor(z))
    return tnp.asarray(pullback(torch.cos(y))[0])


def vmap(f: Callable[[Any], Any], in_axes: int = 0, out_axes: int = 0) -> Callable[[Any], Any]:
    """The function of each row, one after another: torch's own refuses decisions."""

    def each(x: Any) -> Any:
        rows = [tnp.asarray(f(row)) for row in tnp.moveaxis(tnp.asarray(x), in_axes, 0)]
        return tnp.moveaxis(tnp.stack(rows), 0, out_axes)

    return each


def while_loop(going: Callable[[Any], Any], f: Callable[[Any], Any], state: Any) -> Any:
    """A loop."""
    while going(state):
        state = f(state)
    return state


def scan(f: Callable[..., Any], carry: Any, rows: Any) -> Any:
    """A loop over rows."""
    found, carry = [], tnp.float64(carry)
    for row in rows:
        carry, y = f(carry, row)
        found.append(y)
    return carry, tnp.stack(found)


def detach(x: Any) -> Any:
    """A constant."""
    return tnp.asarray(tensor(x).detach())


def scatter_add(x: Any, indices: Any, updates: Any, axis: int) -> Any:
    """Rows with something added to them."""
    whole = tensor(x)
    places = torch.as_tensor(np.asarray(indices))
    return tnp.asarray(whole.index_add(axis, places, torch.full((len(places), *whole.shape[1:]), updates).to(whole)))


def of(f: Callable[[Any, int], Any]) -> Callable[[Any], Any]:
    """A function of tensors, on the last axis of arrays."""
    return lambda x: tnp.asarray(f(tensor(x), -1))


def whole(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A function of tensors, on arrays of floats."""
    return lambda x: tnp.asarray(f(tensor(x)))


TAPEM = SimpleNamespace(
    relu=whole(torch.relu), sigmoid=whole(torch.sigmoid), softplus=lambda x: tnp.logaddexp(x, tnp.asarray(0.0)),
    silu=whole(torch.nn.functional.silu), softmax=of(torch.softmax), log_softmax=of(torch.log_softmax),
    logsumexp=lambda x: tnp.asarray(torch.logsumexp(tensor(x).reshape(-1), 0)), detach=detach, grad=grad, jvp=jvp,
    vmap=vmap, checkpoint=lambda f: f, while_loop=while_loop, scan=scan, scatter_add=scatter_add,
    linearize=lambda f, x: (f(x), lambda v: jvp(f, (x,), (v,))[1]),
    no_grad=lambda f: detach(f()),
    cond=lambda where, one, other, *operands: (one if where else other)(*operands),
    fori_loop=lambda low, high, f, state: functools.reduce(lambda s, i: f(i, s), range(low, high), state),
)  # fmt: skip


class Names:
    """`torch._numpy`, whose `stack` takes numbers as well, and whose `outer` flattens as NumPy's does."""

    def __getattr__(self, name: str) -> Any:
        return getattr(tnp, name)

    @staticmethod
    def stack(values: Sequence[Any], axis: int = 0) -> Any:
        return tnp.stack([tnp.asarray(value) for value in values], axis)

    @staticmethod
    def outer(a: Any, b: Any) -> Any:
        return tnp.outer(tnp.ravel(a), tnp.ravel(b))


def literal(value: Any) -> Any:
    """A literal: arrays are torch's, numbers remain what they are."""
    if isinstance(value, np.ndarray):
        return tnp.asarray(torch.as_tensor(np.ascontiguousarray(value).reshape(value.shape)))
    return value.item() if isinstance(value, np.generic) else value


NAMES = Namespace(
    {
        "np": Names(), "tm": TAPEM, "pulled": pulled, "in_thread": lambda f, z: f(z),
        "in_thread_of_context": lambda f, z: f(z), "silently": lambda f, z: detach(f(z)),
    },
    TEXTS, literal,
)  # fmt: skip


def gradient(y: Any, x: Any, again: bool) -> Any:
    """The gradient of a number, zeros where it does not depend on x."""
    if not y.requires_grad:
        return torch.zeros_like(x)
    found = torch.autograd.grad(y, x, create_graph=again, allow_unused=True)[0]
    return torch.zeros_like(x) if found is None else found


def derivatives(program: Program, order: int) -> Any:
    """The values and gradients at all points, and at the first one the second derivatives along a vector."""
    f, values, gradients, second = NAMES.run(program), [], [], []
    for place, point in enumerate(program.points):
        x = torch.tensor(point, dtype=torch.float64, requires_grad=True)
        y = tensor(f(tnp.asarray(x)))
        twice = order > 1 and place == 0
        slope = gradient(y[0] + 0.3 * y[1], x, twice)
        if twice:
            v = torch.cos(1.0 + torch.arange(float(len(point)), dtype=torch.float64))
            second = [gradient(slope @ v, x, False).numpy()]
        values.append(y.detach().numpy())
        gradients.append(slope.detach().numpy())
    return np.stack(values), np.stack(gradients), *second


def answers(programs: Sequence[Program], order: int) -> list[Any]:
    """What torch gives for each program, or the error that it raises."""
    found: list[Any] = []
    for program in programs:
        try:
            found.append(derivatives(program, order))
        except Exception as error:  # whatever torch does not take
            found.append(error)
    return found


__all__ = ["answers"]
