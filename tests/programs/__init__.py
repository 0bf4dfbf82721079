"""Random programs, judges of their derivatives, and a command that runs many of them.

- `language`: a program is data: statements, whose text is Python with holes, over named values. `vocabulary` holds
  the texts; `rows` makes statements of the rows of tests/tables.
- `running`: runs a program on any namespace (NumPy and tapem, or others that have their names), and prints it as
  plain Python. `doors` runs it as steps on a tape and as a `do` program.
- `generate` draws programs from a seed, `diamonds` puts two ops of the tables on one value.
- `judging` knows the derivatives by complex steps, differences and loops; `checks` compares every transform with them.
- `shrink` finds the smallest program that fails in the same way.

`python -m tests.programs --count 100000 --seed 0` runs many, and prints what failed; `--help` says more.
"""
