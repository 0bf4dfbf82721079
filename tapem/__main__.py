"""The command line of tapem: `rules` prints every op's rules, `without` what has none; `check` tests derivatives."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from tapem.errors import ArgumentError
from tapem.seeing import rule_table, without_a_rule
from tapem.testing import add_check_options, check_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the arguments name, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tapem", description="Functional automatic differentiation.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    commands.add_parser("rules", help="print the table of every op's rules")
    commands.add_parser(
        "without", help="print what of NumPy and SciPy stays without a rule (docs/reference/without_a_rule.md)"
    )
    check = commands.add_parser("check", help="property-test the derivatives of annotated functions")
    add_check_options(check)
    given = parser.parse_args(arguments)
    try:
        if given.command == "check":
            return check_command(given)
        print(rule_table() if given.command == "rules" else without_a_rule(), flush=True)
    except ArgumentError as error:
        check.error(str(error))
    except BrokenPipeError:  # the reader, such as `head`, has stopped reading
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


if __name__ == "__main__":
    sys.exit(main())
