"""``comfyfarm run``: a farm without a file, what it prints, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from socket import create_server

import pytest

from comfyfarm.clients import SyncComfyClient
from comfyfarm.workflows import text_to_image
from tests.support.commands import COMMAND, ENVIRONMENT, comfyfarm, running, until

FREE = ("--port", "0", "--control-port", "0")


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_where_everything_is_and_then_each_request_and_job(tmp_path: Path, ending: signal.Signals) -> None:
    """The ready file is there as long as the farm is; a signal ends it with status 0."""
    ready = tmp_path / "ready.json"
    ready.write_text("of a farm that was killed")
    options = ("--instances", "2", "--dynamic", *FREE, "--ready-file", "ready.json", "-v")
    with running("run", *options, cwd=tmp_path) as farm:
        assert farm.stdout is not None
        places = [farm.stdout.readline() for _ in range(3)]
        told = json.loads(ready.read_text())
        assert places == [
            f"comfyui-1: {told['instances']['comfyui-1']['url']} (dynamic)\n",
            f"comfyui-2: {told['instances']['comfyui-2']['url']} (dynamic)\n",
            f"control: {told['control']}\n",
        ]
        client = SyncComfyClient(told["instances"]["comfyui-2"]["url"])
        client.wait_for_completion(client.submit_workflow(text_to_image()))
        farm.send_signal(ending)
        output, _ = farm.communicate(timeout=60)
    assert farm.returncode == 0
    assert not ready.exists()
    assert "comfyui-2     POST /prompt 200 (" in output
    assert ": success in 0.3" in output


def test_as_json_it_prints_the_events_of_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if a variable asks for it, as in a container."""
    monkeypatch.setitem(ENVIRONMENT, "COMFYFARM_JSON", "1")
    with running("run", *FREE, cwd=tmp_path) as farm:
        assert farm.stdout is not None
        assert json.loads(farm.stdout.readline())["kind"] == "configured"


def test_what_keeps_it_from_starting_is_said_in_one_line(tmp_path: Path) -> None:
    """With status 2, and without a traceback."""
    (tmp_path / "bad.toml").write_text('[[instance]]\nport = "x"\n')
    (tmp_path / "cat.toml").write_text('[[instance]]\ninput = "cat.png"\n')
    with create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        options = [("-c", name) for name in ("bad.toml", "cat.toml", "none.toml")]
        refused = [comfyfarm("run", *words, cwd=tmp_path) for words in options]
        refused.append(comfyfarm("run", "--port", str(port), "--control-port", "0", cwd=tmp_path))
    assert {done.returncode for done in refused} == {2}
    assert [done.stdout for done in refused] == [""] * 4
    bad, cat, none, port_taken = (done.stderr for done in refused)
    assert bad == "comfyfarm run: bad.toml: instance[0].port: expected int, got str\n"
    assert cat.startswith("comfyfarm run: cat.toml: instance[0].input: ")
    assert none == "comfyfarm run: none.toml: No such file or directory\n"
    assert port_taken == f"comfyfarm run: comfyui: port {port} cannot be had: Address already in use\n"


def test_it_ends_with_its_parent(tmp_path: Path) -> None:
    """Even if the parent is killed."""
    ready, log = tmp_path / "ready.json", tmp_path / "run.jsonl"
    words = [*COMMAND, "run", *FREE, "--exit-with-parent", "--ready-file", str(ready), "--log", str(log)]
    parent = subprocess.Popen(["sh", "-c", '"$@" & wait', "sh", *words], env=ENVIRONMENT, stdout=subprocess.DEVNULL)
    until(ready.exists)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    until(lambda: not ready.exists())
    until(lambda: b'"log_ended"' in log.read_bytes())


def test_the_urls_may_name_another_host(tmp_path: Path) -> None:
    """A container's port is reached by another name than the one that it is bound to."""
    options = ("--host", "0.0.0.0", "--advertise-host", "farm.example", *FREE)
    with running("run", *options, cwd=tmp_path) as farm:
        assert farm.stdout is not None
        assert farm.stdout.readline().startswith("comfyui: http://farm.example:")
        assert farm.stdout.readline().startswith("control: http://farm.example:")
