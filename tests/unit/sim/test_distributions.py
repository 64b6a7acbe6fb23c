"""Durations that are not always the same."""

from random import Random

import pytest

from comfyfarm.sim.distributions import Distribution


@pytest.mark.parametrize(
    ("written", "low", "high"),
    [
        ("45ms", 45, 45),
        ({"normal": "45ms", "sd": "5ms"}, 30, 60),
        ({"normal": "10ms", "sd": "50ms"}, 0, 160),
        ({"lognormal": "45ms", "sigma": 0.3}, 18, 111),
        ({"uniform": ["20ms", "80ms"]}, 20, 80),
    ],
)
def test_a_thousand_draws_stay_within_their_bounds(written: object, low: float, high: float) -> None:
    """A test stays sane: nothing is negative, and nothing takes for ever."""
    span, chance = Distribution.parse(written), Random(7)
    draws = [span.draw_ms(chance) for _ in range(1000)]
    assert low <= min(draws) <= max(draws) <= high


def test_a_distribution_really_varies_around_its_middle() -> None:
    """The mean of a normal and the median of a lognormal are what was written."""
    chance = Random(7)
    normal = sorted(Distribution.parse({"normal": "45ms", "sd": "5ms"}).draw_ms(chance) for _ in range(2001))
    lognormal = sorted(Distribution.parse({"lognormal": "45ms", "sigma": 0.5}).draw_ms(chance) for _ in range(2001))
    assert normal[1000] == pytest.approx(45, abs=1)
    assert lognormal[1000] == pytest.approx(45, abs=3)
    assert len(set(normal)) > 1900


@pytest.mark.parametrize(
    "written",
    [
        "45ms",
        {"normal": "45ms", "sd": "5ms"},
        {"normal": "10ms", "sd": "20ms"},       # a third of its draws would be negative
        {"lognormal": "45ms", "sigma": 0.5},
        {"lognormal": "10ms", "sigma": 2},      # held back at three deviations
        {"uniform": ["20ms", "80ms"]},
        {"normal": "45ms", "sd": "0ms"},
    ],
)
def test_the_mean_is_what_many_draws_come_to(written: object) -> None:
    """Also where draws are held back."""
    span, chance = Distribution.parse(written), Random(7)
    assert sum(span.draw_ms(chance) for _ in range(50_000)) / 50_000 == pytest.approx(span.mean_ms, rel=0.03)


def test_a_fixed_duration_does_not_shift_the_draws_of_others() -> None:
    """It draws nothing from the stream."""
    chance = Random(7)
    Distribution.parse("45ms").draw_ms(chance)
    assert chance.random() == Random(7).random()


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("45", "expected a duration"),
        (45, "expected a duration"),
        ({"normal": "45ms"}, "expected a duration such as"),
        ({"lognormal": "45ms", "sigma": -1}, "expected a sigma from 0 to 3"),
        ({"lognormal": "45ms", "sigma": True}, "expected a sigma from 0 to 3"),
        ({"uniform": ["80ms", "20ms"]}, "expected the lower bound first"),
        ({"uniform": ["80ms"]}, "expected two bounds"),
        ({"normal": "45ms", "sd": "-5ms"}, "expected a duration"),
        ({"normal": "45ms", "sd": "5ms", "skew": 1}, "expected a duration such as"),
    ],
)
def test_what_is_no_span_is_refused_with_advice(written: object, message: str) -> None:
    """The error names the valid forms."""
    with pytest.raises(ValueError, match=message):
        Distribution.parse(written)


@pytest.mark.parametrize(
    "written",
    ["45ms", {"normal": "45ms", "sd": "5ms"}, {"lognormal": "45ms", "sigma": 0.3}, {"uniform": ["20ms", "80ms"]}],
)
def test_a_span_is_told_as_it_was_written(written: object) -> None:
    """The log's first line can be read by a person."""
    import tomllib

    text = str(Distribution.parse(written))
    again = tomllib.loads(f"x = {text}")["x"] if text.startswith("{") else text
    assert Distribution.parse(again) == Distribution.parse(written)
