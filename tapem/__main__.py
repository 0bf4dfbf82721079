"""The command line of tapem: `rules` prints every op's rules, `without` what has none."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from tapem.seeing import rule_table, without_a_rule


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command that the arguments name."""
    parser = argparse.ArgumentParser(prog="python -m tapem", description="Functional automatic differentiation.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    commands.add_parser("rules", help="print the table of every op's rules")
    commands.add_parser("without", help="print what of NumPy and SciPy stays without a rule (docs/without_a_rule.md)")
    given = parser.parse_args(arguments)
    try:
        print(rule_table() if given.command == "rules" else without_a_rule(), flush=True)
    except BrokenPipeError:  # the reader, such as `head`, has stopped reading
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
