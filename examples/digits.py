"""Handwritten digits, from the data to a trained network: tapem on one page.

    python examples/digits.py

trains a small network on 1,797 real images in a few seconds, and draws `digits.png`: the loss over time, what the
network reads, and where it is wrong. Read the file from top to bottom. It needs the extra `examples`: scikit-learn for
the data, tqdm for the progress bar, matplotlib for the picture.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from sklearn.datasets import load_digits
from threadpoolctl import threadpool_limits
from tqdm import tqdm

import layers
import losses
import tapem as tm
from layers import Linear, Relu

Array: TypeAlias = npt.NDArray[Any]

# ---------------------------------------------------------------------------------------------------------------------
# 1. The data
#
# Each image has 8 x 8 pixels, from 0 (white) to 16 (black); the network sees it as a row of 64 numbers in [0, 1].
# Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998.
#
# Random numbers in tapem are pure functions of a key: the same key always gives the same numbers, on any machine. So
# this split into 80 % to learn from and 20 % for the test is fixed.


def split_data() -> tuple[Array, Array, Array, Array]:
    """Images to learn from and their labels, images for the test and their labels."""
    data: Any = load_digits()
    images, labels = (data.data / 16).astype(np.float32), data.target
    order = tm.random.permutation(tm.random.key(0), len(images))
    learn, test = np.split(order, [int(0.8 * len(order))])
    return images[learn], labels[learn], images[test], labels[test]


# ---------------------------------------------------------------------------------------------------------------------
# 2. The model
#
# A layer is a description: it holds no numbers. `>>` puts layers one after another, and raises an error at once if they
# do not fit. The numbers, the parameters, are separate, in a plain tree of arrays: `model.init(key)` draws it, and
# `model.apply(params, x)` uses it. The objective, which the training minimizes, is a plain function too.

model = Linear(64, 256) >> Relu() >> Linear(256, 10)


def objective(params: Any, images: Any, labels: Array) -> Any:
    """The error of the model: the cross-entropy, with labels that count as not quite certain."""
    return losses.cross_entropy(model.apply(params, images), labels, label_smoothing=0.1)


# ---------------------------------------------------------------------------------------------------------------------
# 3. One step, seen from inside
#
# A tape is a value: a straight-line program in which each node is an op applied to earlier nodes. A tape never changes;
# extending it gives a longer one. With arrays, `objective` computes. With Refs, the names of nodes, the same function
# returns a step, and `run` takes it: this records the program.
#
# `backward_scalar` then walks over the tape once, from the last node to the first, and adds each node's contributions
# to the cotangents of its parents. It gives the gradient of the loss with respect to every node that requires one.


def show_one_step(params: Any, images: Array, labels: Array) -> None:
    """Print the tape of one step, and check that its gradients are those that the training will use."""
    w1, tape = tm.Tape().leaf(params[0]["weight"], name="w1")
    b1, tape = tape.leaf(params[0]["bias"], name="b1")
    w2, tape = tape.leaf(params[2]["weight"], name="w2")
    b2, tape = tape.leaf(params[2]["bias"], name="b2")
    x, tape = tape.leaf(images, name="images", requires_grad=False)

    refs = {"weight": w1, "bias": b1}, (), {"weight": w2, "bias": b2}
    loss, tape = objective(refs, x, labels).run(tape)
    gradients = tape.backward_scalar(loss)

    print(tape)
    print(f"\nThe loss before any training is {tape.value(loss):.3f}; knowing nothing would cost log 10 = 2.303.")
    print(f"Its gradient with respect to {w1} has norm {np.linalg.norm(gradients[w1]):.3f}.")

    # The same gradients without a visible tape: `grad` records `objective` on its own tape, and sweeps it.
    assert np.array_equal(tm.grad(objective)(params, images, labels)[0]["weight"], gradients[w1])


# ---------------------------------------------------------------------------------------------------------------------
# 4. The training
#
# `value_and_grad` turns `objective` into a function that also returns the gradient with respect to `params`, as a tree
# of the same form. An optimizer is pure too: parameters and state in, parameters and state out. So the whole state of
# the training is in two variables, and can be saved, copied or compared between any two lines.


def train(params: Any, images: Array, labels: Array, epochs: int, batch: int = 32) -> tuple[Any, list[float]]:
    """The trained parameters, and the loss of every step."""
    steps = len(images) // batch
    optimizer = tm.optim.adamw(tm.optim.cosine(2e-3, epochs * steps))
    state = optimizer.init(params)
    step = tm.value_and_grad(objective)
    history: list[float] = []
    # One thread is fastest for matrices as small as these.
    with threadpool_limits(1), tqdm(total=epochs * steps, desc="training", unit="step") as bar:
        for epoch in range(epochs):
            order = tm.random.permutation(tm.random.key(epoch), len(images))
            for rows in np.split(order[: steps * batch], steps):
                loss, gradients = step(params, images[rows], labels[rows])
                params, state = optimizer.update(gradients, state, params)
                history.append(float(loss))
                bar.update()
            bar.set_postfix(epoch=epoch + 1, loss=f"{np.mean(history[-steps:]):.3f}")
    return params, history


# ---------------------------------------------------------------------------------------------------------------------
# 5. The picture
#
# With arrays, the model only computes, without a tape or a gradient. The rest is matplotlib, and can be skipped.

INK, RIGHT, WRONG = "#22303c", "#2a7f62", "#c8553d"


def draw(path: Path, history: Sequence[float], images: Array, labels: Array, probabilities: Array) -> None:
    """Draw the loss curve, some test images with the network's readings, and the mistakes and closest calls."""
    read = probabilities.argmax(axis=-1)
    figure: Any = Figure(figsize=(13, 8.2), layout=ConstrainedLayoutEngine(rect=(0.01, 0.01, 0.98, 0.98)))
    top, bottom = figure.subfigures(2, 1, height_ratios=[3, 1.05], hspace=0.04)
    left, right = top.subfigures(1, 2, width_ratios=[1, 1.2], wspace=0.03)

    draw_loss(left.subplots(), np.array(history))

    right.suptitle(f"Test images, and what it reads: {np.mean(read == labels):.1%} are right", color=INK, fontsize=13)
    for i, axes in enumerate(right.subplots(5, 8).flat):
        draw_digit(axes, images[i], str(read[i]), RIGHT if read[i] == labels[i] else WRONG)

    # The mistakes come first, then the images with the least probability of the true label.
    worst = np.lexsort((probabilities[np.arange(len(labels)), labels], read == labels))[:5]
    mistakes = np.count_nonzero(read != labels)
    bottom.suptitle(f"Mistakes ({mistakes} of {len(labels)}), then the closest calls", color=INK, fontsize=13)
    for i, (picture, bars) in zip(worst, bottom.subplots(1, 10).reshape(5, 2), strict=True):
        color = RIGHT if read[i] == labels[i] else WRONG
        draw_digit(picture, images[i], f"reads {read[i]}, is {labels[i]}", color)
        bars.barh(range(10), probabilities[i], color=[color if digit == read[i] else "#c5cbd0" for digit in range(10)])
        bars.set(xlim=(0, 1), xticks=[], yticks=range(10), box_aspect=1)
        bars.set_title(f"{probabilities[i].max():.0%} sure", color=color, fontsize=11, pad=4)
        bars.tick_params(length=0, labelsize=7, labelcolor=INK)
        bars.spines[["top", "right", "bottom"]].set_visible(False)
        bars.invert_yaxis()
    figure.savefig(path, dpi=110)


def draw_loss(axes: Any, history: Array, window: int = 44) -> None:
    """Draw the loss of every step, its running mean, and the least possible loss."""
    floor = -0.91 * np.log(0.91) - 9 * 0.01 * np.log(0.01)
    axes.plot(history, color=INK, alpha=0.22, linewidth=0.8, label="each step")
    if len(history) > window:
        mean = np.convolve(history, np.ones(window) / window, mode="valid")
        axes.plot(np.arange(window - 1, len(history)), mean, color=INK, linewidth=2, label=f"mean of {window} steps")
    axes.axhline(floor, color=RIGHT, linestyle=":", label="the least that smoothed labels allow")
    axes.set(yscale="log", xlabel="step", ylabel="cross-entropy", ylim=(0.47, 2.6))
    axes.set_yticks([0.5, 0.7, 1, 1.5, 2], ["0.5", "0.7", "1", "1.5", "2"])
    axes.set_yticks([], minor=True)
    axes.set_title("The loss, while the network learns", color=INK, fontsize=13, pad=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)


def draw_digit(axes: Any, image: Array, title: str, color: str) -> None:
    """Draw one image with a title above it."""
    axes.imshow(image.reshape(8, 8), cmap="Greys", vmin=0, vmax=1, interpolation="nearest")
    axes.set_title(title, color=color, fontsize=11, pad=4)
    axes.set(xticks=[], yticks=[])
    for edge in axes.spines.values():
        edge.set(color=color, linewidth=1.2)


# ---------------------------------------------------------------------------------------------------------------------
# 6. All together


def main(arguments: Sequence[str] | None = None) -> None:
    """Show one step, train, test, draw."""
    parser = argparse.ArgumentParser(description="Train a small network on handwritten digits.")
    parser.add_argument("--epochs", type=int, default=30, help="how often to go through the images (default 30)")
    parser.add_argument("--out", type=Path, default=Path("digits.png"), help="the picture (default digits.png)")
    options = parser.parse_args(arguments)
    if options.epochs < 1:
        parser.error(f"--epochs must be at least 1, not {options.epochs}")
    if not options.out.parent.is_dir():
        parser.error(f"--out: there is no directory {options.out.parent}")

    images, labels, test_images, test_labels = split_data()
    params = model.init(tm.random.key(1))
    print("The model, for any number of images:\n")
    layers.summary(model, (None, 64))
    print("\nThe tape of one step, on 32 images:\n")
    show_one_step(params, images[:32], labels[:32])
    print()

    start = time.perf_counter()
    params, history = train(params, images, labels, options.epochs)
    seconds = time.perf_counter() - start

    probabilities = tm.softmax(model.apply(params, test_images))
    accuracy = np.mean(probabilities.argmax(axis=-1) == test_labels)
    draw(options.out, history, test_images, test_labels, probabilities)
    print(f"\n{len(history):,} steps in {seconds:.1f} s.")
    print(f"Test accuracy: {accuracy:.2%} of {len(test_labels)} images that it had never seen.")
    print(f"The picture is in {options.out}.")


if __name__ == "__main__":
    main()
