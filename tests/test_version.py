"""The version: said in one place, and told by the distribution and by both commands."""

from importlib.metadata import version

import pytest

from comfyfarm import __version__
from comfyfarm.cli.main import main
from comfyfarm.tap import Options


def test_the_installed_distribution_has_the_version_of_the_package() -> None:
    """Where they differ, the project has to be installed again."""
    assert version("comfyfarm") == __version__


def test_comfyfarm_tells_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    """Instead of asking for a command."""
    assert (main(["--version"]), capsys.readouterr().out) == (0, f"comfyfarm {__version__}\n")


def test_twistd_comfyfarm_tells_the_version_of_comfyfarm(capsys: pytest.CaptureFixture[str]) -> None:
    """``twistd --version`` tells that of Twisted."""
    with pytest.raises(SystemExit) as ended:
        Options().parseOptions(["--version"])
    assert (ended.value.code, capsys.readouterr().out) == (0, f"comfyfarm {__version__}\n")
    assert "Display comfyfarm's version and exit." in str(Options())
