"""Signatures: what is read off a function, what is accepted, and that jaxtyping agrees."""

import functools
import inspect
import threading
from collections.abc import Sequence
from typing import Annotated, Any, Optional, Union, cast

import numpy as np
import numpy.typing as npt
import pytest
from beartype import beartype, door
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import AnnotationError, Float, Int, Shaped, TypeCheckError
from jaxtyping import jaxtyped as _jaxtyped  # pyright: ignore[reportUnknownVariableType]

from tapem.errors import DTypeError, ShapeError, TapeError
from tapem.types import Signature, Tensor, type_text

from .signatures import (
    F32,
    F64,
    I64,
    Eigen,
    Function,
    ShapeDtype,
    Vector,
    chunks,
    eigen,
    f32,
    halves,
    heads,
    linear,
    masked,
    message,
    stack,
)

jaxtyped = cast(Any, _jaxtyped)


# Reading a function -----------------------------------------------------------------------------------------------


def test_type_text() -> None:
    dtypes = ("bool", "i1", "i8", "u1", "f2", "f4", "f8", ">f4", "c8", "c16")
    texts = [type_text((), dtype) for dtype in dtypes]
    assert texts == ["bool[]", "i8[]", "i64[]", "u8[]", "f16[]", "f32[]", "f64[]", "f32[]", "c64[]", "c128[]"]
    assert type_text((32, 0, 128), np.float32) == "f32[32,0,128]"


def test_operands_in_order_and_text() -> None:
    signature = Signature.of(linear)
    assert (signature.name, str(signature)) == ("linear", "linear(weight, bias, x)")
    assert [(o.name, o.text, o.optional, o.variadic) for o in signature.operands] == [
        ("weight", 'Float[Tensor, "out in"]', False, False),
        ("bias", 'Float[Tensor, "out"]', False, False),
        ("x", 'Float[Tensor, "*batch in"]', False, False),
    ]
    assert signature.operands[0].annotation is linear.__annotations__["weight"]
    assert signature.result is linear.__annotations__["return"]
    assert dict(signature.static) == {} and not signature.uses_static


def test_static_parameters() -> None:
    def pool(x: Float[Tensor, "..."], kernel: tuple[int, ...], mode: str = "max", *, c: Vector, eps: float = 1e-6): ...

    signature = Signature.of(pool, name="max_pool")
    assert str(signature) == "max_pool(x, c)"
    assert signature.static == {"kernel": inspect.Parameter.empty, "mode": "max", "eps": 1e-6}


def test_static_parameters_that_annotations_mention() -> None:
    signature = Signature.of(heads)
    assert signature.static_names == ("num_heads",) and signature.uses_static


@pytest.mark.parametrize(
    ("annotation", "text", "optional"),
    [
        (Float[Tensor, "n"], 'Float[Tensor, "n"]', False),
        (Vector, 'Float[Tensor, "n"]', False),
        (Optional[Vector], 'Float[Tensor, "n"] | None', True),  # noqa: UP045
        (Union[Vector, Int[Tensor, "k"], None], 'Float[Tensor, "n"] | Int[Tensor, "k"] | None', True),  # noqa: UP007
        (Float[Tensor, ""] | float, 'Float[Tensor, ""] | float', False),
        (Annotated[Vector, "units: metres"], 'Float[Tensor, "n"]', False),
        (Float[Any, "n"], 'Float[Any, "n"]', False),
        (Float[ShapeDtype, "n"], 'Float[ShapeDtype, "n"]', False),
        (np.ndarray, "Tensor", False),
        (npt.NDArray[Any], "Tensor", False),
        (npt.NDArray[np.float64], "NDArray[float64]", False),
        ("Float[Tensor, 'n']", 'Float[Tensor, "n"]', False),
    ],
)
def test_what_counts_as_a_tensor(annotation: Any, text: str, optional: bool) -> None:
    def f(x: Any) -> None: ...

    f.__annotations__ = {"x": annotation}
    [operand] = Signature.of(f).operands
    assert (operand.text, operand.optional) == (text, optional)
    Signature.of(f).verify([ShapeDtype((3,), F64) if "float" not in text or "NDArray" in text else 1.5])


def test_functions_without_annotations() -> None:
    def f(x, y, axis=-1, *, scale): ...  # pyright: ignore

    signature = Signature.of(f)  # pyright: ignore[reportUnknownArgumentType]
    assert str(signature) == "f(x, y)" and set(signature.static) == {"axis", "scale"}
    signature.verify([f32(3), 2])
    assert Signature.of(np.tanh).name == "tanh"
    assert repr(Signature.of(functools.partial(linear, np.ones((2, 3))), name="applied")) == (
        'applied(bias: Float[Tensor, "out"], x: Float[Tensor, "*batch in"]) -> Float[Tensor, "*batch out"]'
    )


def test_unreadable_signatures() -> None:
    def f(x: "Unknown") -> None: ...  # pyright: ignore

    with pytest.raises(TapeError, match=r"^f: its signature cannot be read: name 'Unknown' is not defined$"):
        Signature.of(f)  # pyright: ignore[reportUnknownArgumentType]
    with pytest.raises(TapeError, match=r"^dict: its signature cannot be read: "):
        Signature.of(dict)


# Accepting --------------------------------------------------------------------------------------------------------


def test_a_verified_combination_is_remembered() -> None:
    signature = Signature.of(linear)
    inputs = [f32(4, 3), f32(4), f32(7, 3)]
    signature.verify(inputs)
    signature.verify(inputs, f32(7, 4))
    pairs = ((4, 3), F32), ((4,), F32), ((7, 3), F32)
    assert signature.accepted == {(*pairs, None), (*pairs, ((7, 4), F32))}
    assert signature.key_of(inputs) in signature.accepted
    assert signature.key_of(inputs, f32(7, 4)) in signature.accepted
    assert signature.key_of(inputs, f32(4, 7)) not in signature.accepted


def test_jaxtyping_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    judge: Any = door.is_bearable
    monkeypatch.setattr("beartype.door.is_bearable", lambda x, hint: asked.append(hint) or judge(x, hint))  # type: ignore
    signature = Signature.of(masked)
    for _ in range(3):
        signature.verify([f32(3), None], f32(3))
    assert len(asked) == 2


def test_keys() -> None:
    signature = Signature.of(masked)
    assert signature.key_of([True]) == (((), np.dtype("bool")), None)
    numbers = ((), I64), None, ((), F64), ((), np.dtype("complex128")), ((), F32)
    assert signature.key_of([2, None, 2.0, 2j], np.float32(2)) == numbers
    assert Signature.of(halves).key_of([f32(4)], (f32(2), f32(2))) == (((4,), F32), (((2,), F32), ((2,), F32)))
    assert Signature.of(heads).key_of([f32(4), f32(3, 8)]) == (((4,), F32), ((3, 8), F32), None, ((int, 2),))
    static = {"num_heads": 4}
    assert Signature.of(heads).key_of([f32(3), 1], f32(2), static=static) == (
        *(((3,), F32), ((), I64)),
        *(((2,), F32), ((int, 4),)),
    )


def test_an_input_is_never_mistaken_for_a_result() -> None:
    signature = Signature.of(stack)
    calls: list[tuple[list[object], object]] = [([f32(3)] * 2, None), ([f32(3)], f32(3)), ([f32(3)], (f32(3),))]
    assert len({signature.key_of(*call) for call in calls}) == 3


def test_no_memory_is_touched() -> None:
    million = 1_000_000
    Signature.of(linear).verify([f32(million, million), f32(million), f32(million, million)], f32(million, million))


@pytest.mark.parametrize(
    ("function", "inputs", "result"),
    [
        (linear, [f32(4, 3), f32(4), f32(3)], f32(4)),
        (linear, [f32(4, 3), f32(4), f32(2, 0, 3)], f32(2, 0, 4)),
        (linear, [np.ones((4, 3)), np.ones(4), np.ones(3, np.float16)], np.ones(4)),
        (masked, [f32(3)], f32(3)),
        (masked, [f32(3), None], f32(3)),
        (masked, [f32(3), np.ones(3, bool)], f32(3)),
        (stack, [], f32(0)),
        (stack, [f32(2), f32(2), f32(2)], f32(3, 2)),
        (halves, [f32(6)], (f32(3), f32(3))),
        (chunks, [f32(6)], (f32(3), f32(3))),
        (chunks, [f32(6)], [f32(3)] * 50),
        (chunks, [f32(6)], ()),
        (eigen, [f32(3, 3)], Eigen(np.ones(3), np.ones((3, 3)))),
        (heads, [f32(3), f32(5, 6)], f32(2, 5, 3)),
    ],
)
def test_accepts(function: Function, inputs: list[object], result: object) -> None:
    signature = Signature.of(function)
    signature.verify(inputs, result)
    assert signature.accepted == {signature.key_of(inputs, result)}


def test_numbers_are_scalars_as_values_and_as_annotations() -> None:
    def scale(x: Float[Tensor, "..."], c: Float[Tensor, ""] | float | int) -> Float[Tensor, "..."]: ...

    for c in (2, 2.0, np.float32(2), np.int64(2), np.array(2.0)):
        Signature.of(scale).verify([f32(3), c], f32(3))
    assert message(scale, [f32(3), True]) == (
        "DTypeError: scale(x, c): c is bool, where Float or Int is required\n"
        '  x: Float[Tensor, "..."]             f32[3]\n'
        '  c: Float[Tensor, ""] | float | int  bool[]\n'
        "  hint: use int(c)"
    )


def test_static_values_are_part_of_the_verdict() -> None:
    signature = Signature.of(heads)
    signature.verify([f32(3), f32(5, 6)], f32(2, 5, 3))
    signature.verify([f32(2), f32(5, 6)], f32(3, 5, 2), static={"num_heads": 3})
    assert len(signature.accepted) == 2
    assert not verify_accepts(heads, [f32(2), f32(5, 6)], f32(3, 5, 2), num_heads=2)


def test_a_static_value_that_cannot_be_hashed_is_not_remembered() -> None:
    def tiled(x: Float[Tensor, "{len(repeats)}"], repeats: list[int]) -> Float[Tensor, "..."]: ...

    signature = Signature.of(tiled)
    signature.verify([f32(2)], static={"repeats": [3, 4]})
    assert signature.static_names == ("repeats",) and not signature.accepted
    with pytest.raises(ShapeError):
        signature.verify([f32(2)], static={"repeats": [3]})


def test_annotations_may_refer_to_operands() -> None:
    def last(x: Float[Tensor, "*s n"]) -> Float[Tensor, "{x.shape[-1]}"]: ...

    Signature.of(last).verify([f32(5, 3)], f32(3))
    with pytest.raises(ShapeError, match=r"axis '\{x.shape\[-1\]\}' of result \(4,\) must be 3 but is 4\n"):
        Signature.of(last).verify([f32(5, 3)], f32(4))


def test_the_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tapem.types.signature._CACHE_LIMIT", 3)
    signature = Signature.of(masked)
    sizes: list[int] = []
    for n in range(8):
        signature.verify([f32(n)])
        sizes.append(len(signature.accepted))
    assert sizes == [1, 2, 3, 1, 2, 3, 1, 2]


# Agreement with jaxtyping -----------------------------------------------------------------------------------------

SIZES = st.integers(0, 5)


def decorated_accepts(function: Function, arrays: Sequence[object], **static: object) -> bool:
    """The verdict of jaxtyping's own decorator, on real arrays and on the result that the function really gives."""
    try:
        jaxtyped(function, typechecker=beartype)(*arrays, **static)
    except TypeCheckError:
        return False
    return True


def verify_accepts(function: Function, inputs: Sequence[object], result: object = None, **static: object) -> bool:
    try:
        Signature.of(function).verify(inputs, result, static=static)
    except (ShapeError, DTypeError):
        return False
    return True


@st.composite
def linear_shapes(draw: st.DrawFn) -> list[tuple[int, ...]]:
    out, in_, batch = draw(SIZES), draw(SIZES), draw(st.lists(SIZES, max_size=3))
    return [(out, in_), (out,), (*batch, in_)]


@given(shapes=linear_shapes(), dtype=st.sampled_from(["f2", "f4", "f8"]))
@settings(deadline=None)
def test_consistent_shapes_pass_both(shapes: list[tuple[int, ...]], dtype: str) -> None:
    arrays = [np.zeros(shape, dtype) for shape in shapes]
    assert decorated_accepts(linear, arrays)
    assert verify_accepts(linear, arrays, linear(*arrays))
    assert verify_accepts(linear, [ShapeDtype(x.shape, x.dtype) for x in arrays])


@given(shapes=linear_shapes(), which=st.sampled_from([(0, 0), (0, 1), (1, 0), (2, -1)]), by=st.integers(1, 3))
@settings(deadline=None)
def test_one_perturbed_axis_is_refused_by_both(shapes: list[tuple[int, ...]], which: tuple[int, int], by: int) -> None:
    operand, axis = which
    shape = list(shapes[operand])
    shape[axis] += by
    shapes[operand] = tuple(shape)
    arrays = [np.zeros(shape, np.float32) for shape in shapes]
    assert not decorated_accepts(linear, arrays)
    assert not verify_accepts(linear, arrays)


@given(n=SIZES, d=SIZES, num_heads=st.integers(1, 4), extra=st.integers(0, 1))
@settings(deadline=None)
def test_static_axes_agree(n: int, d: int, num_heads: int, extra: int) -> None:
    def same(x: Float[Tensor, "d"], y: Float[Tensor, "n {num_heads}*d"], *, num_heads: int) -> None: ...

    arrays = [np.zeros(d), np.zeros((n, num_heads * d + extra))]
    assert decorated_accepts(same, arrays, num_heads=num_heads) is (extra == 0)
    assert verify_accepts(same, arrays, num_heads=num_heads) is (extra == 0)


AXES = st.sampled_from(["a", "b", "#a", "2", "#2", "_", "a+1", "2*b", "*s", "*#s", "...", "k=3", "*_t"])


@st.composite
def annotations(draw: st.DrawFn) -> Any:
    axes = draw(st.lists(AXES, max_size=3))
    batches = [i for i, axis in enumerate(axes) if axis[0] in "*."]
    axes = [axis for i, axis in enumerate(axes) if i not in batches[1:]]  # jaxtyping allows only one
    kind: Any = draw(st.sampled_from([Float, Int, Shaped]))
    return kind[Tensor, " ".join(axes)]


SHAPES = st.lists(st.integers(0, 3), max_size=3).map(tuple)


@given(st.lists(annotations(), min_size=3, max_size=3), st.lists(SHAPES, min_size=3, max_size=3), st.data())
@settings(deadline=None, max_examples=500)
def test_any_annotation_gets_jaxtypings_verdict(
    hints: list[Any], shapes: list[tuple[int, ...]], data: st.DataObject
) -> None:
    def f(x: Any, y: Any, z: Any) -> None: ...

    f.__annotations__ = dict(zip("xyz", hints, strict=True))
    dtypes = data.draw(st.lists(st.sampled_from(["f4", "f4", "i8"]), min_size=3, max_size=3))
    arrays = [np.zeros(shape, dtype) for shape, dtype in zip(shapes, dtypes, strict=True)]
    try:
        jaxtyped(f, typechecker=beartype)(*arrays)
        verdict = None
    except (TypeCheckError, AnnotationError) as error:
        verdict = type(error)
    try:
        Signature.of(f).verify(arrays)
        assert verdict is None
    except (ShapeError, DTypeError) as error:
        assert verdict is TypeCheckError
        assert "does not fit" not in str(error), "the explanation was not found"
    except TapeError:
        assert verdict is AnnotationError


# Threads ----------------------------------------------------------------------------------------------------------


def test_threads_share_one_signature() -> None:
    signature, threads, rounds = Signature.of(linear), 8, 30
    start, failures = threading.Barrier(threads), list[str]()

    def work(seed: int) -> None:
        start.wait()
        for i in range(rounds):
            n = (seed + i) % 10 + 1
            signature.verify([f32(n, 3), f32(n), f32(seed + 1, 3)], f32(seed + 1, n))
            try:
                signature.verify([f32(n, 3), f32(n), f32(seed + 1, 4)])
                failures.append(f"accepted by thread {seed}")
            except ShapeError as error:
                expected = f"axis 'in' is 3 in weight ({n}, 3) but 4 in x ({seed + 1}, 4)\n"
                if expected not in str(error):
                    failures.append(str(error))

    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert failures == []
    assert len(signature.accepted) == threads * 10
