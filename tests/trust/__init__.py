"""Measurements of how right tapem's derivatives are, and the page that shows them, docs/trust.md.

- `rounding`: the worst error of every op in ulp, in both modes and two dtypes, over drawn operands.
- `slopes`: the rates of Taylor remainders of every op, loss, layer and example.
- `kinks`: the slopes on both sides of every row in the table of docs/kinks.md.
- `mutations`: mistakes in rules, and which of them the table of ops notices.
- `programs`: random programs against their judges and against compiled programs.
- `page` writes what they found.

`python -m tests.trust` measures everything and writes the page; `--help` says how to do a part of it.
"""
