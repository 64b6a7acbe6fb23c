"""The options of the commands that start a farm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.python.usage import UsageError

from comfyfarm.config import ConfigError, FarmConfig
from comfyfarm.config.options import FARM_OPTIONS, read_farm
from comfyfarm.tap import Options


def farm(**values: Any) -> FarmConfig:
    return read_farm({**dict.fromkeys(option.key for option in FARM_OPTIONS), **values})


def twistd(*words: str) -> FarmConfig:
    options = Options()
    options.parseOptions(words)
    return options.farm


def test_a_farm_of_several_instances_needs_no_file() -> None:
    config = farm(instances=3, port=9000, disable_static_return=True, host="127.0.0.2", log="run.jsonl")
    assert [(instance.name, instance.port, instance.mode) for instance in config.instance] == [
        ("comfyui-1", 9000, "dynamic"), ("comfyui-2", 9001, "dynamic"), ("comfyui-3", 9002, "dynamic"),
    ]  # fmt: skip
    assert (config.farm.host, config.farm.url_host, config.farm.log) == ("127.0.0.2", "127.0.0.2", "run.jsonl")
    assert farm(advertise_host="farm.example").farm.url_host == "farm.example"


def test_the_number_of_instances_of_a_file_stands_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "farm.toml"
    path.write_text("")
    with pytest.raises(ConfigError, match="--instances: belongs to a farm without a file"):
        farm(config=str(path), instances=2)


def test_every_option_of_twistd_may_stand_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line wins, also with zero."""
    given = {"PORT": "0", "SEED": "7", "SPEED": "2.5", "HOST": "127.0.0.2", "DISABLE_STATIC_RETURN": "true"}
    for name, word in given.items():
        monkeypatch.setenv(f"COMFYFARM_{name}", word)
    config = twistd("--seed", "0")
    assert (config.farm.seed, config.farm.speed, config.farm.host) == (0, 2.5, "127.0.0.2")
    assert (config.instance[0].port, config.instance[0].mode) == (0, "dynamic")


def test_a_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMFYFARM_PORT", "many")
    with pytest.raises(UsageError, match="COMFYFARM_PORT: expected a number, got 'many'"):
        twistd()
