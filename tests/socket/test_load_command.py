"""``comfyfarm load`` as a user starts it, against a farm in a process of its own."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

from comfyfarm.testing.child import RunningFarm
from tests.support.commands import comfyfarm, running

TWO = {"instance": [{"name": "alpha", "mode": "static"}, {"name": "beta", "mode": "dynamic"}]}


def test_a_load_uses_all_instances_and_keeps_their_pictures(
    comfy_farm: Callable[..., RunningFarm], tmp_path: Path
) -> None:
    """It finds them by the control server; a job that fails is shown, and stops no other."""
    farm = comfy_farm(TWO)
    farm.control.arm(on="beta", at={"phase": "node"}, do="oom", times=1)
    done = comfyfarm("load", "--control", farm.control_url, "--jobs", "6", "--output", str(tmp_path))
    assert done.returncode == 1, done.stderr
    assert "6 jobs on 2 instances in " in done.stdout
    assert ", 1 not delivered" in done.stdout
    assert "5 pictures: 3 different by instance and name, 3 by SHA-256" in done.stdout
    assert "alpha is static: 3 times ../input/" in done.stdout
    assert done.stdout.count("OutOfMemoryError") == 1
    assert "?" not in done.stdout
    kept = sorted(path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*") if path.is_file())
    assert kept == ["alpha", "beta", "beta"]


def test_a_load_takes_servers_by_their_urls(comfy_farm: Callable[..., RunningFarm], tmp_path: Path) -> None:
    """Any ComfyUI will do; without a websocket, history says what became of the jobs."""
    farm = comfy_farm(TWO)
    farm.control.arm(on="beta", do="status", at={"phase": "request", "route": "/ws"}, status=503)
    words = ("--jobs", "4", "--rate", "20", "--poisson", "-w", "batch", "-w", "two-passes=2", "--seed", "3")
    done = comfyfarm("load", farm["alpha"].url, farm["beta"].url, *words, "--policy", "shortest", "--json")
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert (facts["jobs"], facts["delivered"]) == (4, 4)
    assert {result["workflow"] for result in facts["results"]} == {"batch", "two-passes"}
    assert {f"http://{result['instance']}" for result in facts["results"]} == {farm["alpha"].url, farm["beta"].url}
    assert facts["figures"]["in_all"]["jobs"] == 4


def test_jobs_that_a_crash_took_are_not_waited_for(comfy_farm: Callable[..., RunningFarm], tmp_path: Path) -> None:
    """And the websocket is opened again: later jobs are followed."""
    farm = comfy_farm({"instance": [{"mode": "dynamic", "timing": {"step": "50ms"}}]})
    farm.control.arm(do="crash", at={"phase": "step", "step": 10}, times=1, restart_after="100ms")
    done = comfyfarm("load", farm.url, "--jobs", "3", "--rate", "0.5", "--json")
    assert done.returncode == 1, done.stderr
    facts = json.loads(done.stdout)
    assert facts["reasons"] == {"lost: neither in the queue nor in the history": 1}
    assert facts["figures"]["ran"]["jobs"] == 2


def test_a_farm_is_started_if_none_runs(tmp_path: Path) -> None:
    """That of config.toml, or one of three instances; it ends with the load."""
    (tmp_path / "config.toml").write_text("[[instance]]\nname = 'mine'\nport = 0\n")
    for name in ("config.toml", "none.toml"):
        done = comfyfarm("load", "--jobs", "3", "--config", name, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert done.stderr.startswith("no farm runs at http://127.0.0.1:8180: starting that of ")
        assert "3 jobs on " in done.stdout
        assert ("mine" in done.stdout, "gpu-3" in done.stdout) == (name == "config.toml", name != "config.toml")


def test_a_load_that_is_interrupted_shows_how_far_it_got(
    comfy_farm: Callable[..., RunningFarm], tmp_path: Path
) -> None:
    farm = comfy_farm({"instance": [{"timing": {"step": "1h"}}]})
    with running("load", farm.url, "--jobs", "2", cwd=tmp_path) as load:
        farm.control.wait(running=1)
        load.send_signal(signal.SIGINT)
        output, _ = load.communicate(timeout=60)
    assert load.returncode == 130
    assert "2 jobs on 1 instances in " in output
    assert "2 not delivered" in output


def test_what_cannot_be_reached_is_said_in_one_line(tmp_path: Path) -> None:
    """With status 2, and without a traceback."""
    (tmp_path / "config.toml").write_text("[[instance]]\nport = 'x'\n")
    tries = {
        ("--control", "127.0.0.1:1"): "no farm answers at http://127.0.0.1:1; start one with comfyfarm run",
        ("http://127.0.0.1:1",): "http://127.0.0.1:1: Connection was refused by other side: 111: Connection refused.",
        ("http://127.0.0.1:1", "-w", "none.json"): "none.json: No such file or directory, and no built-in workflow is ",
    }
    for words, says in tries.items():
        done = comfyfarm("load", *words, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(f"comfyfarm load: {says}")
        assert done.stderr.count("\n") == 1
    done = comfyfarm("load", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.splitlines()[1] == (
        "comfyfarm load: the farm of config.toml does not start: config.toml: instance[0].port: expected int, got str"
    )


class _Other(BaseHTTPRequestHandler):
    """A server of something else."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"a": 1}')

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_a_server_of_something_else_is_named() -> None:
    with HTTPServer(("127.0.0.1", 0), _Other) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        words = (["load", url], ["status", "--control", url], ["fault", "list", "--control", url])
        done, status, listed = (comfyfarm(*command) for command in words)
        server.shutdown()
    assert "answers, but not as a ComfyUI does ('prompt_id')" in done.stdout
    assert (done.returncode, status.returncode, listed.returncode) == (1, 1, 2)
    assert status.stderr == f"comfyfarm status: {url}: answers, but not as a farm does\n"
    assert listed.stderr == f"comfyfarm fault: {url}: answers, but not as a farm does\n"
