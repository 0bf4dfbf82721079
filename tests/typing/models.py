"""What a checker knows of layers, losses and random numbers: arrays in, array out; a Ref or a step in, a step out."""

from typing import Any, assert_type, overload

import numpy as np
import numpy.typing as npt

import layers
import losses
import tapem as tm

a: npt.NDArray[Any] = np.ones((3, 3))
x, tape = tm.Tape().leaf(a)
b: npt.NDArray[Any] = np.ones(3)
key = tm.random.key(0)

y: npt.NDArray[Any] = layers.linear(a, b, a)
assert_type(layers.linear(a, b, x), tm.TapeM[tm.Ref])
assert_type(layers.linear(x, b, tm.sin(x)), tm.TapeM[tm.Ref])

kernel, images = np.ones((2, 1, 3, 3)), np.ones((4, 1, 8, 8))
pixels, tape = tape.leaf(images)
y = layers.conv2d(kernel, np.zeros(2), images, stride=2, padding="same")
y = layers.conv2d(kernel, None, images)
assert_type(layers.conv2d(kernel, None, pixels), tm.TapeM[tm.Ref])
assert_type(layers.conv_transpose(kernel, b, tm.sin(pixels), output_padding=(0, 0)), tm.TapeM[tm.Ref])

model = layers.Linear(3, 4) >> layers.Relu() >> layers.Linear(4, 2)
assert_type(model, layers.Sequential)
params = model.init(key)
y = model.apply(params, a)
print(model.apply(params, a, key=key, train=True).shape)
assert_type(model.apply(params, x), tm.TapeM[tm.Ref])
assert_type(model.apply(params, tm.sin(x)), tm.TapeM[tm.Ref])

out = np.ones((3, 2))
found: tm.model.ValueAndGrad = tm.model.value_and_grad(model, losses.mse, params, a, out, key=key, train=True)
print(found.value, found.dparams, found.dx, found.dtarget)
y = tm.model.grad_params(lambda p, x: x @ p, losses.mse, a, a, a)
y, state = tm.model.grad_x(layers.Relu(), losses.mse, (), a, a, state=())
y = tm.model.vjp_input(model, params, a, out)
y = tm.model.hvp(model, lambda p, t: (p * t).sum(), params, a, out, tangent=params)
vector, unravel = tm.ravel(params)
y = unravel(2 * vector)

y = losses.mse(a, a, reduction="sum")
y = losses.cross_entropy(a, np.array([0, 1, 2]), ignore_index=0, label_smoothing=0.1)
y = losses.detach(losses.mse)(a, a)
assert_type(losses.cross_entropy(x, np.array([0, 1, 2])), tm.TapeM[tm.Ref])
assert_type(losses.cross_entropy(model.apply(params, x), np.array([0, 1, 2])), tm.TapeM[tm.Ref])

y = tm.random.normal(key, (2, 3), dtype=np.float32)
y = tm.random.split(key, 3)

# What users make of ops has the types that ops have.


@overload
def hat(x: tm.Numeric) -> npt.NDArray[Any]: ...
@overload
def hat(x: tm.Deferred) -> tm.Step: ...
def hat(x: Any) -> Any:
    relu: Any = tm.relu
    return relu(1 - abs(x))


@tm.composed
def energy(v: npt.NDArray[Any], *, half: bool = False) -> npt.NDArray[Any]:
    return v * v if half else v


y = hat(a)
y = energy(a, half=True)
assert_type(hat(x), tm.TapeM[tm.Ref])
assert_type(hat(tm.sin(x)), tm.TapeM[tm.Ref])
assert_type(energy(x), tm.TapeM[Any])
