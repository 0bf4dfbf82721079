"""An op in `help`, in editors and in documentation tools: a function, with its shapes and its docstring."""

import copy
import inspect
import pickle
import pydoc
import typing

import numpy as np
import pytest
from jaxtyping import Float

import layers
import losses
import tapem as tm
from tapem.core.primitive import Primitive
from tapem.types import annotation_text

OPS = {
    f"{module.__name__}.{name}": op
    for module in (tm, layers, losses)
    for name, op in vars(module).items()
    if isinstance(op, Primitive)
}
Vector = Float[tm.Tensor, "n"]


@tm.primitive
def weighted(x: Vector, w: Vector | None = None, *, by: typing.Literal["mean", "sum"] = "sum") -> Float[tm.Tensor, ""]:
    """The sum of `x`, weighted."""
    return np.sum(x if w is None else w * x)


class Model:
    activation = tm.tanh
    linear = layers.linear


def test_there_are_ops():
    assert len(OPS) > 130


@pytest.mark.parametrize("name", OPS)
def test_help_shows_the_signature_with_shapes_and_the_docstring(name):
    op = OPS[name]
    title, _, head, *text = pydoc.plain(pydoc.render_doc(op)).split("\n")
    assert title.endswith(f" in module {op.__module__}")
    assert head.startswith(f"{op.__name__}(") and head.endswith(f") -> {inspect.signature(op).return_annotation}")
    for operand in op.signature.operands:
        assert f"{'*' * operand.variadic}{operand.name}: {operand.text}" in head
    assert "[" in str(inspect.signature(op).return_annotation)
    doc = inspect.getdoc(op)
    assert doc and doc == inspect.cleandoc(op.__wrapped__.__doc__)
    assert "\n".join(text).rstrip() == "\n".join(f"    {line}" for line in doc.split("\n")).rstrip()


@pytest.mark.parametrize("name", OPS)
def test_documentation_tools_take_it_for_a_function(name):
    op = OPS[name]
    # Sphinx's autodoc and pdoc document as a function what is a routine, under its names, with this signature.
    assert inspect.isroutine(op) and not inspect.isdatadescriptor(op)
    assert pickle.loads(pickle.dumps(op)) is op
    parameters = inspect.signature(op).parameters.values()
    assert [(p.name, p.kind, p.default) for p in parameters] == [
        (p.name, p.kind, p.default) for p in inspect.signature(op.__wrapped__).parameters.values()
    ]
    # Sphinx asks for the evaluated annotations, too.
    hints = typing.get_type_hints(op, include_extras=True)
    assert all(annotation_text(hints[operand.name]) == operand.text for operand in op.signature.operands)
    assert all(p.annotation is p.empty or repr(p.annotation) == str(p.annotation) for p in parameters)


def test_signatures_word_for_word():
    texts = {op.__name__: str(inspect.signature(op)) for op in (weighted, layers.linear, tm.sum)}
    assert texts == {
        "weighted": '(x: Float[Tensor, "n"], w: Float[Tensor, "n"] | None = None, *, '
        """by: Literal['mean', 'sum'] = 'sum') -> Float[Tensor, ""]""",
        "linear": '(weight: Float[Tensor, "out in"], bias: Float[Tensor, "out"], x: Float[Tensor, "*batch in"]) '
        '-> Float[Tensor, "*batch out"]',
        "sum": '(x: Num[Tensor, "..."], axis: int | tuple[int, ...] | None = None, keepdims: bool = False) '
        '-> Num[Tensor, "..."]',
    }


def test_the_page_of_a_module_lists_its_ops_as_functions():
    page = pydoc.plain(pydoc.render_doc(tm))
    functions, data = page[page.index("\nFUNCTIONS\n") :].split("\nDATA\n")
    for op in (tm.sin, tm.where, tm.matmul):
        assert f"\n    {op.__name__}{inspect.signature(op)}\n" in functions
        assert f"\n    {op.__name__} = " not in data


def test_an_op_in_a_class_is_no_method():
    assert Model.activation is tm.tanh and Model().activation is tm.tanh
    assert float(Model().activation(0.0)) == 0.0
    assert copy.deepcopy(Model()).linear is layers.linear


def test_the_classes_of_ops_have_signatures_of_their_own():
    assert "implementation" in inspect.signature(Primitive).parameters
    assert "implementation" in inspect.signature(type(tm.sin)).parameters
    assert pydoc.render_doc(type(tm.sin))


def test_ops_made_of_what_has_no_annotations():
    op = tm.primitive(lambda x, axis=0: x)
    assert str(inspect.signature(op)) == "(x, axis=0)"
    assert "<lambda> lambda x, axis=0" in pydoc.plain(pydoc.render_doc(op))
