"""The seed, faults and scenarios that a test adds to a configuration."""

from pathlib import Path
from typing import Any

import pytest

from comfyfarm.config import ConfigError, FarmConfig, read
from comfyfarm.config.overlay import Overlay, named
from comfyfarm.config.sources import toml_tables

CRASH = {"do": "crash", "at": "step", "on": "gpu-1"}
SLOW = {"do": "slow", "factor": 2.0, "at": {"phase": "step", "node": "3"}}
TEXT = '[farm]\nseed = 1\n[[instance]]\nname = "gpu-1"\n[[fault]]\ndo = "hang"\nat = "node"\n'


def laid(overlay: Overlay, config: Any) -> FarmConfig:
    """The whole, as the farm reads it."""
    whole = overlay.over(config)
    return whole if isinstance(whole, FarmConfig) else read(dict(whole), Path())     # type: ignore[arg-type]


def test_what_is_laid_over_comes_behind_what_is_there() -> None:
    config = laid(Overlay(9, [CRASH], [{"use": "F08"}]), TEXT)
    assert config.farm.seed == 9
    assert [fault.effect.do for fault in config.fault] == ["hang", "crash"]
    assert [scenario.name for scenario in config.scenario] == ["F08"]


def test_a_dictionary_stays_as_it_was() -> None:
    """Another test may use it."""
    config: dict[str, Any] = {"instance": [{"name": "gpu-1"}], "fault": []}
    Overlay(9, [CRASH]).over(config)
    assert config == {"instance": [{"name": "gpu-1"}], "fault": []}


def test_nothing_laid_over_changes_nothing() -> None:
    path = Path("farm.toml")
    assert Overlay().over(path) is path


def test_a_file_keeps_its_ports_and_its_neighbours(tmp_path: Path) -> None:
    """Its paths count from its own folder, and its first port is the usual one."""
    (tmp_path / "two.toml").write_text(
        '[farm]\nlog = "run.jsonl"\n[[instance]]\nname = "gpu-1"\n[[instance]]\nname = "gpu-2"\nport = 9001\n'
    )
    config = laid(Overlay(seed=3), tmp_path / "two.toml")
    assert [instance.port for instance in config.instance] == [8188, 9001]
    assert config.farm.log == str(tmp_path / "run.jsonl")


def test_values_take_a_seed_and_faults() -> None:
    config = laid(Overlay(5, [{**CRASH, "on": "*"}]), FarmConfig())
    assert (config.farm.seed, [fault.effect.do for fault in config.fault]) == (5, ["crash"])


@pytest.mark.parametrize(
    ("overlay", "config", "says"),
    [
        (Overlay(1), "nowhere.toml", r"nowhere\.toml: No such file"),
        (Overlay(1), "[farm\n", "line 1"),
        (Overlay(1), {"farm": 3}, "farm: expected a table, got int"),
        (Overlay(faults=[CRASH]), {"fault": {}}, r"fault: expected \[\[fault\]\] tables"),
        (Overlay(faults=[CRASH]), FarmConfig(), r"fault\[0\]\.on: 'gpu-1' matches no instance"),
        (Overlay(scenarios=[{"use": "F08"}]), FarmConfig(), "scenario: cannot be laid over a FarmConfig"),
        (Overlay(faults=[CRASH]), {"instance": [{"name": "other"}]}, r"fault\[0\]\.on: 'gpu-1' matches no instance"),
        (Overlay(), {"instance": [{"name": "a", "sped": 1}]}, r"^instance\[0\]\.sped: unknown key"),
    ],
)
def test_what_makes_no_farm_is_said_in_its_words(overlay: Overlay, config: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        overlay.check(config)


def test_each_fault_keeps_its_name_where_another_is_left_out() -> None:
    """Its draws come from its name."""
    whole = named([CRASH, {**SLOW, "id": "mine"}, CRASH])
    assert [fault["id"] for fault in whole] == ["test-crash-1", "mine", "test-crash-3"]


def test_faults_are_printed_as_a_configuration_has_them() -> None:
    """It can be put into one."""
    text = toml_tables("fault", [CRASH, SLOW])
    assert text == (
        '[[fault]]\ndo = "crash"\nat = "step"\non = "gpu-1"\n\n'
        '[[fault]]\ndo = "slow"\nfactor = 2.0\nat = { phase = "step", node = "3" }\n'
    )
    assert [fault.effect.do for fault in laid(Overlay(seed=1), '[[instance]]\nname = "gpu-1"\n' + text).fault] == [
        "crash",
        "slow",
    ]
