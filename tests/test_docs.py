"""The examples of the pages about testing, run as they are written."""

import re
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

DOCS = Path(__file__).parent.parent / "docs"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)

TEST = re.compile(r"^(?:async )?def test_", re.MULTILINE)
OPTIONS = (
    "-W", "error", "-W", "default::DeprecationWarning:twisted.*", "-o", "asyncio_default_fixture_loop_scope=function",
)


@pytest.mark.parametrize("page", ["testing", "asyncio"])
def test_every_example_runs_as_written(page: str, pytester: pytest.Pytester, request: pytest.FixtureRequest) -> None:
    """Each block is a test file of its own; one run for the whole page, with warnings as errors."""
    blocks = BLOCK.findall((DOCS / f"{page}.md").read_text(encoding="utf-8"))
    pytester.makepyfile(**{f"test_block_{index:02}": block for index, block in enumerate(blocks)})
    installed = request.config.pluginmanager.hasplugin("comfyfarm")
    plugin = [] if installed else ["-p", "comfyfarm.pytest_plugin"]
    result = pytester.runpytest_subprocess(*OPTIONS, *plugin)
    assert result.ret == pytest.ExitCode.OK
    assert result.parseoutcomes() == {"passed": sum(len(TEST.findall(block)) for block in blocks)}
