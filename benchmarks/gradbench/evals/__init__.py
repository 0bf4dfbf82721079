"""The twelve problems as programs of tapem: plain NumPy functions, and their derivatives by tapem's transforms."""

from ..evaluation import Eval
from . import ba, det, gmm, hello, ht, kmeans, llsq, lse, lstm, ode, particle, saddle

EVALS: tuple[Eval, ...] = tuple(
    module.EVAL for module in (hello, gmm, ba, ht, lstm, kmeans, llsq, lse, ode, det, particle, saddle)
)
