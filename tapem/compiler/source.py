"""Source: a program as text that needs no tapem."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tapem.compiler.emit import Emitter, with_comments
from tapem.core import Structure
from tapem.transforms import Program


def source_of(program: Program, name: str, inputs: Sequence[str], arguments: Structure, results: Structure) -> str:
    """The program as NumPy source."""
    names = [re.sub(r"\W", "_", name) for name in inputs]
    emitter = Emitter(program, names, [name])
    outputs = emitter.emit()
    lines = with_comments(emitter.lines)
    return "\n".join(
        [
            "import numpy as np",
            "",
            "",
            f"def {name}({', '.join(names)}):",
            *("    " + line for line in lines),
            "    return " + ", ".join(outputs),
        ]
    )
