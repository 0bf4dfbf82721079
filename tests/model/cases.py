"""What tests of the model level share: a model with a loss at a point, and what judges it."""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import tapem as tm
from tapem.core.tree import tree_flatten, tree_map, tree_unflatten


class Case(NamedTuple):
    """A model with a loss at a point."""

    model: Any
    loss: Any
    params: Any
    x: Any
    target: Any
    options: dict[str, Any] = {}  # noqa: RUF012  # never changed

    def of_model(self, function: Any, *arguments: Any) -> Any:
        """What a function of the model level gives for this model; of what it gives with a state, the result."""
        result = function(self.model, *arguments, **self.options)
        return result[0] if "state" in self.options else result

    def of_loss(self, function: Any, *arguments: Any) -> Any:
        """The same for a function that takes the loss too."""
        return self.of_model(function, self.loss, *arguments)

    def value(self, params: Any, x: Any, target: Any) -> Any:
        """The loss as plain code computes it, far from any tape: what differences are taken of."""
        return computed(self.loss, self.predict(params, x), target)

    def predict(self, params: Any, x: Any) -> Any:
        """The prediction for arrays."""
        result = computed(getattr(self.model, "apply", self.model), params, x, **self.options)
        return result[0] if "state" in self.options else result


def computed(f: Any, *arguments: Any, **options: Any) -> Any:
    """The result as an array; a `do` program is run on a tape that has its arguments as leaves."""
    if not inspect.isgeneratorfunction(inspect.unwrap(f)):
        return f(*arguments, **options)
    refs, tape = in_refs(arguments, tm.Tape())
    out, tape = f(*refs).run(tape)
    return tape.value(out)


def drawn(seed: int, *shape: int) -> Any:
    return tm.random.normal(tm.random.key(seed), shape)


def initial(model: Any) -> Any:
    """The first parameters of a model in float64, none of them zero, so that differences say something of each."""
    params = model.init(tm.random.key(7))
    leaves, structure = tree_flatten(params)
    noise = [0.3 * drawn(100 + position, *leaf.shape) for position, leaf in enumerate(leaves)]
    return tree_unflatten(structure, [leaf + extra for leaf, extra in zip(leaves, noise, strict=True)])


def is_float(leaf: Any) -> bool:
    return np.asarray(leaf).dtype.kind == "f"


def along(f: Callable[[Any], Any], tree: Any, direction: Any, eps: float = 1e-5) -> Any:
    """The derivative of f along a direction, by central differences."""
    ahead, behind = (
        f(tree_map(lambda a, d, s=sign: a + s * eps * d if is_float(a) else a, tree, direction)) for sign in (1, -1)
    )
    return tree_map(lambda a, b: (a - b) / (2 * eps), ahead, behind)


def difference_gradient(f: Callable[[Any], Any], tree: Any) -> Any:
    """A tree like the given one, each leaf `f.shape + leaf.shape`; None in the place of integers."""
    leaves, structure = tree_flatten(tree)
    found: list[Any] = []
    for position, leaf in enumerate(leaves):
        if not is_float(leaf):
            found.append(None)
            continue
        columns: list[Any] = []
        for index in np.ndindex(np.shape(leaf)):
            unit = np.zeros(np.shape(leaf))
            unit[index] = 1.0
            direction = [unit if i == position else np.zeros(np.shape(other)) for i, other in enumerate(leaves)]
            columns.append(along(f, tree, tree_unflatten(structure, direction)))
        stacked = np.stack(columns, axis=-1)
        found.append(np.reshape(stacked, (*stacked.shape[:-1], *np.shape(leaf))))
    return tree_unflatten(structure, found)


def direction_like(tree: Any, seed: int = 11) -> Any:
    """A tree of random numbers with the shapes of this one."""
    leaves, structure = tree_flatten(tree)
    return tree_unflatten(structure, [drawn(seed + position, *np.shape(leaf)) for position, leaf in enumerate(leaves)])


def check_close(found: Any, expected: Any, tolerance: float = 1e-7) -> None:
    """The same structure, shapes and nearly the same numbers."""
    leaves, structure = tree_flatten(found)
    others, other = tree_flatten(expected)
    assert structure == other
    for one, two in zip(leaves, others, strict=True):
        assert np.shape(one) == np.shape(two)
        np.testing.assert_allclose(one, two, rtol=tolerance, atol=tolerance)


def check_equal(found: Any, expected: Any) -> None:
    """The same structure, dtypes and numbers, to the last bit."""
    leaves, structure = tree_flatten(found)
    others, other = tree_flatten(expected)
    assert structure == other
    for one, two in zip(leaves, others, strict=True):
        assert one.dtype == two.dtype and np.shape(one) == np.shape(two)
        np.testing.assert_array_equal(one, two)


def calls(case: Case) -> dict[str, Callable[[Any, Any, Any], Any]]:
    """Everything the model level computes, as functions of params, x and target."""
    model, loss, params, x, _, options = case
    cotangent = drawn(21, *np.shape(case.predict(params, x)))
    tangent = direction_like(params)
    api = tm.model
    found = {
        "value_and_grad": lambda p, v, t: api.value_and_grad(model, loss, p, v, t, **options),
        "grad_params": lambda p, v, t: api.grad_params(model, loss, p, v, t, **options),
        "grad_inputs": lambda p, v, t: api.grad_inputs(model, loss, p, v, t, **options),
        "grad_x": lambda p, v, t: api.grad_x(model, loss, p, v, t, **options),
        "grad_target": lambda p, v, t: api.grad_target(model, loss, p, v, t, **options),
        "value_and_grad_params": lambda p, v, t: api.value_and_grad_params(model, loss, p, v, t, **options),
        "value_and_grad_x": lambda p, v, t: api.value_and_grad_x(model, loss, p, v, t, **options),
        "value_and_grad_target": lambda p, v, t: api.value_and_grad_target(model, loss, p, v, t, **options),
        "vjp_params": lambda p, v, t: api.vjp_params(model, p, v, cotangent, **options),
        "vjp_input": lambda p, v, t: api.vjp_input(model, p, v, cotangent, **options),
        "jacrev": lambda p, v, t: api.jacrev(model, p, v, **options),
        "jacrev_input": lambda p, v, t: api.jacrev_input(model, p, v, **options),
        "jvp": lambda p, v, t: api.jvp(model, loss, p, v, t, tangent, **options),
        "hvp": lambda p, v, t: api.hvp(model, loss, p, v, t, tangent, **options),
    }
    if not is_float(x):
        del found["jacrev_input"]  # which is refused
    return found


def in_refs(tree: Any, tape: tm.Tape) -> tuple[Any, tm.Tape]:
    """A tree of arrays as leaves of a tape."""
    leaves, structure = tree_flatten(tree)
    refs: list[Any] = []
    for leaf in leaves:
        ref, tape = tape.leaf(leaf)
        refs.append(ref)
    return tree_unflatten(structure, refs), tape


def values_of(tree: Any, tape: tm.Tape) -> Any:
    """What the Refs of a tree stand for; what is constant is an array already."""
    return tree_map(lambda leaf: tape.value(leaf) if isinstance(leaf, tm.Ref) else leaf, tree)
