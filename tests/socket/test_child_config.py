"""The file that a child process reads."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from comfyfarm.config.sources import ConfigSource, config_file


def read(config: ConfigSource, folder: Path) -> dict[str, Any]:
    return tomllib.loads(config_file(config, folder).read_text(encoding="utf-8"))


def test_a_path_is_taken_as_it_is(tmp_path: Path) -> None:
    """As an object or as a string."""
    mine = tmp_path / "mine.toml"
    assert config_file(mine, tmp_path / "nowhere") == mine
    assert config_file(str(mine), tmp_path / "nowhere") == mine


def test_a_dictionary_says_what_a_file_would(tmp_path: Path) -> None:
    """Quotes, umlauts, line feeds, numbers, lists and tables come through."""
    config = {
        "farm": {"seed": 7, "speed": 2.5},
        "profile": {"big": {"timing": {"nodes": {"K\u00f6ln": "1s"}}}},
        "instance": [{"name": 'a "b"\n\u00e4 \U0001f42e \\', "port": 1, "open_models": True, "models": {"vae": ["x"]}}],
    }
    assert read(config, tmp_path) == config


def test_an_instance_without_a_port_gets_any_free_one(tmp_path: Path) -> None:
    """One that names a port keeps it."""
    text = '[[instance]]\nname = "one"\n[[instance]]\nname = "two"\nport = 8188\n'
    assert [instance["port"] for instance in read(text, tmp_path)["instance"]] == [0, 8188]
    assert read({}, tmp_path) == {"instance": [{"port": 0}]}


def test_relative_paths_count_from_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not from the folder of a file that the caller never sees."""
    monkeypatch.chdir(tmp_path)
    config = {
        "farm": {"log": "run.jsonl"},
        "profile": {"p": {"input": "cat.jpg"}},
        "instance": [{"output_dir": Path("out")}],
    }
    made = read(config, tmp_path)
    assert made["farm"]["log"] == str(tmp_path / "run.jsonl")
    assert made["profile"]["p"]["input"] == str(tmp_path / "cat.jpg")
    assert made["instance"][0]["output_dir"] == str(tmp_path / "out")
    assert config["instance"] == [{"output_dir": Path("out")}]


def test_text_that_is_no_toml_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(tomllib.TOMLDecodeError):
        config_file("[[instance]\nport = 0", tmp_path)


def test_what_is_wrong_is_left_for_the_farm_to_name(tmp_path: Path) -> None:
    """It knows the place, and its line reaches the caller."""
    assert read({"instance": 3, "farm": ["x"], "profile": {"p": 1}}, tmp_path) == {
        "instance": 3,
        "farm": ["x"],
        "profile": {"p": 1},
    }
