"""The passes: small pure functions from program to program, one file each."""

from tapem.compiler.passes.common import common
from tapem.compiler.passes.dead import dead

__all__ = ["common", "dead"]
