"""The JSON schema of a configuration file, held to the checker that editors and CI use."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from comfyfarm.config.schema import file_schema

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("schema") / "schema.json"
    path.write_text(json.dumps(file_schema()))
    return path


def checked(*words: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "check_jsonschema", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def test_it_is_a_schema_that_every_file_of_ours_fits(schema: Path) -> None:
    assert checked("--check-metaschema", str(schema))[0] == 0
    files = [ROOT / name for name in ("config.toml", "examples/three_versions.toml", "tests/conformance/config.toml")]
    status, output = checked("--schemafile", str(schema), *map(str, files))
    assert status == 0, output


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("[[instance]]\ncount = 3\nprofile = 'x'\ntiming.step = { normal = '1s', sd = '1ms' }\n", True),
        ("[profile.x]\nmodels.checkpoints = ['a.safetensors:1GB']\n", True),
        ("[[fault]]\nat = 'reply'\ndo = 'drop'\non = ['a', 'b']\ntimes = 2\n", True),
        ("[[fault]]\nat = { phase = 'reply', route = '/prompt' }\ndo = 'status'\nstatus = 503\n", True),
        ("[[scenario]]\nuse = 'F08'\n", True),
        ("[[scenario]]\nuse = 'F08'\nbegins = 'first job'\n", True),
        ("[[scenario]]\nuse = 'F08'\nbegins = 'never'\n", False),
        ("[[scenario]]\nname = 'x'\n[[scenario.step]]\nat = '1s'\nload = { jobs = 2 }\n", True),
        ("[[instance]]\nprot = 8188\n", False),
        ("[profile.x]\nport = 8188\n", False),
        ("[[instance]]\nmode = 'dynamc'\n", False),
        ("[[fault]]\nat = 'reply'\ndo = 'dropp'\n", False),
        ("[[fault]]\ndo = 'drop'\n", False),
        ("[[scenario]]\nuse = 'F99'\n", False),
        ("[[scenario]]\nname = 'x'\n[[scenario.step]]\nload = { jobs = 2 }\n", False),
    ],
)
def test_it_takes_what_the_farm_takes(schema: Path, tmp_path: Path, text: str, fits: bool) -> None:
    path = tmp_path / "farm.toml"
    path.write_text(text)
    assert (checked("--schemafile", str(schema), str(path))[0] == 0) == fits


def test_editors_show_what_a_key_means() -> None:
    instance = file_schema()["$defs"]["Instance"]
    assert instance["properties"]["history_limit"]["description"] == "number of ended jobs that are kept."
    assert instance["description"] == "One ComfyUI, or with count several."
