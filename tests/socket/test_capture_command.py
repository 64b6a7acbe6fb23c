"""``comfyfarm capture`` against a server on a real port."""

import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from socket import create_server
from threading import Thread

from comfyfarm.clients.comfy_sync import ask
from comfyfarm.testing.child import run_farm

PATHS = ("/object_info", "/models", "/models/checkpoints", "/system_stats", "/features", "/embeddings")


def capture(url: str, directory: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "comfyfarm.cli.main", "capture", url, "-o", str(directory), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_farm_serves_what_the_command_captured(tmp_path: Path) -> None:
    """The fragment is made part of a configuration by adding a port to it."""
    origin = {"name": "origin", "models": {"checkpoints": ["own.safetensors:23GB"]}, "missing_nodes": ["KSampler"]}
    with run_farm({"instance": [origin]}) as farm:
        done = capture(farm.url, tmp_path, "--name", "twin")
        assert (done.returncode, done.stderr) == (0, "")
        assert [Path(line).parent for line in done.stdout.splitlines()] == [tmp_path] * 5
        expected = {path: ask("GET", farm.url + path) for path in PATHS}
    fragment = (tmp_path / "instance.toml").read_text()
    (tmp_path / "farm.toml").write_text(f"[farm]\ncontrol_port = 0\n{fragment}port = 0\n")
    with run_farm(tmp_path / "farm.toml") as farm:
        assert {path: ask("GET", farm["twin"].url + path) for path in PATHS} == expected


def test_a_server_that_is_not_there_is_told_in_one_line(tmp_path: Path) -> None:
    with create_server(("127.0.0.1", 0)) as finder:
        port = finder.getsockname()[1]
    done = capture(f"http://127.0.0.1:{port}", tmp_path / "none")
    assert done.returncode == 2
    assert "Connection refused" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "none").exists()


class _Other(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>hello</html>")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_a_server_that_is_no_comfyui_is_told_in_one_line(tmp_path: Path) -> None:
    with HTTPServer(("127.0.0.1", 0), _Other) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        done = capture(url, tmp_path)
        server.shutdown()
    assert done.returncode == 2
    assert done.stderr == f"comfyfarm capture: {url}: not a ComfyUI server: /system_stats answered no JSON\n"


def test_a_directory_that_cannot_be_written_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with run_farm({"instance": [{}]}) as farm:
        done = capture(farm.url, tmp_path / "file")
    assert done.returncode == 2
    assert done.stderr == f"comfyfarm capture: {tmp_path}/file: File exists\n"


def test_an_edited_capture_is_not_overwritten(tmp_path: Path) -> None:
    """A capture as it was written is replaced by a newer one; ``--force`` replaces any."""
    with run_farm({"instance": [{}]}) as farm:
        assert capture(farm.url, tmp_path).returncode == 0
        assert capture(farm.url, tmp_path).returncode == 0
        edited = tmp_path / "instance.toml"
        edited.write_text(edited.read_text() + "mode = 'dynamic'\n")
        refused = capture(farm.url, tmp_path)
        assert refused.returncode == 2
        assert refused.stderr == f"comfyfarm capture: {tmp_path}: would overwrite instance.toml; --force does it\n"
        assert edited.read_text().endswith("mode = 'dynamic'\n")
        assert capture(farm.url, tmp_path, "--force").returncode == 0
    assert "dynamic" not in edited.read_text()
