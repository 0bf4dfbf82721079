"""Outlining: parts of a long native function as functions of their own, since numba's compile time grows faster than
their length.

A part takes what it reads and others set, and returns what it sets and others read. Arrays are written in place.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

_MOST = 100
"""The number of lines in one function, if it can be divided."""

_INDEX = re.compile(r"[ij]\d+")
"""Names that have a meaning within a few lines only."""


@dataclass
class Block:
    """Some lines, with the names that they read and set, and the blocks inside."""

    lines: list[str]
    reads: set[str] = field(default_factory=set)
    sets: set[str] = field(default_factory=set)
    inside: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Find the names."""
        text = "\n".join(self.lines)
        self.inside = re.findall(r"@(\w+)", text)
        for node in ast.walk(ast.parse(re.sub(r"@\w+", "pass", text))):
            if isinstance(node, ast.Name):
                (self.reads if isinstance(node.ctx, ast.Load) else self.sets).add(node.id)
            elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
                self.reads.add(node.target.id)
        self.reads = {name for name in self.reads if not _INDEX.fullmatch(name)}
        self.sets = {name for name in self.sets if not _INDEX.fullmatch(name)}


class Outline:
    """The parts of one function."""

    def __init__(self) -> None:
        """There are none yet."""
        self.parts: dict[str, list[str]] = {}

    def chunks(self, lines: list[str]) -> list[str]:
        """The lines, or lines that stand for parts if there are many; `@name` stands for a part."""
        if len(lines) <= _MOST:
            return lines
        statements: list[list[str]] = []
        for line in lines:
            if statements and (line.startswith(" ") or line == "else:"):
                statements[-1].append(line)
            else:
                statements.append([line])
        chunks: list[list[str]] = [[]]
        for statement in statements:
            if chunks[-1] and len(chunks[-1]) + len(statement) > _MOST:
                chunks.append([])
            chunks[-1] += statement
        short: list[str] = []
        for chunk in chunks:
            name = f"part{len(self.parts)}"
            self.parts[name] = chunk
            short.append(f"@{name}")
        return short

    def text(self, name: str, arguments: Sequence[str], lines: list[str], results: Sequence[str]) -> str:
        """The function with its parts before it."""
        main = [*lines, f"({', '.join(results)},)"]
        blocks = {part: Block(own) for part, own in self.parts.items()}
        blocks[""] = Block(main)
        blocks[""].sets.update(arguments)
        calls: dict[str, str] = {}
        texts: list[str] = []
        for part in self.parts:  # a part stands before those that contain it
            members = self.members(blocks, part)
            outside = [block for other, block in blocks.items() if other not in members]
            own = [blocks[member] for member in members]
            sets = set[str]().union(*(block.sets for block in own))
            reads = set[str]().union(*(block.reads for block in own))
            given = sorted(reads & set[str]().union(*(block.sets for block in outside)))
            made = sorted(sets & set[str]().union(*(block.reads for block in outside)))
            call = f"{part}({', '.join(given)})"
            calls[part] = f"{', '.join(made)}, = {call}" if made else call
            end = [f"    return ({', '.join(made)},)"] if made else []
            body = [f"    {line}" for line in filled(self.parts[part], calls)]
            texts += ["@part", f"def {part}({', '.join(given)}):", *body, *end, "", ""]
        body = [f"    {line}" for line in filled(lines, calls)]
        return "\n".join([*texts, f"def {name}({', '.join(arguments)}):", *body, f"    return ({', '.join(results)},)"])

    def members(self, blocks: dict[str, Block], part: str) -> list[str]:
        """A part and the parts inside it."""
        found = [part]
        for inner in blocks[part].inside:
            found += self.members(blocks, inner)
        return found


def filled(lines: Sequence[str], calls: dict[str, str]) -> list[str]:
    """The lines, with calls of the parts."""
    return [re.sub(r"@(\w+)", lambda match: calls[match.group(1)], line) for line in lines]


__all__ = ["Outline"]
