"""Any inputs make a node return an outcome or raise a NodeError, at once and without allocating memory."""

import json
import time
from contextlib import suppress
from typing import Any

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from comfyfarm.config.recorded import recorded
from comfyfarm.sim.files import MemoryFiles, Place
from comfyfarm.sim.nodes import NodeCall, NodeError, NodeOutcome, known_types, run
from comfyfarm.sim.values import (
    Appearance,
    Audio,
    AVLatent,
    BlindLatent,
    Latent,
    ListValue,
    Loaded,
    Mask,
    Model3D,
    Picture,
    Sigmas,
    Video,
)
from tests.support.node_bench import PICTURE_SIZE, Nodes

TYPES = sorted({*recorded().node_types, *known_types(), "NobodyKnowsIt"})
FILES = MemoryFiles(pictures={Place("input", "", "cat.png"): (640, 480), Place("input", "set", "dog.jpg"): (32, 16)})

sizes = st.integers(1, 20_000)
counts = st.one_of(st.integers(1, 9), st.integers(1, 5000))
pictures = st.builds(Picture, sizes, sizes, counts, st.none() | st.integers(0, 0xFFFFFF)) | st.builds(
    lambda looks: Picture(64, 32).showing(looks),
    st.lists(st.builds(Appearance, counts, st.none() | st.integers(0, 0xFFFFFF)), min_size=1, max_size=4),
)
masks = st.builds(Mask, sizes, sizes, counts, st.none() | st.floats(0, 1))
latents = st.builds(Latent, sizes, sizes, counts, st.integers(1, 200), st.sampled_from([1, 8, 16, 32]))
sounds = st.builds(Audio, st.floats(0, 1e9), st.integers(1, 192_000))
shapes = st.one_of(
    pictures,
    masks,
    latents,
    sounds,
    st.builds(AVLatent, latents, st.builds(BlindLatent, counts)),
    st.builds(BlindLatent, counts, st.floats(0, 1e6)),
    st.builds(Sigmas, st.integers(0, 10_000)),
    st.builds(Video, pictures, st.floats(0.01, 1000), st.none() | sounds),
    st.builds(Model3D, counts),
    st.builds(Loaded, st.sampled_from(["VAE", "UPSCALE_MODEL", "MODEL"]), st.text(max_size=20)),
)
plain = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(10**40), 10**40),
    st.floats(),
    st.text(max_size=30),
    st.sampled_from(["", "abc", "(a+)+$", "[", "{a:>99999999}", "{}", "1/0", "9**9**9", "cat.png", "../x", "set"]),
)
jsonable = st.recursive(
    plain, lambda one: st.lists(one, max_size=3) | st.dictionaries(st.text(max_size=6), one, max_size=3), max_leaves=4
)
lists = st.lists(shapes | plain, min_size=2, max_size=4).map(lambda items: ListValue(tuple(items)))

values_of_any_kind = st.one_of(shapes, jsonable, lists)
MEMBERS = ("a", "b", "value0", "value1", "image0", "image1", "input0", "latent0", "mask0", "width", "height", "match")


def input_names(class_type: str) -> list[str]:
    """Return the declared inputs, likely members of the growing ones, and two that are not declared."""
    node_type = recorded().node_types.get(class_type)
    declared = node_type.inputs.values() if node_type else ()
    growing = [spec.name for spec in declared if spec.type.startswith("COMFY_")]
    members = [f"{name}.{member}" for name in growing for member in MEMBERS]
    return [*(spec.name for spec in declared), *members, "bogus", "option1"]


def make_call(class_type: str, values: list[Any], turn: int) -> NodeCall:
    """Return a call whose inputs are taken from the values in turn, and sometimes are valid choices."""
    node_type = recorded().node_types.get(class_type)
    inputs = {}
    for place, name in enumerate(input_names(class_type), turn):
        declared = node_type.inputs.get(name) if node_type else None
        choices = declared and (declared.choices or [option["key"] for option in declared.options.get("options", ())])
        inputs[name] = choices[place % len(choices)] if choices and place % 3 else values[place % len(values)]
    return NodeCall(class_type, inputs, node_type.outputs if node_type else (), turn % 2 == 0, PICTURE_SIZE, FILES)


def items(values: tuple[Any, ...]) -> list[Any]:
    return [item for value in values for item in (value.items if isinstance(value, ListValue) else (value,))]


def check(outcome: NodeOutcome) -> None:
    """Assert what the code that writes files and messages relies on."""
    for shape in items(outcome.values):
        if isinstance(shape, Picture | Mask | Latent):
            # A mask that was cropped outside is empty.
            assert min(shape.width, shape.height, shape.count) >= (0 if isinstance(shape, Mask) else 1)
            assert all(isinstance(side, int) for side in (shape.width, shape.height, shape.count))
        if isinstance(shape, Picture):
            assert sum(look.count for look in shape.looks) == shape.count
        assert isinstance(str(shape), str)
    assert sum(save.picture.count for save in outcome.saves) <= 1 << 16
    for save in outcome.saves:
        assert min(save.picture.width, save.picture.height) >= 1
    assert outcome.steps >= 0
    json.dumps(outcome.ui)


def check_error(error: NodeError) -> None:
    """Assert that an error is fit for the history and for clients."""
    assert error.exception_type
    assert len(error.message) < 100_000


@settings(max_examples=60, deadline=None)
@given(st.lists(values_of_any_kind, min_size=1, max_size=12), st.integers(0, 40))
def test_any_node_accepts_any_inputs_or_raises_a_node_error(values: list[Any], turn: int) -> None:
    for class_type in TYPES:
        try:
            outcome = run(make_call(class_type, values, turn))
        except NodeError as error:
            check_error(error)
        except Exception as error:
            error.add_note(class_type)
            raise
        else:
            check(outcome)


def test_a_node_without_any_input_has_an_outcome() -> None:
    """That is possible if validation is off."""
    for class_type in TYPES:
        node_type = recorded().node_types.get(class_type)
        outputs = node_type.outputs if node_type else ()
        with suppress(NodeError):
            check(run(NodeCall(class_type, {}, outputs, node_type is None, PICTURE_SIZE, FILES)))


@pytest.mark.parametrize(
    ("class_type", "inputs"),
    [
        ("StringReplace", {"string": "a" * 4000, "find": "a", "replace": "b" * 4000}),
        ("StringConcatenate", {"string_a": "a" * 3_000_000, "string_b": "b" * 3_000_000, "delimiter": ""}),
        ("StringFormat", {"f_string": "{a:>999999999}", "values__a": 1}),
        ("StringFormat", {"f_string": "{a}" * 100_000, "values__a": "x" * 1000}),
        ("RegexReplace", {"string": "a" * 4000, "regex_pattern": "a", "replace": "b" * 4000}),
        ("RegexReplace", {"string": "a" * 3000, "regex_pattern": "a+", "replace": "\\g<0>" * 5000}),
        ("EmptyImage", {"width": 1 << 40, "height": 1 << 40}),
        ("EmptyImage", {"width": 10**30, "height": 1}),
        ("RepeatImageBatch", {"image": Picture(1, 1, 4096), "amount": 4096}),
        ("EmptyLatentImage", {"width": 1 << 30, "height": 1 << 30, "batch_size": 1 << 30}),
        ("EmptyHunyuanLatentVideo", {"width": 16384, "height": 16384, "length": 16384}),
        ("RebatchImages", {"images": Picture(8, 8, 65_000), "batch_size": 1}),
        ("SplitImageToTileList", {"image": Picture(16384, 16384), "tile_width": 64, "tile_height": 64, "overlap": 63}),
        ("KSampler", {"steps": 1 << 62}),
        ("ComfyMathExpression", {"expression": "9**9**9**9", "values__a": 1}),
        ("ComfyMathExpression", {"expression": "+".join(["1"] * 3000), "values__a": 1}),
        ("ComfyMathExpression", {"expression": "(" * 4000, "values__a": 1}),
        ("ComfyMathExpression", {"expression": "-" * 4000 + "1", "values__a": 1}),
        ("ComfyMathExpression", {"expression": "round(a, -1000000000)", "values__a": 10**4000}),
        ("ComfyMathExpression", {"expression": "1 << 999999999", "values__a": 1}),
        ("ComfyMathExpression", {"expression": "pow(9, 999999999)", "values__a": 1}),
        ("ComfyMathExpression", {"expression": "'%999999999d' % 1", "values__a": 1}),
        ("ComfyMathExpression", {"expression": "f'{1:>999999999}'", "values__a": 1}),
        ("JsonExtractString", {"json_string": "[" * 100_000, "key": "a"}),
        ("SaveImage", {"images": ListValue((Picture(8, 8, 60_000),) * 4000), "filename_prefix": "x"}),
    ],
)
def test_what_would_need_a_lifetime_or_a_terabyte_fails_at_once(class_type: str, inputs: dict[str, Any]) -> None:
    begun = time.perf_counter()
    with pytest.raises(NodeError):
        Nodes().run(class_type, **inputs)
    assert time.perf_counter() - begun < 1


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("(a+)+$", "a" * 40 + "!", False),
        ("(a|a)*b", "a" * 60, False),
        ("(x+x+)+y", "y" + "x" * 60 + "z", False),
        ("a*a*a*a*a*b", "a" * 2000, False),
        ("(a?){40}a{40}", "a" * 40, True),
        ("(.*)(.*)(.*)(.*)(.*)[x]", "a" * 3000, False),
        ("(?=(a+)+$)b", "a" * 60, False),
        ("(?x) (a+) +$", "a" * 40 + "!", False),
        ("(a+)(?#again)+$", "a" * 40 + "!", False),
        (r"(.+)+\1b", "ab" * 400, True),
        (r"(\w|\W)*!", "a" * 20_000, False),
        (r"(\w|\W)*!\Z", "!" + "a" * 20_000, False),
    ],
)
def test_a_pattern_that_would_hold_a_real_server_is_decided_or_given_up_at_once(
    pattern: str, text: str, found: bool
) -> None:
    """The result is right or unknown, never wrong."""
    begun = time.process_time()
    assert Nodes().value("RegexMatch", regex_pattern=pattern, string=text) in {found, None}
    assert time.process_time() - begun < 0.5


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("(a+)+!", "!" + "a" * 500_000),
        ("a.*a.*!", "!" + "a" * 500_000),
        ("((a{0,40}){0,40}){0,40}b", "a" * 40),
        ("(a{65535}){65535}", "a" * 1000),
        ("((((((a{9,}){9,}){9,}){9,}){9,}){9,}){9,}", "a" * 1000),
        ("a" * 2000, "a" * 4000),
    ],
)
@pytest.mark.parametrize("class_type", ["RegexMatch", "RegexExtract", "RegexReplace"])
def test_a_pattern_that_would_take_for_ever_gives_an_unknown_value(
    class_type: str, pattern: str, text: str
) -> None:
    """A real server hangs, or runs out of memory."""
    begun = time.process_time()
    assert Nodes().value(class_type, regex_pattern=pattern, string=text, replace="") is None
    assert time.process_time() - begun < 0.5


@pytest.mark.parametrize(
    "pattern",
    [
        r"\d+",
        r"(\w+)\s*=\s*(\w+)",
        r"<lora:([^:>]+):(\d+(\.\d+)?)>",
        r"\((.*?)\)",
        r"^(.*?),",
        r"(?:\w+,\s*)+",
        r"(\s*,\s*)+",
        r"(,\s*){2,}",
        r"(cat|dog)+",
        r"^\s+|\s+$",
        r"\b\w+\b",
        r"[\s\S]*foo",
        r"(?i)masterpiece|best\s+quality",
        r"(.*?)\((.*?)\)",
    ],
)
def test_patterns_that_people_use_on_prompts_are_run(pattern: str) -> None:
    prompt = "masterpiece, best quality, (a red barn:1.2), <lora:add_detail:0.8>, 35mm, f/1.8, " * 20
    assert Nodes().value("RegexReplace", regex_pattern=pattern, string=prompt, replace="") is not None


def recorded_compilations(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that gets every pattern that is compiled so that its search can be stopped."""
    compiled: list[str] = []
    compile_pattern = regex.compile

    def compile_recorded(pattern: str, flags: int) -> Any:
        compiled.append(pattern)
        return compile_pattern(pattern, flags)

    monkeypatch.setattr(regex, "compile", compile_recorded)
    return compiled


def test_a_job_gives_up_two_searches_and_tries_no_other_slow_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """In one node with a list of texts and in the next node; what is surely quick is still decided."""
    compiled = recorded_compilations(monkeypatch)
    call = Nodes().call("RegexMatch", regex_pattern=r"(\w|\W)*\d", string=ListValue(("a" * 20_000,) * 65))
    assert run(call).values == (ListValue((None,) * 65),)
    assert len(compiled) == 2
    later = {"regex_pattern": r"(a|b)+c", "string": "abc"}
    assert run(replace(call, inputs=later)).values == (None,)
    assert run(replace(call, inputs=later | {"regex_pattern": "a.?c"})).values == (True,)
    assert Nodes().value("RegexMatch", **later) is True


def test_a_job_lets_what_cannot_be_stopped_take_only_so_many_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then its searches are made with the package that can be stopped, which finds the same."""
    compiled = recorded_compilations(monkeypatch)
    call = Nodes().call("RegexMatch", regex_pattern="a+b", string=ListValue(("a" * 1000,) * 50))
    assert run(call).values == (ListValue((False,) * 50),)
    assert 0 < len(compiled) < 50


def test_a_sound_of_any_rate_has_a_text() -> None:
    assert str(Audio(60.0, 10**400)).startswith("{")


def test_the_texts_that_the_nodes_of_a_job_make_are_bounded_together() -> None:
    call = Nodes().call("StringConcatenate", string_a="a" * 4_000_000, string_b="b", delimiter="")
    for _ in range(4):
        run(call)
    with pytest.raises(NodeError, match="the texts of this job have more than 16777216 characters together") as caught:
        run(call)
    assert caught.value.exception_type == "MemoryError"
    assert len(str(Nodes().value("StringConcatenate", **call.inputs))) == 4_000_001     # another job


def test_a_text_that_is_only_passed_on_counts_nothing() -> None:
    call = Nodes().call("PrimitiveString", value="a" * 4_000_000)
    for _ in range(100):
        run(call)
