"""``comfyfarm status``: also the health check of a container."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

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


def test_the_ready_file_tells_port_and_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a container they may stand in a file, or have been drawn; and the host is that of other machines."""
    ready = tmp_path / "ready.json"
    monkeypatch.setenv("COMFYFARM_READY_FILE", str(ready))
    settings = {"control_token": "known-to-nobody", "advertise_host": "farm.invalid"}
    with run_farm({"farm": settings, "instance": [{"name": "a"}]}) as farm:
        address = urlsplit(farm.control_url)
        ready.write_text(json.dumps({"control": farm.control_url, "control_token": "known-to-nobody"}))
        assert main(["status", "--wait"]) == 0
        assert "http://farm.invalid:" in capsys.readouterr().out
        monkeypatch.setenv("COMFYFARM_CONTROL_TOKEN", "wrong")
        assert main(["status"]) == 1
        assert capsys.readouterr().err.startswith(f"comfyfarm status: http://127.0.0.1:{address.port}: ")


def test_it_waits_for_the_farm_that_writes_its_ready_file_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as in a container that has just started: until then it looks elsewhere, here at a server that is no farm."""
    ready = tmp_path / "ready.json"
    monkeypatch.setenv("COMFYFARM_READY_FILE", str(ready))

    class Earlier(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            ready.write_text(json.dumps({"control": farm.control_url, "control_token": "known-to-nobody"}))
            self.send_error(401)

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with (
        run_farm({"farm": {"control_token": "known-to-nobody"}, "instance": [{"name": "a"}]}) as farm,
        HTTPServer(("127.0.0.1", 0), Earlier) as earlier,
    ):
        ready.write_text(json.dumps({"control": f"http://127.0.0.1:{earlier.server_port}"}))
        answering = Thread(target=earlier.handle_request)
        answering.start()
        assert main(["status", "--wait", "--timeout", "10"]) == 0
        answering.join()


@pytest.mark.parametrize("content", ["", "{}", '{"control": null}', '{"control": "http://x:y"}'])
def test_a_ready_file_that_tells_nothing_leaves_the_usual_port(
    content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ready = tmp_path / "ready.json"
    ready.write_text(content)
    monkeypatch.setenv("COMFYFARM_READY_FILE", str(ready))
    monkeypatch.setenv("COMFYFARM_CONTROL_PORT", "1")
    assert main(["status"]) == 1
    assert capsys.readouterr().err == "comfyfarm status: http://127.0.0.1:1: Connection refused\n"


@pytest.mark.parametrize("options", [[], ["--wait", "--timeout", "0.1"]])
def test_a_farm_that_does_not_serve_has_status_1(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--control", "http://127.0.0.1:1", *options]) == 1
    assert capsys.readouterr().err == "comfyfarm status: http://127.0.0.1:1: Connection refused\n"
