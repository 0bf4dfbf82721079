"""Functions of one number for native loops."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

exp = math.exp
log = math.log
expm1 = math.expm1
log1p = math.log1p
sin = math.sin
cos = math.cos
tanh = math.tanh
erf = math.erf


@njit(inline="always")
def sigmoid(x):
    return type(x)(1) / (type(x)(1) + math.exp(-x))


@njit
def sign(x):
    return np.sign(x)


@njit
def power(x, y):
    return x**y
