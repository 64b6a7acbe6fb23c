"""Results and errors of the nodes that transform texts."""

from typing import Any

import pytest

from comfyfarm.sim.nodes import NodeError
from comfyfarm.sim.values import ListValue
from tests.support.node_bench import Nodes

PROMPT = "A red barn, 35mm, F/1.8, <lora:detail:0.8>"


@pytest.mark.parametrize(
    ("class_type", "inputs", "text"),
    [
        ("PrimitiveString", {"value": "barn"}, "barn"),
        ("PrimitiveStringMultiline", {"value": "a\nb"}, "a\nb"),
        ("StringConcatenate", {"string_a": "a", "string_b": "b", "delimiter": "-"}, "a-b"),
        ("StringConcatenate", {"string_a": 1, "string_b": True}, "1True"),
        ("StringSubstring", {"string": "barnyard", "start": 0, "end": 4}, "barn"),
        ("StringSubstring", {"string": "barnyard", "start": -4, "end": 100}, "yard"),
        ("StringLength", {"string": "barn"}, 4),
        ("StringLength", {"string": "Kätzchen 🐱"}, 10),
        ("CaseConverter", {"string": "a RED barn", "mode": "UPPERCASE"}, "A RED BARN"),
        ("CaseConverter", {"string": "a RED barn", "mode": "lowercase"}, "a red barn"),
        ("CaseConverter", {"string": "a RED barn", "mode": "Capitalize"}, "A red barn"),
        ("CaseConverter", {"string": "a RED barn", "mode": "Title Case"}, "A Red Barn"),
        ("StringTrim", {"string": " barn ", "mode": "Both"}, "barn"),
        ("StringTrim", {"string": " barn ", "mode": "Left"}, "barn "),
        ("StringTrim", {"string": " barn ", "mode": "Right"}, " barn"),
        ("StringReplace", {"string": "a barn, a barn", "find": "barn", "replace": "cat"}, "a cat, a cat"),
        ("StringContains", {"string": "Barn", "substring": "barn", "case_sensitive": True}, False),
        ("StringContains", {"string": "Barn", "substring": "barn", "case_sensitive": False}, True),
        ("StringCompare", {"string_a": "barn", "string_b": "ba", "mode": "Starts With"}, True),
        ("StringCompare", {"string_a": "barn", "string_b": "RN", "mode": "Ends With", "case_sensitive": False}, True),
        ("StringCompare", {"string_a": "barn", "string_b": "Barn", "mode": "Equal"}, False),
        ("JsonExtractString", {"json_string": '{"a": 5}', "key": "a"}, "5"),
        ("JsonExtractString", {"json_string": '{"a": [1, true]}', "key": "a"}, "[1, True]"),
        ("JsonExtractString", {"json_string": '{"a": null}', "key": "a"}, ""),
        ("JsonExtractString", {"json_string": '{"a": 5}', "key": "b"}, ""),
        ("JsonExtractString", {"json_string": "no json", "key": "a"}, ""),
        ("StringFormat", {"f_string": "{a} and {b:03d} {c!r} {{}}", "values__a": "x", "values__b": 7, "values__c": "q"},
         "x and 007 'q' {}"),
        ("TextToLowercase", {"texts": "BARN"}, "barn"),
        ("TextToUppercase", {"texts": "barn"}, "BARN"),
        ("StripWhitespace", {"texts": " barn\n"}, "barn"),
        ("TruncateText", {"texts": "barnyard", "max_length": 4}, "barn"),
        ("AddTextPrefix", {"texts": "barn", "prefix": "a "}, "a barn"),
        ("AddTextSuffix", {"texts": "barn", "suffix": "!"}, "barn!"),
        ("ReplaceText", {"texts": "a barn", "find": "barn", "replace": "cat"}, "a cat"),
        ("TextGenerate", {"prompt": "a barn", "sampling_mode": "off"}, "a barn"),
    ],
)  # fmt: skip
def test_texts_are_made_as_python_makes_them(class_type: str, inputs: dict[str, Any], text: object) -> None:
    assert Nodes().value(class_type, **inputs) == text


@pytest.mark.parametrize(
    ("class_type", "inputs", "found"),
    [
        ("RegexMatch", {"regex_pattern": r"red\s+barn"}, True),
        ("RegexMatch", {"regex_pattern": "f/"}, True),
        ("RegexMatch", {"regex_pattern": "f/", "case_insensitive": False}, False),
        ("RegexMatch", {"regex_pattern": "["}, False),
        ("RegexExtract", {"regex_pattern": r"\d+", "mode": "First Match"}, "35"),
        ("RegexExtract", {"regex_pattern": r"\d+", "mode": "All Matches"}, "35\n1\n8\n0\n8"),
        ("RegexExtract", {"regex_pattern": r"<(\w+):(\w+)", "mode": "First Group", "group_index": 2}, "detail"),
        ("RegexExtract", {"regex_pattern": r"(\d)\d?", "mode": "All Groups", "group_index": 1}, "3\n1\n8\n0\n8"),
        ("RegexExtract", {"regex_pattern": r"(\d)", "mode": "First Group", "group_index": 2}, ""),
        ("RegexExtract", {"regex_pattern": "cat", "mode": "First Match"}, ""),
        ("RegexExtract", {"regex_pattern": "z{e}", "mode": "First Match"}, ""),
        ("RegexExtract", {"regex_pattern": "[", "mode": "First Match"}, ""),
        ("RegexReplace", {"regex_pattern": r"<[^>]+>", "replace": ""}, "A red barn, 35mm, F/1.8, "),
        ("RegexReplace", {"regex_pattern": r"(\d)(\d)", "replace": r"\2\1"}, PROMPT.replace("35", "53")),
        ("RegexReplace", {"regex_pattern": r"(?:(\d)(\d))+", "replace": r"\2\g<1>"}, PROMPT.replace("35", "53")),
        ("RegexReplace", {"regex_pattern": r"\d", "replace": "#", "count": 2}, PROMPT.replace("35", "##")),
    ],
)
def test_regular_expressions_are_pythons_own(class_type: str, inputs: dict[str, Any], found: object) -> None:
    """An invalid pattern matches nothing; only in a replacement it is an error."""
    assert Nodes().value(class_type, string=PROMPT, **inputs) == found


@pytest.mark.parametrize(
    ("class_type", "inputs", "exception_type", "message"),
    [
        ("RegexReplace", {"string": "a", "regex_pattern": "(", "replace": ""}, "re.error",
         "missing ), unterminated subpattern at position 0"),
        ("RegexReplace", {"string": "a", "regex_pattern": "b", "replace": r"\1"}, "re.error",
         "invalid group reference 1 at position 1"),
        ("RegexReplace", {"string": "a", "regex_pattern": "(?P<n>b)+", "replace": r"\g<n>\2"}, "re.error",
         "invalid group reference 2 at position 6"),
        ("RegexReplace", {"string": "a", "regex_pattern": "(?P<n>b)+", "replace": r"\g<m>"}, "IndexError",
         "unknown group name 'm'"),
        ("StringFormat", {"f_string": "{b}", "values__a": 1}, "KeyError", "'b'"),
        ("StringFormat", {"f_string": "{}", "values__a": 1}, "IndexError",
         "Replacement index 0 out of range for positional args tuple"),
        ("StringFormat", {"f_string": "{a", "values__a": 1}, "ValueError", "expected '}' before end of string"),
        ("StringFormat", {"f_string": "{a:d}", "values__a": "x"}, "ValueError",
         "Unknown format code 'd' for object of type 'str'"),
    ],
)  # fmt: skip
def test_a_bad_pattern_or_template_fails_as_in_python(
    class_type: str, inputs: dict[str, Any], exception_type: str, message: str
) -> None:
    """With Python's exception type and text, as in ComfyUI."""
    with pytest.raises(NodeError) as raised:
        Nodes().run(class_type, **inputs)
    assert (raised.value.exception_type, raised.value.message) == (exception_type, message)


def test_a_text_made_from_an_unknown_text_is_unknown() -> None:
    """The texts of language models are unknown; using them is no error."""
    assert Nodes().value("StringConcatenate", string_a=None, string_b="b") is None
    assert Nodes().value("StringLength", string=None) is None
    assert Nodes().value("RegexMatch", string=None, regex_pattern="a") is None


def test_a_list_of_texts_is_processed_one_by_one() -> None:
    """ComfyUI runs a node once for each item of a list."""
    both = ListValue(("Barn", "Cat"))
    assert Nodes().value("TextToUppercase", texts=both) == ListValue(("BARN", "CAT"))
    assert Nodes().value("StringConcatenate", string_a=both, string_b=ListValue(("1", "2", "3"))) == ListValue(
        ("Barn1", "Cat2", "Cat3")
    )
    assert Nodes().value("MergeTextLists", texts=both) == both


def test_string_nodes_of_the_recording() -> None:
    """The recorded scenario ``run_string_nodes``: the texts of both previews."""
    made = Nodes().flow(
        {
            "1": ("StringConcatenate", {"string_a": "barn", "string_b": "b", "delimiter": "-"}),
            "2": ("StringLength", {"string": ["1", 0]}),
            "3": ("PreviewAny", {"source": ["2", 0]}),
            "4": ("PreviewAny", {"source": ["1", 0]}),
        }
    )
    assert made["3"].ui == {"text": ["6"]}
    assert made["4"].ui == {"text": ["barn-b"]}
