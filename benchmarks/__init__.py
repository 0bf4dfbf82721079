"""Time the same work done by tapem and by its peers.

``python -m benchmarks`` prints one Markdown table of ratios (hand-written NumPy = 1) and the cost per node of tapes of
growing length. There are two kinds of measurement:

* ``workloads/``: one file per workload, with every library's version of it. Each version is checked against
  hand-written NumPy before it is timed, and each library runs in its own process.
* ``studies/``: measurements of tapem alone (cost per node, memory, one door against another), one file each.

``python -m benchmarks --list`` names them all. To add one, add a file and append it to the tuple in its folder's
``__init__``.

The speed of a shared machine drifts. So the libraries' processes are measured in turn, many times, for a fraction of a
second each, with hand-written NumPy between any two of them. A ratio is relative to the measurements of NumPy just
before and just after, and the table shows the median of the ratios.

This package imports nothing at its top: environment and core must be set before NumPy is loaded.
"""
