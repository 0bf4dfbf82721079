"""A transformer that learns to write Python, character by character, from the source of Python's standard library.

    python examples/char_transformer.py

trains a small causal transformer for five to ten minutes on text that comes with every Python, measures how well it
predicts files that it has never seen, and draws `char_transformer.png`. The measure is bits per character: the average
number of yes-no questions that are needed to learn the next character. The baseline is an n-gram model, which only
counts, and which is computed here too. The transformer ends at 1.93 bits, the best n-gram model at 2.26, on the modules
of Python 3.11. Read the file from top to bottom. It needs the extra `examples`: tqdm for the progress bar, matplotlib
for the picture.
"""

import argparse
import sysconfig
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from threadpoolctl import threadpool_limits
from tqdm import tqdm

import layers
import losses
import tapem as tm
from layers import Embedding, Layer, LayerNorm, Linear, TransformerBlock

Array: TypeAlias = npt.NDArray[Any]

# ---------------------------------------------------------------------------------------------------------------------
# 1. The text
#
# The text is the modules of the standard library, about five million characters. An alphabet of 96 is enough: the
# printable characters of ASCII and the end of a line; any other character becomes a question mark. Every twentieth file
# is held out: the model never learns from it.

LETTERS = "\n" + "".join(map(chr, range(32, 127)))
CODES = np.full(0x110000, LETTERS.index("?"), np.uint8)
CODES[[ord(letter) for letter in LETTERS]] = np.arange(len(LETTERS))


def encode(text: str) -> Array:
    """The number of every character of a text."""
    return CODES[np.frombuffer(text.expandtabs(4).encode("utf-32-le"), np.uint32)]


def decode(codes: Array) -> str:
    """The text of these numbers."""
    return "".join(LETTERS[code] for code in codes)


def read_library() -> tuple[Array, Array]:
    """The text to learn from, and the held-out text."""
    files = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))
    texts = [encode(file.read_text(encoding="utf-8", errors="replace")) for file in files]
    learn = [text for i, text in enumerate(texts) if i % 20 != 10]
    return np.concatenate(learn), np.concatenate(texts[10::20])


# ---------------------------------------------------------------------------------------------------------------------
# 2. The baseline: counting
#
# How likely is a character after the n - 1 before it? An n-gram model looks up how often it occurred there. If it has
# seen little, it trusts the shorter context more: with N occurrences of a context, followed by T different characters,
# the counts have the weight N / (N + T), and the model of the next shorter context has the rest.
# Source: I. Witten and T. Bell, The Zero-Frequency Problem, IEEE Transactions on Information Theory 37, 1991.


def n_gram_bits(learn: Array, text: Array, longest: int = 6) -> list[float]:
    """The bits per character of `text`, for n-gram models of n = 1 to `longest` that have counted `learn`."""
    size = len(LETTERS)
    likely = np.full(len(text), 1 / size)
    bits: list[float] = []
    for n in range(1, longest + 1):
        grams, numbers = np.unique(grams_of(learn, n), return_counts=True)
        contexts, first = np.unique(grams // size, return_index=True)
        followers = np.diff(first, append=len(grams))
        totals = np.add.reduceat(numbers, first)
        asked = grams_of(text, n)
        counted = look_up(grams, numbers, asked)
        total, different = (look_up(contexts, what, asked // size) for what in (totals, followers))
        mixed = (counted + different * likely[n - 1 :]) / np.maximum(total + different, 1)
        likely[n - 1 :] = np.where(total, mixed, likely[n - 1 :])
        bits.append(float(-np.log2(likely).mean()))
    return bits


def grams_of(codes: Array, n: int) -> Array:
    """Every sequence of n characters as one number."""
    grams = np.zeros(len(codes) - n + 1, np.int64)
    for i in range(n):
        grams = grams * len(LETTERS) + codes[i : len(codes) - n + 1 + i]
    return grams


def look_up(keys: Array, values: Array, asked: Array) -> Array:
    """The value of each of the asked keys, or 0 if there is none; `keys` are sorted."""
    at = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
    return np.where(keys[at] == asked, values[at], 0)


# ---------------------------------------------------------------------------------------------------------------------
# 3. The model
#
# Your own layer is a frozen dataclass with `init` and `forward`: here it tells each character its position in the
# window. Everything else comes from the package. Attention is causal: a character sees the characters before it, and
# never those that it must predict. So one run of a window of 64 characters is 64 exercises at once.

WINDOW, WIDTH, HEADS, BLOCKS = 64, 96, 4, 3


@dataclass(frozen=True)
class Positions(Layer):
    """Add to the vector at every position a learned vector of that position."""

    places: int
    width: int

    def init(self, key: Array, input_shape: Any = None) -> Any:
        """Draw small random numbers."""
        return {"table": layers.initializers.normal(key, (self.places, self.width))}

    def forward(self, params: Any, x: Any, *, key: Any = None, train: bool = False) -> Any:
        """Add to x as many rows of the table as x is long."""
        return x + params["table"][: x.shape[-2]]


blocks = [TransformerBlock(WIDTH, HEADS, causal=True) for _ in range(BLOCKS)]
model = layers.Sequential(
    Embedding(len(LETTERS), WIDTH), Positions(WINDOW, WIDTH), *blocks, LayerNorm(WIDTH), Linear(WIDTH, len(LETTERS))
)


def objective(params: Any, windows: Array) -> Any:
    """The cross-entropy of every character of the windows but the first, given those before it."""
    return losses.cross_entropy(model.apply(params, windows[:, :-1]), windows[:, 1:])


# ---------------------------------------------------------------------------------------------------------------------
# 4. The training
#
# Some gradients are a hundred times as large as usual, so they are clipped. The rate grows at first, while Adam has
# few statistics, and then falls to zero. A step is a pure function of the parameters, the state and the windows, and
# the windows are a function of the step's number; so the training can be repeated to the last bit.


def train(params: Any, learn: Array, held: Array, steps: int, batch: int = 16) -> tuple[Any, Array, list[Any]]:
    """The trained parameters, the bits of every step, and for some steps (step, bits of held-out text)."""
    optimizer = tm.optim.adamw(tm.optim.warmup_cosine(4e-3, steps // 20, steps), weight_decay=0.01)
    state = optimizer.init(params)
    step = tm.value_and_grad(objective)
    history = np.zeros(steps)
    tested: list[Any] = []
    keys = tm.random.split(tm.random.key(2), steps)
    with tqdm(range(steps), desc="training", unit="step") as bar:
        for number in bar:
            starts = tm.random.integers(keys[number], (batch, 1), high=len(learn) - WINDOW)
            loss, gradients = step(params, learn[starts + np.arange(WINDOW + 1)].astype(int))
            gradients = tm.optim.clip_by_global_norm(gradients, 1.0)
            params, state = optimizer.update(gradients, state, params)
            history[number] = loss / np.log(2)
            if number % 250 == 249 or number == steps - 1:
                tested.append((number + 1, bits_of(params, held, apart=16 * WINDOW).mean()))
                bar.set_postfix(bits=f"{history[: number + 1][-250:].mean():.2f}", held_out=f"{tested[-1][1]:.2f}")
    return params, history, tested


def bits_of(params: Any, text: Array, apart: int = WINDOW // 2) -> Array:
    """The bits of each character of a text, given at least half a window of the characters before it.

    Only the second half of a window counts, so windows that begin half a window apart give the whole text but its
    beginning; fewer windows give a sample of it.
    """
    half = WINDOW // 2
    starts = np.arange(0, len(text) - WINDOW, apart)[:, None]
    costs = [
        losses.cross_entropy(model.apply(params, windows[:, :-1])[:, half:], windows[:, half + 1 :], reduction="none")
        for windows in np.array_split(text[starts + np.arange(WINDOW + 1)].astype(int), len(starts) // 64 + 1)
    ]
    return np.concatenate(costs).ravel() / np.log(2)


# ---------------------------------------------------------------------------------------------------------------------
# 5. Writing
#
# Ask the model for the probabilities of the next character, draw one, append it, and repeat. A temperature below 1
# makes likely characters even more likely.


def write(params: Any, prompt: str, length: int, temperature: float = 0.7) -> str:
    """The prompt, and the text that the model writes after it."""
    codes = encode(prompt).astype(int)
    for key in tm.random.split(tm.random.key(3), length):
        logits = model.apply(params, codes[-WINDOW:])[-1].astype(float)
        chances = np.cumsum(tm.softmax(logits / temperature))
        codes = np.append(codes, np.searchsorted(chances, tm.random.uniform(key) * chances[-1]))
    return decode(codes)


# ---------------------------------------------------------------------------------------------------------------------
# 6. The picture
#
# The rest is matplotlib, and can be skipped.

INK, GOOD, BAD = "#22303c", "#2a7f62", "#c8553d"


def draw(path: Path, history: Array, tested: Sequence[Any], counted: Sequence[float], passage: Any, text: str) -> None:
    """Draw the bits over time; a held-out passage, darker where it surprised the model; and text by the model."""
    figure: Any = Figure(figsize=(13, 8.6))
    curve = figure.add_axes((0.06, 0.09, 0.36, 0.82))
    curve.plot(history, color=INK, alpha=0.15, linewidth=0.6, label="each step, on what it learns from")
    curve.plot(*zip(*tested, strict=True), color=INK, linewidth=2, marker="o", markersize=3, label="held-out text")
    for n, bits in enumerate(counted, 1):
        if 2 <= n <= 5:
            curve.axhline(bits, color=BAD, linestyle=":", linewidth=1.6 if bits == min(counted) else 0.8)
            curve.annotate(f"n = {n}: {bits:.2f}", (1, bits), (4, 2), ("axes fraction", "data"), "offset points",
                           ha="right", color=BAD, fontsize=9)  # fmt: skip
    curve.set(xlabel="step", ylabel="bits per character", ylim=(1.4, 4.5))
    curve.set_title("The transformer, and models that count", color=INK, fontsize=13)
    curve.spines[["top", "right"]].set_visible(False)
    curve.legend(frameon=False, loc="upper right")

    letters, costs = passage
    shades = [(0.784, 0.333, 0.239, min(cost / 9, 1.0)) for cost in costs]
    show_text(figure.add_axes((0.47, 0.52, 0.52, 0.39)), "Held-out text; red is what surprised it", letters, shades)
    show_text(figure.add_axes((0.47, 0.05, 0.52, 0.39)), "What it writes by itself", text, None)
    figure.savefig(path, dpi=110)


def show_text(axes: Any, title: str, text: str, shades: Sequence[Any] | None, wide: int = 80, high: int = 20) -> None:
    """Draw a text in letters of one width, with a color behind each."""
    axes.set(xlim=(0, wide), ylim=(high, 0), xticks=[], yticks=[])
    axes.set_title(title, color=INK, fontsize=13)
    column, line = 0, 0
    for i, letter in enumerate(text):
        if letter == "\n" or column == wide:
            column, line = 0, line + 1
        if line == high:
            break
        if letter != "\n":
            if shades is not None:
                axes.axvspan(column, column + 1, 1 - (line + 1) / high, 1 - line / high, color=shades[i], linewidth=0)
            axes.text(column + 0.5, line + 0.5, letter, family="monospace", fontsize=7.5, ha="center", va="center",
                      color=INK, parse_math=False)  # fmt: skip
            column += 1


# ---------------------------------------------------------------------------------------------------------------------
# 7. All together


def main(arguments: Sequence[str] | None = None) -> None:
    """Count, train, test, write, draw."""
    parser = argparse.ArgumentParser(description="Train a small transformer on the text of the standard library.")
    parser.add_argument("--steps", type=int, default=4000, help="how many steps to train (default 4000)")
    parser.add_argument("--characters", type=int, help="how much of the text to learn from (default all of it)")
    parser.add_argument("--letters", type=int, default=900, help="how many characters to write (default 900)")
    parser.add_argument("--out", type=Path, default=Path("char_transformer.png"), help="the picture")
    options = parser.parse_args(arguments)
    if options.steps < 1 or options.letters < 0 or (options.characters or 10_000) < 10_000:
        parser.error("--steps must be at least 1, --letters at least 0, and --characters at least 10000")
    if not options.out.parent.is_dir():
        parser.error(f"--out: there is no directory {options.out.parent}")

    learn, held = read_library()
    if options.characters:
        learn, held = learn[: options.characters], held[: options.characters // 5]
    print(f"{len(learn):,} characters to learn from, {len(held):,} held out.")
    counted = n_gram_bits(learn, held)
    print("An n-gram model needs", ", ".join(f"{bits:.2f} (n = {n})" for n, bits in enumerate(counted, 1)))
    print("bits for a character of the held-out text.\n")

    params = model.init(tm.random.key(1))
    layers.summary(model, (None, WINDOW))
    print()
    start = time.perf_counter()
    # One thread is fastest for matrices as small as these.
    with threadpool_limits(1):
        params, history, tested = train(params, learn, held, options.steps)
        seconds = time.perf_counter() - start
        bits = bits_of(params, held)
        text = write(params, "def ", options.letters)

    judged = decode(held[WINDOW // 2 + 1 :])[: len(bits)]
    begin = judged.index("\n", len(judged) // 10) + 1
    passage = judged[begin : begin + 2000], bits[begin : begin + 2000]
    draw(options.out, history, tested, counted, passage, text)
    print(f"\n{text}\n")
    print(f"{options.steps:,} steps in {seconds:.0f} s.")
    print(
        f"Held-out text: {bits.mean():.2f} bits per character; the best n-gram model (n = "
        f"{int(np.argmin(counted)) + 1}) needs {min(counted):.2f}."
    )
    print(f"The picture is in {options.out}.")


if __name__ == "__main__":
    main()
