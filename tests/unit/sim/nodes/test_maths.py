"""Results of the nodes that calculate, decide and choose."""

from typing import Any

import pytest

from comfyfarm.sim.nodes import NodeError
from comfyfarm.sim.values import ListValue, Picture
from tests.support.node_bench import Nodes


@pytest.mark.parametrize(
    ("expression", "values", "result"),
    [
        ("a + b", {"a": 2, "b": 3}, (5.0, 5, True)),
        ("a - 2", {"a": 2}, (0.0, 0, False)),
        ("a / 2", {"a": 5}, (2.5, 2, True)),
        ("a // 2 * 8 % 7", {"a": 5}, (2.0, 2, True)),
        ("2 ** 10", {}, (1024.0, 1024, True)),
        ("-a", {"a": 2.5}, (-2.5, -2, True)),
        ("max(a, b, 3) + min(1, 2)", {"a": 1, "b": 7}, (8.0, 8, True)),
        ("round(a / 64) * 64", {"a": 1000}, (1024.0, 1024, True)),
        ("round(3.14159, 2)", {}, (3.14, 3, True)),
        ("ceil(sqrt(a))", {"a": 10}, (4.0, 4, True)),
        ("a if a > b else b", {"a": 1, "b": 7}, (7.0, 7, True)),
        ("a < b <= 7 and not False", {"a": 1, "b": 7}, (1.0, 1, True)),
        ("a or b", {"a": 0, "b": 7}, (7.0, 7, True)),
        ("floor(pi)", {}, (3.0, 3, True)),
        ("a << 4 | 1", {"a": 2}, (33.0, 33, True)),
    ],
)
def test_an_expression_is_calculated(expression: str, values: dict[str, float], result: tuple[object, ...]) -> None:
    """As a float, an integer and a boolean."""
    inputs = {f"values__{name}": value for name, value in values.items()}
    assert Nodes().run("ComfyMathExpression", expression=expression, **inputs).values == result


@pytest.mark.parametrize(
    ("class_type", "inputs", "exception_type", "message"),
    [
        ("ComfyMathExpression", {"expression": "a / 0"}, "ZeroDivisionError", "division by zero"),
        ("ComfyMathExpression", {"expression": "a +"}, "SyntaxError", "invalid syntax (<unknown>, line 1)"),
        ("ComfyMathExpression", {"expression": "a + z"}, "simpleeval.NameNotDefined",
         "'z' is not defined for expression 'a + z'"),
        ("ComfyMathExpression", {"expression": "eval(1)"}, "simpleeval.FunctionNotDefined",
         "Function 'eval' not defined, for expression 'eval(1)'."),
        ("ComfyMathExpression", {"expression": "a.real"}, "simpleeval.FeatureNotAvailable",
         "Sorry, Attribute is not available in this evaluator"),
        ("ComfyMathExpression", {"expression": "sqrt << 1e9"}, "simpleeval.NameNotDefined",
         "'sqrt' is not defined for expression 'sqrt << 1e9'"),
        ("ComfyMathExpression", {"expression": "a @ a"}, "TypeError",
         "unsupported operand type(s) for @: 'int' and 'int'"),
        ("ComfyMathExpression", {"expression": "(-a) ** 0.5"}, "ValueError",
         f"Expression must evaluate to a numeric result, got complex: {(-5) ** 0.5!r}"),
        ("ComfyMathExpression", {"expression": "sqrt(0 - a)"}, "ValueError", "math domain error"),
        ("ComfyMathExpression", {"expression": "10 ** 999"}, "OverflowError", "int too large to convert to float"),
        ("ComfyMathExpression", {"expression": "sqrt()"}, "TypeError",
         "math.sqrt() takes exactly one argument (0 given)"),
        ("ComfyNumberConvert", {"value": "abc"}, "ValueError", "could not convert string to float: 'abc'"),
        ("ComfyNumberConvert", {"value": "inf"}, "OverflowError", "cannot convert float infinity to integer"),
        ("ColorToRGBInt", {"color": "red"}, "ValueError", "Color must be in format #RRGGBB"),
        ("ColorToRGBInt", {"color": "#12345g"}, "ValueError", "invalid literal for int() with base 16: '12345g'"),
        ("ComfyNotNode", {"value": Picture(8, 8)}, "RuntimeError",
         "Boolean value of Tensor with more than one value is ambiguous"),
    ],
)  # fmt: skip
def test_what_cannot_be_calculated_fails_as_in_python(
    class_type: str, inputs: dict[str, Any], exception_type: str, message: str
) -> None:
    """With the same exception type and text as in ComfyUI."""
    with pytest.raises(NodeError) as raised:
        Nodes().run(class_type, values__a=5, **inputs)
    assert (raised.value.exception_type, raised.value.message) == (exception_type, message)


@pytest.mark.parametrize(
    ("class_type", "inputs", "values"),
    [
        ("PrimitiveInt", {"value": 5}, (5,)),
        ("PrimitiveFloat", {"value": 0.5}, (0.5,)),
        ("PrimitiveBoolean", {"value": True}, (True,)),
        ("PrimitiveBoundingBox", {"x": 1, "y": 2, "width": 3, "height": 4},
         ({"x": 1, "y": 2, "width": 3, "height": 4},)),
        ("ComfyNumberConvert", {"value": "12.7"}, (12.7, 12)),
        ("ComfyNumberConvert", {"value": " 12 "}, (12.0, 12)),
        ("ComfyNumberConvert", {"value": True}, (1.0, 1)),
        ("ComfyNumberConvert", {"value": 9007199254740993}, (9007199254740992.0, 9007199254740993)),
        ("ComfyNumberConvert", {"value": None}, (None, None)),
        ("ResolutionSelector", {"aspect_ratio": "1:1 (Square)", "megapixels": 1.0, "multiple": 8}, (1024, 1024)),
        ("ResolutionSelector", {"aspect_ratio": "16:9 (Widescreen)", "megapixels": 1.0, "multiple": 64}, (1344, 768)),
        ("ColorToRGBInt", {"color": "#ff8000"}, (0xFF8000, "#ff8000")),
        ("ComfyNotNode", {"value": 0}, (True,)),
        ("ComfyAndNode", {"values__value0": True, "values__value1": ""}, (False,)),
        ("ComfyAndNode", {"values__value0": 1, "values__value1": "x"}, (True,)),
        ("ComfyOrNode", {"values__value0": 0, "values__value1": 2}, (True,)),
        ("ComfyOrNode", {"values__value0": 0, "values__value1": ""}, (False,)),
        ("ComfySwitchNode", {"switch": True, "on_true": "yes", "on_false": "no"}, ("yes",)),
        ("ComfySwitchNode", {"switch": False, "on_true": "yes", "on_false": "no"}, ("no",)),
        ("CustomCombo", {"choice": "b", "option1": "a", "option2": "b"}, ("b", 1)),
        ("WanCameraEmbedding", {"width": 832, "height": 480, "length": 81}, (None, 832, 480, 81)),
    ],
)  # fmt: skip
def test_values_follow_from_their_inputs(class_type: str, inputs: dict[str, Any], values: tuple[object, ...]) -> None:
    assert Nodes().run(class_type, **inputs).values == values


def test_a_list_is_made_of_a_growing_input_in_its_order() -> None:
    """Ten comes after nine, in whatever order the prompt lists them."""
    inputs = {f"inputs__input{index}": index for index in (10, 9, 0)}
    assert Nodes().value("CreateList", **inputs) == ListValue((0, 9, 10))


def test_a_list_inside_a_list_is_one_list() -> None:
    made = Nodes().value("CreateList", inputs__input0=ListValue((1, 2)), inputs__input1=3)
    assert made == ListValue((1, 2, 3))
