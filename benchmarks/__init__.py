"""The same work done by tapem and by its peers, timed side by side.

``python -m benchmarks`` prints one Markdown table of ratios (hand-written NumPy = 1) and the cost per node of tapes of
growing length. Two kinds of measurement live here:

* ``workloads/``: one file per workload, in which every library's version stands one under the other. Each is checked
  against hand-written NumPy before it is timed, and each library runs in a process of its own.
* ``studies/``: measurements of tapem alone (cost per node, memory, one door against another), one file each.

``python -m benchmarks --list`` names them all. Adding a file and appending it to the tuple in its folder's
``__init__`` is all it takes to add one.

The speed of a shared machine drifts. Hence the libraries' processes are measured in turn, many times, for a fraction of
a second, and hand-written NumPy between any two of them; a ratio is taken to the measurements of NumPy just before and
just after, and the median of those ratios is quoted.

This package imports nothing at its top: the environment and the core must be settled before NumPy is loaded.
"""
