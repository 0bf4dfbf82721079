"""Composites: tangents of structures, field by field."""

import copy
import dataclasses
import pickle
from collections import OrderedDict

import numpy as np
import pytest

from tapem.tangents import (
    Composite,
    add,
    backing,
    canonicalize,
    extern,
    thunk,
)

from .operands import (
    A,
    Affine,
    C,
    D,
    I,
    Operand,
    Point,
    Z,
    ordered,
    v,
)


@pytest.mark.parametrize(
    ("tangent", "primal", "moved"),
    [
        (Composite(tuple, 0.5, Z), (1.0, 2.0), (1.5, 2.0)),
        (Composite(list, 0.5, thunk(1.0)), [1.0, 2.0], [1.5, 3.0]),
        (Composite(Point, y=0.5), Point(1.0, 2.0), Point(1.0, 2.5)),
        (Composite(Affine, weight=0.5, units=D), Affine(1.0, 2.0, 3), Affine(1.5, 2.0, 3)),
        (Composite(dict, w=0.5), {"w": 1.0, "b": 2.0}, {"w": 1.5, "b": 2.0}),
        (Composite(dict, {0: 0.5}), {0: 1.0}, {0: 1.5}),
        (Composite(OrderedDict, w=0.5), ordered(w=1.0), ordered(w=1.5)),
        (Composite(tuple, Composite(Point, x=0.5)), (Point(1.0, 2.0),), (Point(1.5, 2.0),)),
        (Composite(tuple), (), ()),
    ],
    ids=["tuple", "list", "NamedTuple", "dataclass", "dict", "int-keys", "OrderedDict", "nested", "empty"],
)
def test_a_primal_plus_its_tangent_is_a_primal(tangent: Composite, primal: Operand, moved: Operand) -> None:
    before = copy.deepcopy(primal)
    for result in (primal + tangent, tangent + primal, add(primal, tangent), thunk(tangent) + primal):
        assert type(result) is type(primal) and result == moved
    assert primal - tangent * -1 == moved and primal + Z == primal
    assert primal == before


@dataclasses.dataclass
class Scaled:
    """A tangent together with twice itself, of one primal type."""

    once: Composite
    twice: Composite


ALL_KINDS = [
    Scaled(Composite(tuple, 1.0, A), Composite(tuple, 2.0, v(2, 4))),
    Scaled(Composite(list, 1.0, Z), Composite(list, 2.0, Z)),
    Scaled(Composite(Point, y=1.0), Composite(Point, y=2.0)),
    Scaled(Composite(Affine, weight=A, units=D), Composite(Affine, weight=v(2, 4), units=D)),
    Scaled(Composite(dict, w=I), Composite(dict, w=2)),
    Scaled(Composite(tuple, Composite(dict, w=1.0)), Composite(tuple, Composite(dict, w=2.0))),
]


@pytest.mark.parametrize("kind", ALL_KINDS, ids=lambda kind: repr(kind.once))
def test_linear_structure_of_composites(kind: Scaled) -> None:
    assert kind.once + kind.once == kind.twice
    for two in (2, 2.0, np.float32(2), np.array(2.0), thunk(2.0)):
        assert two * kind.once == kind.twice == kind.once * two
    assert kind.twice - kind.once == kind.once * 1 and (-1 * kind.once) == -kind.once
    assert kind.once + Z is kind.once and I * kind.once is kind.once and kind.once * Z is Z


def test_absent_fields_are_zero() -> None:
    p = Composite(Point, x=1.0)
    assert p.x == 1.0 and p.y is Z and p[0] == 1.0 and p[1] is Z and p[-1] is Z and p["y"] is Z
    assert list(p) == [1.0, Z] and len(p) == 2
    assert p + Composite(Point, y=2.0) == Composite(Point, x=1.0, y=2.0)
    assert Composite(dict, w=1.0)["absent"] is Z


def test_canonicalize_makes_them_explicit() -> None:
    p = Composite(Point, y=1.0)
    assert repr(p) == "Composite(Point, y=1.0)" and repr(canonicalize(p)) == "Composite(Point, x=Zero(), y=1.0)"
    assert canonicalize(p) == p and hash(canonicalize(p)) == hash(p)
    assert backing(Composite(Affine, bias=1.0)) == {"weight": Z, "bias": 1.0, "units": Z}
    for always in (C, Composite(dict, w=1.0)):
        assert canonicalize(always) == always and repr(canonicalize(always)) == repr(always)


def test_reading_fields() -> None:
    first, second = C
    assert (first, second) == (1.0, 2.0) and len(C) == 2 and C[0] == C[-2] == 1.0
    d = Composite(dict, {"w": 1.0, 3: 2.0}, b=4.0)
    assert list(d) == ["w", 3, "b"] and d["w"] == 1.0 and d[3] == 2.0 and len(d) == 3
    assert Composite(Affine, weight=A).weight is A


def test_reading_a_field_removes_one_layer_of_thunking_and_backing_none() -> None:
    inner = thunk(1.0)
    t = thunk(inner)
    p = Composite(Point, x=t)
    assert p.x is inner and p[0] is inner and next(iter(p)) is inner and backing(p)["x"] is t


def test_fields_may_have_any_name() -> None:
    @dataclasses.dataclass
    class Odd:
        self: float
        primal_type: float
        f: float

    odd = Composite(Odd, self=1.0, primal_type=2.0, f=3.0)
    assert (odd.self, odd.primal_type, odd.f) == (1.0, 2.0, 3.0)


def test_extern_gives_a_plain_value_of_the_primal_type() -> None:
    assert extern(Composite(tuple, thunk(thunk(1.0)), Z, I)) == (1.0, 0, 1)
    assert extern(Composite(list, 1.0)) == [1.0]
    assert extern(Composite(Point, y=thunk(2.0))) == Point(0, 2.0)
    assert extern(Composite(Affine, weight=1.0)) == Affine(1.0, 0, 0)
    assert extern(Composite(dict, w=thunk(1.0))) == {"w": 1.0}
    assert extern(thunk(Composite(tuple, Composite(Point, x=1.0)))) == (Point(1.0, 0),)


def test_equality_and_hash_of_composites() -> None:
    assert Composite(Point, x=1.0) == Composite(Point, x=1.0, y=Z) != Composite(Point, x=1.0, y=2.0)
    assert Composite(tuple, 1.0) != Composite(list, 1.0) and Composite(tuple, 1.0) != Composite(tuple, 1.0, Z)
    assert Composite(tuple, A) == Composite(tuple, A.copy()) != Composite(tuple, A + 1)
    assert Composite(tuple, A) != Composite(tuple, np.ones(3)) and Composite(tuple, Z) != Composite(tuple, 0.0)
    assert Composite(tuple, 1.0, 2.0) != (1.0, 2.0)
    assert Composite(dict, a=1.0, b=Z) == Composite(dict, a=1.0)
    assert hash(Composite(dict, a=1.0, b=Z)) == hash(Composite(dict, a=1.0))
    assert len({C, Composite(tuple, 1.0, 2.0), Composite(tuple, 1, 2)}) == 1
    with pytest.raises(TypeError, match="unhashable"):
        hash(Composite(tuple, A))


def test_truth_of_composites() -> None:
    assert C and not Composite(tuple, Z, D, 0.0) and not Composite(tuple) and not Composite(Point)


def test_repr_of_composites() -> None:
    assert repr(Composite(tuple, 1.0, Z)) == "Composite(tuple, 1.0, Zero())"
    assert repr(Composite(dict, w=A)) == "Composite(dict, {'w': array([1., 2.])})"
    assert repr(Composite(Point, x=np.zeros((32, 128), "f4"))) == "Composite(Point, x=float32[32,128])"
    assert repr(Composite(tuple)) == "Composite(tuple)" and repr(Composite(Point)) == "Composite(Point)"


def test_composites_are_copied_and_pickled_by_value() -> None:
    for x in (C, Composite(Point, x=A), Composite(Affine, bias=D), Composite(dict, {0: I})):
        for twin in (copy.copy(x), copy.deepcopy(x), *(pickle.loads(pickle.dumps(x, n)) for n in range(6))):
            assert type(twin) is Composite and twin == x
    assert backing(copy.deepcopy(Composite(tuple, Z)))[0] is Z


def test_composites_do_not_follow_later_changes_of_a_mapping() -> None:
    fields = {"w": 1.0}
    d = Composite(dict, fields)
    fields["w"] = 2.0
    backing(d)["w"] = 3.0
    assert d["w"] == 1.0
