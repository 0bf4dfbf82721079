"""The rows of the ratio table, one file each.

To add one: write a file like ``small_op_chain.py`` (a function per library, each returning a ``Candidate``; a
``WORKLOAD`` at the end that names them) and append it here.
"""

from ..workload import Workload
from . import lenet_step, mlp_step, small_op_chain, transformer_block

WORKLOADS: tuple[Workload, ...] = (
    mlp_step.WORKLOAD,
    small_op_chain.WORKLOAD,
    lenet_step.WORKLOAD,
    transformer_block.WORKLOAD,
)
