"""``[farm] clock``: what a configuration says of time."""

from pathlib import Path

import pytest

from comfyfarm.config import ConfigError, read


def test_a_clock_is_real_unless_it_is_virtual() -> None:
    assert read({}, Path()).farm.clock == "real"
    assert read({"farm": {"clock": "virtual"}}, Path()).farm.clock == "virtual"


def test_there_is_no_third_clock() -> None:
    with pytest.raises(ConfigError, match=r"farm.clock: expected one of 'real', 'virtual', got 'wall'"):
        read({"farm": {"clock": "wall"}}, Path())


def test_a_virtual_clock_has_no_speed() -> None:
    with pytest.raises(ConfigError, match=r"farm.speed: a virtual clock has none"):
        read({"farm": {"clock": "virtual", "speed": 2.0}}, Path())
