"""``comfyfarm status``: also the health check of a container."""

from __future__ import annotations

import json

import pytest

from comfyfarm.cli.main import main
from comfyfarm.testing.child import run_farm


def test_it_shows_the_instances_of_a_farm_that_serves(capsys: pytest.CaptureFixture[str]) -> None:
    """``--wait`` waits for those that boot."""
    instances = [{"name": "a", "timing": {"boot": "300ms"}}, {"name": "b", "mode": "dynamic"}]
    with run_farm({"instance": instances}) as farm:
        assert main(["status", "--wait", "--control", farm.control_url]) == 0
        rows = [line.split() for line in capsys.readouterr().out.splitlines()]
        assert rows[1][:6] == ["a", farm["a"].url, "static", "running", "0", "0"]
        assert rows[2][:3] == ["b", farm["b"].url, "dynamic"]
        farm.control.pause("b")
        assert main(["status", "--json", "--control", farm.control_url]) == 0
        assert json.loads(capsys.readouterr().out)["instances"]["b"]["state"] == "paused"


@pytest.mark.parametrize("options", [[], ["--wait", "--timeout", "0.1"]])
def test_a_farm_that_does_not_serve_has_status_1(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--control", "http://127.0.0.1:1", *options]) == 1
    assert capsys.readouterr().err == "comfyfarm status: http://127.0.0.1:1: Connection refused\n"
