"""What a checker knows at the direct door: arrays in, array out."""

from typing import Any

import numpy as np
import numpy.typing as npt

import tapem as tm

a = np.ones((3, 3))

y: npt.NDArray[Any] = tm.sin(a)
y = tm.mul(a, 2.0)
y = tm.mul(2.0, a)
y = tm.add(tm.sin(a), tm.square(a))
y = tm.sum(a, axis=0)
y = tm.mean(a)
y = tm.matmul(a, a)
y = tm.reshape(a, (9,))
# An array has an array's attributes, which neither a step nor an unknown would pass for in strict mode.
print(tm.sin(a).astype(np.float32).flags.writeable, tm.sum(a).item(), tm.matmul(a, a).shape)
