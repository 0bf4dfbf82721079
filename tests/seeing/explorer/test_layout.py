"""The layout: rows in an order that can be read downward, lanes without nodes on a foreign line, blocks that nest."""

import numpy as np
import pytest

import tapem as tm
from layers import Linear, Relu
from tapem.seeing.explorer.layout import AT_ONCE, CHUNK, layout
from tests.programs.generate import program
from tests.programs.running import DIRECT


def random_tape(seed):
    drawn = program(seed)
    f = DIRECT.run(drawn)
    return tm.tape_of(lambda x: np.sum(np.real(f(x))), np.array(drawn.points[0]))


@pytest.mark.parametrize("seed", range(40))
def test_no_node_stands_on_the_line_of_another_value(seed):
    taped = random_tape(seed)
    nodes = list(taped.tape)
    plan = layout(nodes, taped.origins)
    place = {id: row for row, id in enumerate(plan.rows)}
    assert sorted(plan.rows) == list(range(len(nodes)))
    for node in nodes:
        for parent in node.parents:
            if parent is None:
                continue
            assert place[parent] < place[node.id]
            between = plan.rows[place[parent] + 1 : place[node.id]]
            assert plan.lanes[parent] not in {plan.lanes[id] for id in between}
    assert plan.width == max(plan.lanes.values()) + 1


def test_a_chain_needs_one_lane():
    taped = tm.tape_of(lambda x: np.exp(np.sin(np.cos(x))), 1.0)
    assert layout(list(taped.tape), taped.origins).width == 1


def test_blocks_nest_and_hold_their_rows():
    model = Linear(2, 3) >> Relu() >> Linear(3, 1)
    params = model.init(tm.random.key(0))
    taped = tm.tape_of(lambda params, x: np.sum(model.apply(params, x)), params, np.ones((1, 2), np.float32))
    plan = layout(list(taped.tape), taped.origins)
    labels = [folder.label for folder in plan.folders]
    assert labels == ["Sequential", "Linear(2, 3)", "Relu()", "Linear(3, 1)"]
    outer = plan.folders[0]
    assert [folder.parent for folder in plan.folders] == [-1, 0, 0, 0]
    assert all(outer.first <= folder.first <= folder.last <= outer.last for folder in plan.folders)
    rows = [plan.rows[folder.first : folder.last + 1] for folder in plan.folders[1:]]
    assert [len(row) for row in rows] == [4, 1, 3]


def test_a_long_tape_opens_folded_in_pieces():
    x, tape = tm.Tape().leaf(1.0)
    for _ in range(5000):
        x, tape = tape.record(tm.sin, x)
    plan = layout(list(tape), {})
    assert len(plan.folders) == -(-5001 // CHUNK)
    hidden = sum(folder.last - folder.first for folder in plan.folders if not folder.open)
    assert 5001 - hidden <= len(plan.folders) + AT_ONCE
