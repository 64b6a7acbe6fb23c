"""Durations and sizes with their unit."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comfyfarm.units import Duration, Size


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("45ms", 45),
        ("0ms", 0),
        ("0s", 0),
        ("1.5s", 1500),
        ("2min", 120_000),
        ("1h", 3_600_000),
        ("0.5ms", 0),
        ("0.6ms", 1),
        (" 3s ", 3000),
    ],
)
def test_a_duration_is_whole_milliseconds(text: str, ms: int) -> None:
    assert Duration.parse(text) == ms


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512B", 512),
        ("1KB", 1024),
        ("1.5KB", 1536),
        ("100MB", 104_857_600),
        ("6.9GB", 7_408_818_586),
        ("1TB", 1 << 40),
        ("24 GB", 24 << 30),
    ],
)
def test_a_size_is_whole_bytes_with_a_kilobyte_of_1024(text: str, size: int) -> None:
    assert Size.parse(text) == size


WRONG: list[Any] = ["", "5", "ms", "5 ms", "-5ms", "+5ms", "1e3ms", ".5s", "5.s", "5MS", "5d", "5ms5", "\u0665x", 5]
WRONG += [1.5, None, True, ["5ms"], {}]


@pytest.mark.parametrize("text", WRONG)
def test_anything_else_is_no_duration(text: Any) -> None:
    with pytest.raises(ValueError, match="expected a duration such as") as caught:
        Duration.parse(text)
    assert str(caught.value).endswith(f"got {text!r}")


@pytest.mark.parametrize("text", ["", "5", "GB", "-5GB", "5gb", "5ms", "5G", 5, None])
def test_anything_else_is_no_size(text: Any) -> None:
    with pytest.raises(ValueError, match="expected a size such as"):
        Size.parse(text)


@pytest.mark.parametrize("text", ["8766000.1h", "9" * 309 + "ms", "9" * 5000 + "h"])
def test_a_duration_of_more_than_a_thousand_years_is_refused_in_a_short_line(text: str) -> None:
    assert Duration.parse("8766000h") == 8_766_000 * 3_600_000
    with pytest.raises(ValueError, match="expected at most 8766000h, got ") as caught:
        Duration.parse(text)
    assert len(str(caught.value)) < 140


def test_a_size_is_at_most_an_exbibyte() -> None:
    assert Size.parse("1048576TB") == 1 << 60
    with pytest.raises(ValueError, match="expected at most 1048576TB, got '1048577TB'"):
        Size.parse("1048577TB")


@given(st.integers(0, 1 << 44))
@settings(deadline=None)
def test_what_is_written_reads_as_the_same(number: int) -> None:
    assert Duration.parse(str(Duration(number))) == number
    assert Size.parse(str(Size(number))) == number
