"""What ``benchmarks.gradbench`` offers, compiled: the first call of each function, for each size, makes its program."""

import tapem as tm

from .evals import EVALS
from .evaluation import offered

globals().update(offered(EVALS, lambda function, static: tm.compile(function, static_argnums=static)))
