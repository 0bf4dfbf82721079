"""One SGD step of a network, each from the last one's parameters: the part of a candidate that all networks share.

Each function makes the step of one library from ``loss_of(parameters) -> loss``, in the fastest way of that library.
"""

from collections.abc import Callable
from typing import Any

from ..libraries import load
from ..workload import Step

# Small, so that a hundred thousand steps on one batch neither diverge nor reach denormal numbers, which are slow.
LEARNING_RATE = 0.01


def tapem_step(loss_of: Callable[[Any], Any], parameters: Any, engine: str | None = None) -> Step:
    """The direct door, and the stock optimizer; with an engine the whole step is compiled."""
    import tapem as tm

    value_and_grad = tm.value_and_grad(loss_of)
    optimizer = tm.optim.sgd(LEARNING_RATE)
    state: Any = optimizer.init(parameters)

    def updated(parameters: Any, state: Any) -> tuple[Any, Any, Any]:
        loss, gradients = value_and_grad(parameters)
        return loss, *optimizer.update(gradients, state, parameters)

    run: Callable[..., Any] = updated if engine is None else tm.compile(updated, engine=engine)

    def step() -> tuple[Any, Any]:
        nonlocal parameters, state
        loss, parameters, state = run(parameters, state)
        return loss, parameters

    return step


def tapem_monadic_step(loss_and_gradients: Callable[[Any], Any], parameters: Any) -> Step:
    """The monadic door: a program from parameters to (loss, gradients) on an empty tape, and the stock optimizer."""
    import tapem as tm

    optimizer = tm.optim.sgd(LEARNING_RATE)
    state: Any = optimizer.init(parameters)

    def step() -> tuple[Any, Any]:
        nonlocal parameters, state
        (loss, gradients), tape = loss_and_gradients(parameters).run()
        parameters, state = optimizer.update(gradients, state, parameters)
        return tape.value(loss), parameters

    return step


def mygrad_step(loss_of: Callable[[Any], Any], parameters: Any) -> Step:
    """MyGrad: the update in place, as its manual does it."""

    def step() -> tuple[Any, Any]:
        loss = loss_of(parameters)
        loss.backward()
        for parameter in parameters:
            parameter.data -= LEARNING_RATE * parameter.grad
        return loss, parameters

    return step


def jax_step(loss_of: Callable[[Any], Any], parameters: Any) -> Step:
    """JAX: the whole step compiled at once, with the old parameters donated, so that their memory is used again."""
    jax = load("jax")

    def updated(parameters: Any) -> tuple[Any, Any]:
        loss, gradients = jax.value_and_grad(loss_of)(parameters)
        return loss, [p - LEARNING_RATE * g for p, g in zip(parameters, gradients, strict=True)]

    compiled = jax.jit(updated, donate_argnums=0)

    def step() -> tuple[Any, Any]:
        nonlocal parameters
        loss, parameters = jax.block_until_ready(compiled(parameters))
        return loss, parameters

    return step


def torch_step(loss_of: Callable[[Any], Any], parameters: Any) -> Step:
    """Torch's eager mode. The update is written out, which is faster here than torch.optim.SGD."""
    torch = load("torch")

    def step() -> tuple[Any, Any]:
        loss = loss_of(parameters)
        loss.backward()
        with torch.no_grad():
            for parameter in parameters:
                parameter.sub_(parameter.grad, alpha=LEARNING_RATE)
                parameter.grad = None
        return loss, parameters

    return step


def torch_func_step(loss_of: Callable[[Any], Any], parameters: Any) -> Step:
    """Torch's functional transforms; the update in place, which is faster than new tensors."""
    gradient_and_value = load("torch").func.grad_and_value(loss_of)

    def step() -> tuple[Any, Any]:
        gradients, loss = gradient_and_value(parameters)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.sub_(gradient, alpha=LEARNING_RATE)
        return loss, parameters

    return step
