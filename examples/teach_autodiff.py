"""How automatic differentiation works: a network of two layers, built op by op, swept by hand, checked by differences.

    python examples/teach_autodiff.py

asks whether two iris flowers, measured in 1935, are of the species virginica, and finds how each of the 13 numbers in a
small network should change for a better answer: first with tapem, printing every step, then with a sweep of ten lines,
shown below, then by trying. It draws `teach_autodiff.png`. Read the file from top to bottom. It needs the extra
`examples`: scikit-learn for the data, tqdm for the progress bar, matplotlib for the picture.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from sklearn.datasets import load_iris
from tqdm import tqdm

import tapem as tm

Array: TypeAlias = npt.NDArray[Any]

# ---------------------------------------------------------------------------------------------------------------------
# 1. Data and parameters
#
# There are two flowers, a versicolor and a virginica; for each we have the length and the width of a petal, in
# centimeters from the mean. The parameters are small round numbers, so that you can follow everything on paper.
# Source: E. Anderson, The irises of the Gaspé peninsula, 1935; R. A. Fisher, The use of multiple measurements in
# taxonomic problems, 1936.


def two_flowers() -> tuple[Array, Array]:
    """Petal length and width of two flowers, one per row, and whether each is virginica (1.0) or not (0.0)."""
    data: Any = load_iris()
    petals, rows = data.data[:, 2:], [50, 100]
    return np.round(petals[rows] - petals.mean(axis=0), 2), (data.target[rows] == 2).astype(float)


PARAMETERS: Mapping[str, Array] = {
    "w1": np.array([[0.5, -0.4, 0.3], [0.2, 0.6, -0.7]]),
    "b1": np.array([0.1, 0.0, -0.1]),
    "w2": np.array([1.0, 0.5, -0.5]),
    "b2": np.array(0.1),
}

# ---------------------------------------------------------------------------------------------------------------------
# 2. Forward: the tape
#
# `leaf` puts a given value on a tape, `record` applies an op to values on it and appends the result. Neither changes
# the tape: each returns a longer one, and a Ref, the name of the new node. For a flower x the network computes
#
#     h = tanh(x w1 + b1)            three hidden numbers
#     z = h w2 + b2                  the log-odds that it is virginica
#     loss = softplus(z) - t z       how much the truth t surprises it: -log sigmoid(z) if t is 1
#
# Note that z is used twice, and that b1 is added to both flowers: their cotangents have several contributions.


class Network(NamedTuple):
    """The tape, the Refs of the parameters by name, and the Ref of the loss."""

    tape: tm.Tape
    parameters: dict[str, tm.Ref]
    loss: tm.Ref


def forward(parameters: Mapping[str, Array], flowers: Array, virginica: Array) -> Network:
    """The network on a new tape."""
    w1, tape = tm.Tape().leaf(parameters["w1"], name="w1")
    b1, tape = tape.leaf(parameters["b1"], name="b1")
    w2, tape = tape.leaf(parameters["w2"], name="w2")
    b2, tape = tape.leaf(parameters["b2"], name="b2")
    x, tape = tape.leaf(flowers, name="flowers", requires_grad=False)
    t, tape = tape.leaf(virginica, name="virginica", requires_grad=False)

    mixed, tape = tape.record(tm.matmul, x, w1)
    shifted, tape = tape.record(tm.add, mixed, b1)
    h, tape = tape.record(tm.tanh, shifted)
    weighed, tape = tape.record(tm.matmul, h, w2)
    z, tape = tape.record(tm.add, weighed, b2)
    agreement, tape = tape.record(tm.mul, t, z)
    highest, tape = tape.record(tm.softplus, z)
    surprise, tape = tape.record(tm.sub, highest, agreement)
    loss, tape = tape.record(tm.mean, surprise)
    return Network(tape, {"w1": w1, "b1": b1, "w2": w2, "b2": b2}, loss)


# ---------------------------------------------------------------------------------------------------------------------
# 3. Backward: the sweep, in ten lines
#
# The cotangent of a node is the derivative of the loss with respect to its value: an array of the node's own shape. The
# cotangent of the loss is 1. Each op has a rule that turns the cotangent g of its result into contributions to its
# operands; for y = tanh(x), for example, x gets g (1 - y^2). A node that is used several times gets several
# contributions, and their sum is its cotangent. It is complete when all nodes that use it are done. A node comes after
# its operands on the tape, so one walk from the last node to the first is enough. This is all of reverse mode: it costs
# a small multiple of the forward pass, for any number of parameters.
#
# `tm.rrule` returns the value of an op together with its rule. `tape.backward_scalar` is the same sweep, made fast.


def sweep(tape: tm.Tape, loss: tm.Ref) -> dict[int, Any]:
    """The cotangents of all nodes that the loss depends on, by the node's id."""
    cotangents: dict[int, Any] = {loss.id: np.array(1.0)}
    for node in reversed(list(tape)):
        operands = parents(node)
        if operands and node.id in cotangents:
            op: Any = node.op
            rule: Any = tm.rrule(op, *(tape.value(operand) for operand in operands), **node.static)
            _, *shares = rule[1](cotangents[node.id])  # the first one belongs to the op itself, and is nothing
            for operand, share in zip(operands, shares, strict=True):
                cotangents[operand] = cotangents.get(operand, 0.0) + tm.extern(share)
    return cotangents


def parents(node: tm.Node) -> list[int]:
    """The ids of the nodes that an op was applied to; a given value has none."""
    return [parent for parent in node.parents if parent is not None]


# ---------------------------------------------------------------------------------------------------------------------
# 4. The check: by trying
#
# A derivative says how much the loss changes when a number changes a little. So change each number a little, and look:
# in one direction (forward differences), or in both (central differences). How little? In theory the error falls with
# the step, or with its square. In practice the two losses, which are rounded to 16 digits, become so similar that their
# difference is noise. The best step is at the bottom of a V, and automatic differentiation is below it: it has no step.
# And trying takes a run of the program for every number, but the sweep takes one for all.


def differences(parameters: Mapping[str, Array], flowers: Array, virginica: Array, step: float) -> tuple[Array, Array]:
    """The derivatives with respect to all parameters as one vector, by forward and by central differences."""
    start, unravel = tm.ravel(dict(parameters))

    def loss(vector: Array) -> float:
        network = forward(unravel(vector), flowers, virginica)
        return float(network.tape.value(network.loss))

    here, units = loss(start), np.eye(len(start))
    ahead = np.array([loss(start + step * unit) for unit in units])
    behind = np.array([loss(start - step * unit) for unit in units])
    return (ahead - here) / step, (ahead - behind) / (2 * step)


# ---------------------------------------------------------------------------------------------------------------------
# 5. The picture

INK, GIVEN, LEARNED, OP, BACK = "#22303c", "#e7ebee", "#dcebe4", "#ffffff", "#c8553d"


def places(tape: tm.Tape) -> dict[int, tuple[float, float]]:
    """The position of each node: ops in the middle, later ones lower; a given value beside the op that uses it."""
    depths: dict[int, int] = {}
    levels: dict[int, list[int]] = {}
    for node in tape:
        depths[node.id] = 1 + max((depths[parent] for parent in parents(node)), default=0)
        if parents(node):
            levels.setdefault(depths[node.id], []).append(node.id)
    found: dict[int, tuple[float, float]] = {}
    for depth, members in levels.items():
        for position, member in enumerate(members):
            found[member] = 0.75 * (position - (len(members) - 1) / 2), -float(depth)
    for node in tape:
        for parent in parents(node):
            if parent not in found:
                found[parent] = 1.25 if tape[parent].requires_grad else -1.25, found[node.id][1] + 0.5
    return found


def draw(path: Path, network: Network, cotangents: Mapping[int, Any], errors: Mapping[str, Sequence[float]]) -> None:
    """Draw the tape as a graph with values and cotangents, and the errors of differences for every step."""
    figure: Any = Figure(figsize=(14, 9.6), layout="constrained")
    graph, valley = figure.subplots(1, 2, width_ratios=[1.5, 1])

    found = places(network.tape)
    boxes: dict[int, Any] = {}
    for node in network.tape:
        color = OP if parents(node) else LEARNED if node.requires_grad else GIVEN
        title = f"%{node.id}  {node.op.name}" if parents(node) else f"%{node.id}  {node.name}"
        value = f"{title}\n{digits(network.tape.value(node.id))}"
        cotangent = digits(cotangents[node.id]) if node.requires_grad else ""
        # A text has one color: the box has room for a second text in red.
        room = "\n" * (1 + cotangent.count("\n")) * bool(cotangent)
        boxes[node.id] = graph.text(*found[node.id], value + room, **TEXT, color=INK, bbox={**BOX, "facecolor": color})
        graph.text(*found[node.id], "\n" * (1 + value.count("\n")) + cotangent, **TEXT, color=BACK)
    for node in network.tape:
        for parent in parents(node):
            ends = {"patchA": boxes[parent].get_bbox_patch(), "patchB": boxes[node.id].get_bbox_patch()}
            graph.annotate("", found[node.id], found[parent], arrowprops={**ARROW, **ends})
    graph.set(xlim=(-1.75, 1.75), ylim=(min(y for _, y in found.values()) - 0.5, -0.9))
    graph.set_axis_off()
    graph.set_title("The tape: values going down, cotangents (red) coming up", color=INK, fontsize=13, pad=10)

    for (label, error), color in zip(errors.items(), ("#d9a441", "#2a7f62"), strict=True):
        valley.plot(STEPS, error, "o-", color=color, markersize=4, label=label)
    valley.set(xscale="log", yscale="log", xlabel="step", ylabel="greatest distance from the sweep's derivative")
    valley.set_title("Differences: too coarse, or too noisy", color=INK, fontsize=13, pad=10)
    valley.spines[["top", "right"]].set_visible(False)
    valley.legend(frameon=False)
    figure.savefig(path, dpi=110)


TEXT: Any = {"ha": "center", "va": "center", "fontsize": 9, "family": "monospace", "linespacing": 1.25}
BOX: Any = {"boxstyle": "round,pad=0.35", "edgecolor": INK, "linewidth": 0.8}
ARROW: Any = {"arrowstyle": "-|>", "color": INK, "linewidth": 1, "shrinkA": 0, "shrinkB": 0}
STEPS = np.logspace(-1, -13, 49)


def digits(value: Any) -> str:
    """A small array with two digits after the point."""
    return np.array2string(np.asarray(value), precision=2, suppress_small=True, floatmode="fixed", sign=" ")


# ---------------------------------------------------------------------------------------------------------------------
# 6. All together


def main(arguments: Sequence[str] | None = None) -> None:
    """Build, sweep, explain, check, draw."""
    parser = argparse.ArgumentParser(description="Differentiate a small network, step by step.")
    name = "teach_autodiff.png"
    parser.add_argument("--out", type=Path, default=Path(name), help=f"the picture (default {name})")
    options = parser.parse_args(arguments)
    if not options.out.parent.is_dir():
        parser.error(f"--out: there is no directory {options.out.parent}")

    flowers, virginica = two_flowers()
    network = forward(PARAMETERS, flowers, virginica)
    tape, parameters, loss = network
    print(f"The network on two flowers is a program of {len(tape)} lines:\n")
    print(tape)
    print(f"\nIts loss is {tape.value(loss):.4f}. Who is to blame?\n")
    print(tm.explain(tape, loss))

    gradients, cotangents = tape.backward_scalar(loss), sweep(tape, loss)
    assert all(np.array_equal(gradients[ref], cotangents[ref.id]) for ref in parameters.values())
    print("\nThe sweep of ten lines, written out in this program, gives the same numbers to the last bit.\n")

    vector, _ = tm.ravel({name: gradients[ref] for name, ref in parameters.items()})
    tried = [
        differences(PARAMETERS, flowers, virginica, step)
        for step in tqdm(STEPS, desc=f"trying {len(vector)} numbers", unit="step size")
    ]
    errors = {
        f"{label} differences": [float(np.abs(pair[side] - vector).max()) for pair in tried]
        for side, label in enumerate(("forward", "central"))
    }
    draw(options.out, network, cotangents, errors)

    best = int(np.argmin(errors["central differences"]))
    print("\nnumber       sweep      differences")
    names = [
        f"{name}{list(index) if index else ''}"
        for name in sorted(PARAMETERS)
        for index in np.ndindex(PARAMETERS[name].shape)
    ]
    for label, exact, approximate in zip(names, vector, tried[best][1], strict=True):
        print(f"{label:10} {exact: .8f}   {approximate: .8f}")
    print(f"\nCentral differences, at the best step of {STEPS[best]:.0e}, are within", end=" ")
    print(f"{errors['central differences'][best]:.0e} of the sweep in all {len(vector)} numbers.")
    print(f"The picture is in {options.out}.")


if __name__ == "__main__":
    main()
