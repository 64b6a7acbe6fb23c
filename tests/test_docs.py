"""The examples of docs/testing.md, run as they are written."""

import re
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

PAGE = Path(__file__).parent.parent / "docs" / "testing.md"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)

TEST = re.compile(r"^(?:async )?def test_", re.MULTILINE)


def test_every_example_runs_as_written(pytester: pytest.Pytester, request: pytest.FixtureRequest) -> None:
    """Each block is a test file of its own; one run for the whole page, with warnings as errors."""
    blocks = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    pytester.makepyfile(**{f"test_block_{index:02}": block for index, block in enumerate(blocks)})
    installed = request.config.pluginmanager.hasplugin("comfyfarm")
    plugin = [] if installed else ["-p", "comfyfarm.pytest_plugin"]
    result = pytester.runpytest_subprocess("-W", "error", "-W", "default::DeprecationWarning:twisted.*", *plugin)
    assert result.ret == pytest.ExitCode.OK
    assert result.parseoutcomes() == {"passed": sum(len(TEST.findall(block)) for block in blocks)}
