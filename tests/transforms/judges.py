"""Judges that know nothing of tapem: finite differences, the complex step, and loops."""

import numpy as np


def directions(x):
    """The standard basis of the space of `x`, one array after another."""
    for index in np.ndindex(np.shape(x)):
        direction = np.zeros(np.shape(x))
        direction[index] = 1.0
        yield index, direction


def difference_jacobian(f, x, eps=1e-5):
    """The Jacobian of `f` at `x` by central differences: shape `output + input`."""
    x = np.asarray(x, float)
    columns = [(np.asarray(f(x + eps * d)) - np.asarray(f(x - eps * d))) / (2 * eps) for _, d in directions(x)]
    stacked = np.stack(columns, axis=-1)
    return stacked.reshape((*stacked.shape[:-1], *x.shape))


def complex_jacobian(f, x, eps=1e-30):
    """The Jacobian of an analytic `f` at `x` by the complex step, exact to rounding."""
    x = np.asarray(x, float)
    columns = [np.imag(f(x + 1j * eps * d)) / eps for _, d in directions(x)]
    stacked = np.stack(columns, axis=-1)
    return stacked.reshape((*stacked.shape[:-1], *x.shape))


def difference_hessian(f, x):
    """The second derivatives of an analytic `f`: central differences of complex steps."""
    return difference_jacobian(lambda z: complex_jacobian(f, z), x)


def loop(f, *stacks):
    """`f` applied to one example after another, and the results stacked."""
    return np.stack([np.asarray(f(*row)) for row in zip(*stacks, strict=True)])


def close(actual, expected, rtol=1e-7, atol=1e-8):
    """Assert that two arrays, or two tuples of them, agree in shape and value."""
    if isinstance(expected, tuple | list):
        assert len(actual) == len(expected)
        for a, e in zip(actual, expected, strict=True):
            close(a, e, rtol, atol)
        return
    assert np.shape(actual) == np.shape(expected), (np.shape(actual), np.shape(expected))
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=atol)
