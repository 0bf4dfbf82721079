"""Dead code: what no output needs is not computed."""

from __future__ import annotations

from tapem.transforms import Program


def dead(program: Program) -> Program:
    """Leave out the nodes on which no output depends, such as the values that only an unused cotangent needs."""
    return Program.of(program.nodes, program.inputs, program.outputs, program.__name__)
