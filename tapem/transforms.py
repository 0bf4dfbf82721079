"""The transforms of functions: grad and value_and_grad.

A transform uses the recorder at work, or opens one if there is none. Each differentiated input becomes a node of its
own, so the same array passed twice is never confused. The sweep walks the nodes from those inputs to the output. If the
transform opened the recorder itself, the rules run on arrays and nothing more is recorded; if it found one at work, the
rules run on tracers, so the sweep is recorded and an outer sweep can walk it.
"""
