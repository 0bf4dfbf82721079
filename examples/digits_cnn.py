"""Handwritten digits again, with a convolutional network: how tapem trains, saves and inspects a model.

    python examples/digits_cnn.py

trains on the same 1,797 images as digits.py, in some eight seconds, and draws `digits_cnn.png`: the training over time,
what the first layer has learned to look for, what it finds in a digit, and the remaining mistakes. It reads 99 % of the
test images, as the network of digits.py does. But if they are moved to the side by one pixel, that one reads only half
of them, and this one 98 % or more. Read digits.py first, which explains tapes, layers and gradients. It needs the extra
`examples`: scikit-learn for the data, matplotlib for the picture.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from sklearn.datasets import load_digits
from threadpoolctl import threadpool_limits

import layers
import losses
import tapem as tm
from layers import BatchNorm, Conv2d, Dropout, Flatten, Linear, MaxPool2d, Relu

Array: TypeAlias = npt.NDArray[Any]

# ---------------------------------------------------------------------------------------------------------------------
# 1. The data
#
# The images keep their form here, (channels, height, width) = (1, 8, 8), since a convolution knows which pixels are
# neighbors. There are three parts: to learn from, to watch the learning on, and for the test, which happens only once,
# at the end. The test images are those of digits.py.
# Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998.
#
# A digit that is moved by one pixel is the same digit. The layers do not know this, but they can learn it from the
# images: each is there three times, unchanged and moved to either side.

Labeled: TypeAlias = tuple[Array, Array]


def split_data() -> tuple[Labeled, Labeled, Labeled]:
    """Images and their labels: to learn from, to watch on, for the test."""
    data: Any = load_digits()
    images, labels = (data.images[:, None] / 16).astype(np.float32), data.target
    order = tm.random.permutation(tm.random.key(0), len(images))
    watch, learn, test = np.split(order, [100, int(0.8 * len(order))])
    moved = np.concatenate([shifted(images[learn], by) for by in (-1, 0, 1)]), np.tile(labels[learn], 3)
    return moved, (images[watch], labels[watch]), (images[test], labels[test])


def shifted(images: Array, by: int) -> Array:
    """The images moved to the right by this many pixels, on a white background."""
    width, margin = images.shape[-1], abs(by)
    padded = np.pad(images, ((0, 0), (0, 0), (0, 0), (margin, margin)))
    return padded[..., margin - by : margin - by + width]


# ---------------------------------------------------------------------------------------------------------------------
# 2. The model
#
# There are three convolutions, each of which looks at 3 x 3 neighbors in all channels below. Between them the images
# become smaller, so that the last one sees the whole digit. Two kinds of layers are new:
#
# - BatchNorm has a state, the running mean and variance of its inputs. Nothing changes in place: in training,
#   `apply(params, x, train=True, state=state)` returns the value and the new state.
# - Dropout draws random numbers in training. It takes them from a key, `apply(params, x, train=True, key=key)`, so the
#   same key always drops the same elements.

model = (
    Conv2d(1, 16, 3, padding=1)
    >> BatchNorm(16)
    >> Relu()
    >> Conv2d(16, 32, 3, padding=1)
    >> BatchNorm(32)
    >> Relu()
    >> MaxPool2d(2)
    >> Conv2d(32, 64, 3, padding=1)
    >> BatchNorm(64)
    >> Relu()
    >> MaxPool2d(2)
    >> Flatten()
    >> Dropout(0.3)
    >> Linear(2 * 2 * 64, 10)
)


def loss(logits: Any, labels: Any) -> Any:
    """The cross-entropy, with labels that count as not quite certain."""
    return losses.cross_entropy(logits, labels, label_smoothing=0.1)


def accuracy(logits: Any, labels: Any) -> Any:
    """The share of images that are read correctly."""
    return np.mean(np.argmax(logits, axis=-1) == labels)


# ---------------------------------------------------------------------------------------------------------------------
# 3. The training, in two halves
#
# `tm.fit` is the loop of digits.py: shuffle, take a batch, compute loss and gradients, update. It passes on keys and
# state, and computes the metric after every epoch. Between two steps the whole training is one value, a tree of arrays
# and numbers. To show its use, this training stops half way, saves the value to a file, loads it, and continues. All
# random numbers come from `key`, so it continues with exactly the numbers that it would have had. Ctrl-C, at any
# moment, leaves such a state too.
#
# The second half runs compiled: `compile="numpy"` makes a program of a whole step, from the images to the new
# parameters (`tm.compile`). The numbers are the same to rounding, in less time.


def train(
    learn: Labeled, watch: Labeled, epochs: int, batch: int = 32
) -> tuple[tm.Fitted, dict[str, list[float]], list[float]]:
    """The trained model, the history of the training, and the seconds that its halves took."""
    steps = epochs * -(-len(learn[0]) // batch)
    optimizer = tm.optim.adamw(tm.optim.warmup_cosine(3e-3, steps // 10, steps), weight_decay=0.05)
    options: dict[str, Any] = {
        "key": tm.random.key(1), "batch": batch, "validation": watch, "metric": accuracy, "higher_is_better": True,
    }  # fmt: skip
    # One thread is fastest for matrices as small as these.
    with threadpool_limits(1), tempfile.TemporaryDirectory() as folder:
        clock = [time.perf_counter()]
        first = tm.fit(model, loss, optimizer, learn, epochs=epochs // 2, **options)

        tm.save(Path(folder) / "half.safetensors", first.state)
        state = tm.load(Path(folder) / "half.safetensors", like=first.state)

        clock.append(time.perf_counter())
        second = tm.fit(model, loss, optimizer, learn, epochs=epochs, resume=state, compile="numpy", **options)
        clock.append(time.perf_counter())
    history = {name: values + second.history[name] for name, values in first.history.items()}
    return second, history, [end - start for start, end in pairwise(clock)]


# ---------------------------------------------------------------------------------------------------------------------
# 4. What has it learned to look for?
#
# A model is its layers and a tuple of their parameters, so a part of it is a model too: `Sequential(*model.layers[:3])`
# is the part up to the first Relu. For an image it gives 16 images, one for each kernel.
#
# Which pixels are evidence for a digit? This is a gradient again, of a logit with respect to the image: `tm.grad` works
# for any argument, not only for parameters. `vmap` computes it for all images at once.


def found_by_first_layer(params: Any, state: Any, image: Array) -> Array:
    """The result of the first convolution for an image: (kernels, height, width)."""
    first = layers.Sequential(*model.layers[:3])
    value: Any = first.apply(params[:3], image[None], state=state[:3])[0]
    return value[0]


def evidence(params: Any, state: Any, images: Array, labels: Array) -> Array:
    """The evidence of each pixel for the label: the gradient of its logit, times the image."""

    def logit(image: Any, label: Any) -> Any:
        logits: Any = model.apply(params, image[None], state=state)[0]
        return np.sum(logits[0] * (np.arange(10) == label))

    gradients: Any = tm.vmap(tm.grad(logit))(images, labels)
    return gradients * images


# ---------------------------------------------------------------------------------------------------------------------
# 5. The picture
#
# The rest is matplotlib, and can be skipped.

INK, RIGHT, WRONG = "#22303c", "#2a7f62", "#c8553d"


def draw(path: Path, history: dict[str, list[float]], fitted: tm.Fitted, test: Labeled, logits: Array) -> None:
    """Draw the training, the kernels, their results for a digit, and the mistakes and closest calls with evidence."""
    images, labels = test
    params, state = fitted.params, fitted.model_state
    figure: Any = Figure(figsize=(13, 9.6), layout=ConstrainedLayoutEngine(rect=(0.01, 0.01, 0.98, 0.98)))
    top, middle, bottom = figure.subfigures(3, 1, height_ratios=[3, 0.85, 2.1], hspace=0.04)
    left, right = top.subfigures(1, 2, width_ratios=[1.9, 1], wspace=0.03)

    draw_training(left.subplots(), history)

    kernels = params[0]["weight"][:, 0]
    right.suptitle("What it looks for: its first 16 kernels", color=INK, fontsize=13)
    for kernel, axes in zip(kernels, right.subplots(4, 4).flat, strict=True):
        draw_signed(axes, kernel)

    example = int(np.flatnonzero(labels == 5)[0])
    shown, maps = middle.subfigures(1, 2, width_ratios=[1, 16])
    middle.suptitle("What each of them finds in this digit", color=INK, fontsize=13)
    draw_image(shown.subplots(), images[example, 0], "", INK)
    found = found_by_first_layer(params, state, images[example])
    for map_, axes in zip(found, maps.subplots(1, 16).flat, strict=True):
        draw_image(axes, map_ / max(float(map_.max()), 1e-6), "", "#c5cbd0")

    # The mistakes come first, then the images with the least probability of the true label.
    probabilities, read = tm.softmax(logits), logits.argmax(axis=-1)
    worst = np.lexsort((probabilities[np.arange(len(labels)), labels], read == labels))[:7]
    speaks = evidence(params, state, images[worst], labels[worst])[:, 0]
    mistakes = np.count_nonzero(read != labels)
    bottom.suptitle(
        f"Mistakes ({mistakes} of {len(labels)}), then the closest calls; below, the ink that speaks for the true "
        "label (green) and against it (red)",
        color=INK, fontsize=13,
    )  # fmt: skip
    pairs = bottom.subplots(2, 7)
    for column, i in enumerate(worst):
        color = RIGHT if read[i] == labels[i] else WRONG
        title = f"reads {read[i]}, {probabilities[i].max():.0%} sure" + ("" if color == RIGHT else f", is {labels[i]}")
        draw_image(pairs[0, column], images[i, 0], title, color)
        draw_signed(pairs[1, column], speaks[column])
    figure.savefig(path, dpi=110)


def draw_training(axes: Any, history: dict[str, list[float]]) -> None:
    """Draw the loss of every step, and the accuracy after every epoch."""
    steps, epochs = len(history["step_loss"]), len(history["loss"])
    ends = np.arange(1, epochs + 1) * steps / epochs
    axes.plot(history["step_loss"], color=INK, alpha=0.22, linewidth=0.8, label="loss of each step")
    axes.plot(ends, history["loss"], color=INK, linewidth=2, label="mean of each epoch")
    axes.axvline(
        ends[epochs // 2 - 1] if epochs > 1 else 0, color=INK, linestyle=":", label="saved, loaded, gone on with"
    )
    axes.set(yscale="log", xlabel="step", ylabel="cross-entropy", ylim=(0.5, 3.0))
    axes.set_yticks([0.5, 0.7, 1, 1.5, 2, 3], ["0.5", "0.7", "1", "1.5", "2", "3"])
    axes.set_yticks([], minor=True)
    axes.set_title("The loss, and how much it reads rightly", color=INK, fontsize=13, pad=10)
    other = axes.twinx()
    other.plot(
        ends,
        history["validation"],
        color=RIGHT,
        linewidth=2,
        marker="o",
        markersize=3,
        label="of 100 others, right",
    )
    other.set(ylim=(0.5, 1.01))
    other.set_yticks([0.5, 0.6, 0.7, 0.8, 0.9, 1.0], ["50 %", "60 %", "70 %", "80 %", "90 %", "100 %"], color=RIGHT)
    lines = axes.get_lines() + other.get_lines()
    axes.legend(lines, [line.get_label() for line in lines], frameon=False, loc="center right")
    for each in (axes, other):
        each.spines[["top", "right"]].set_visible(False)


def draw_image(axes: Any, image: Array, title: str, color: str) -> None:
    """Draw one image of numbers in [0, 1], with a title above it."""
    axes.imshow(image, cmap="Greys", vmin=0, vmax=1, interpolation="nearest")
    axes.set_title(title, color=color, fontsize=10, pad=4)
    frame(axes, color)


def draw_signed(axes: Any, image: Array) -> None:
    """Draw one image of positive (green) and negative (red) numbers."""
    limit = float(np.abs(image).max())
    colors = LinearSegmentedColormap.from_list("signed", [WRONG, "white", RIGHT])
    axes.imshow(image, cmap=colors, vmin=-limit, vmax=limit, interpolation="nearest")
    frame(axes, "#c5cbd0")


def frame(axes: Any, color: str) -> None:
    """Draw a frame without ticks."""
    axes.set(xticks=[], yticks=[])
    for edge in axes.spines.values():
        edge.set(color=color, linewidth=1.2)


# ---------------------------------------------------------------------------------------------------------------------
# 6. All together


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, test, draw."""
    parser = argparse.ArgumentParser(description="Train a convolutional network on handwritten digits.")
    parser.add_argument("--epochs", type=int, default=8, help="how often to go through the images (default 8)")
    parser.add_argument("--out", type=Path, default=Path("digits_cnn.png"), help="the picture (default digits_cnn.png)")
    options = parser.parse_args(arguments)
    if options.epochs < 1:
        parser.error(f"--epochs must be at least 1, not {options.epochs}")
    if not options.out.parent.is_dir():
        parser.error(f"--out: there is no directory {options.out.parent}")

    learn, watch, test = split_data()
    print("The model, for any number of images:\n")
    layers.summary(model, (None, 1, 8, 8))
    print()

    fitted, history, seconds = train(learn, watch, options.epochs)

    logits, _ = model.apply(fitted.params, test[0], state=fitted.model_state)
    moved = [
        accuracy(model.apply(fitted.params, shifted(test[0], by), state=fitted.model_state)[0], test[1])
        for by in (-1, 1)
    ]
    draw(options.out, history, fitted, test, logits)
    print(f"\n{len(history['step_loss']):,} steps: {seconds[0]:.1f} s op by op, then {seconds[1]:.1f} s compiled.")
    print(f"Test accuracy: {accuracy(logits, test[1]):.2%} of {len(test[1])} images that it had never seen.")
    print(f"The same images, moved to the side by one pixel: {np.mean(moved):.2%}.")
    print(f"The picture is in {options.out}.")


if __name__ == "__main__":
    main()
