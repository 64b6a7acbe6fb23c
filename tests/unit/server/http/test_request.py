"""JSON bodies, which are read as Python's ``json`` reads them, whoever reads them."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfyfarm.server.http.request import parse_json

NUMBERS = (
    "-0", "-0.0", "01", "1.", ".5", "+1", "1e5", "1E+5", "1e400", "-1e400", "1e-400", "NaN", "Infinity", "-Infinity",
    "18446744073709551615", "18446744073709551616", "-9223372036854775809", "123456789012345678901234567890",
    "9007199254740993.0", "1" * 4300, "1" * 4301, "0." + "1" * 5000, "1_0", "0x1",
)  # fmt: skip
TEXTS = (
    r'"\ud800"', r'"\ud83d\ude00"', r'"\ude00\ud83d"', r'"\ud83dx"', r'"\u0000"', r'"\/"', r'"\x"', '"\t"', '"\x7f"',
    '"\u2028é"', '"a', r'{"\ud800": 1}',
)  # fmt: skip
OTHERS = (
    "", " ", "nul", "null x", "[1,]", '{"a": 1,}', "{a: 1}", '{"a": 1, "b": 2, "a": 3}', "\x0b1", "1\x00", "\xa01",
    "\ufeff1", "// c\n1",
)  # fmt: skip
BYTES = (b'"\xff"', b'"\xed\xa0\x80"', b'"\xc0\x80"', b'"\xf4\x90\x80\x80"')

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()), inner),
)


def shown(value: Any) -> Any:
    """A form in which values are equal only if they are the same, down to the sign of zero and the order of keys."""
    if isinstance(value, dict):
        return [(key, shown(item)) for key, item in value.items()]
    if isinstance(value, list):
        return [shown(item) for item in value]
    return type(value), repr(value)


def outcome(read: Any, content: bytes) -> Any:
    """What a reader says of a body: the value, or the error with its text."""
    try:
        return shown(read(content))
    except ValueError as error:
        return type(error), str(error)


def assert_read_as_by_python(content: bytes) -> None:
    assert outcome(parse_json, content) == outcome(lambda body: json.loads(body.decode()), content)


@pytest.mark.parametrize("content", [*(text.encode() for text in (*NUMBERS, *TEXTS, *OTHERS)), *BYTES])
def test_any_body_gives_the_value_or_the_error_of_pythons_json(content: bytes) -> None:
    for whole in (content, b"[%b]" % content, b'{"prompt": %b}' % content, b"\n" + content + b"\t"):
        assert_read_as_by_python(whole)


@given(values, st.booleans())
def test_whatever_json_writes_is_read_back_the_same(value: Any, escapes: bool) -> None:
    assert_read_as_by_python(json.dumps(value, ensure_ascii=escapes).encode("utf-8", "surrogatepass"))


def test_another_charset_is_decoded_first() -> None:
    assert parse_json('{"a": "é"}'.encode("utf-16"), "utf-16") == {"a": "é"}
    with pytest.raises(LookupError):
        parse_json(b"1", "klingon")
