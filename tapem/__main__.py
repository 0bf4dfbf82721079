"""The command line of tapem: `python -m tapem rules` prints every op's rules."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from tapem.seeing import rule_table


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command that the arguments name."""
    parser = argparse.ArgumentParser(prog="python -m tapem", description="Functional automatic differentiation.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    commands.add_parser("rules", help="print the table of every op's rules")
    parser.parse_args(arguments)
    try:
        print(rule_table(), flush=True)
    except BrokenPipeError:  # the reader, such as `head`, has stopped reading
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
