"""A farm in a child process: how it starts, how it fails, and what is left of it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from socket import create_server

import pytest

from comfyfarm.clients import HttpStatusError, SyncComfyClient
from comfyfarm.testing import FarmDied, RunningFarm, attach_farm, run_farm, start_mock_server
from comfyfarm.workflows import text_to_image

ORPHAN = """
import os, signal
from comfyfarm.testing import start_mock_server
farm = start_mock_server()
print(farm.url, farm["comfyui"].input_dir, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def kill(farm: RunningFarm) -> None:
    """As the kernel does when memory runs out."""
    os.kill(farm._child.pid, signal.SIGKILL)
    farm._child.wait()


def test_one_server_without_pytest() -> None:
    """A static instance on a free port; its files and its process are gone after the block."""
    with start_mock_server() as farm:
        assert farm["comfyui"].mode == "static"
        assert farm.urls == [farm.url]
        assert SyncComfyClient(farm.url).health()
        folder = farm["comfyui"].input_dir
        assert any(folder.iterdir())
    assert not folder.exists()
    assert not SyncComfyClient(farm.url).health()


def test_one_dynamic_server_on_a_port_of_ones_choice() -> None:
    with create_server(("127.0.0.1", 0)) as finder:
        port = finder.getsockname()[1]
    with start_mock_server(disable_static_return=True, port=port) as farm:
        assert farm.url == f"http://127.0.0.1:{port}"
        assert farm["comfyui"].mode == "dynamic"


def test_the_same_farm_from_a_file(tmp_path: Path) -> None:
    """A path is taken as it is, ports and all."""
    path = tmp_path / "two.toml"
    path.write_text('[[instance]]\nname = "a-{n}"\ncount = 2\nport = 0\n')
    with run_farm(path) as farm:
        assert list(farm.instances) == ["a-1", "a-2"]
        assert len(set(farm.urls)) == 2


def test_a_bad_configuration_says_what_and_where() -> None:
    """The farm's own line is in the error."""
    with pytest.raises(FarmDied, match=r"config\.toml: .*sped: unknown key") as died:
        run_farm({"instance": [{"name": "one", "sped": 2}]})
    assert died.value.status == 1


def test_a_taken_port_is_named() -> None:
    with create_server(("127.0.0.1", 0)) as mine:
        port = mine.getsockname()[1]
        with pytest.raises(FarmDied, match=str(port)):
            start_mock_server(port=port)


def test_a_child_that_died_is_reported_with_its_log(comfy_farm: Callable[..., RunningFarm]) -> None:
    """By reset, which is what the fixtures call first, and again when it is stopped; its files go all the same."""
    farm = comfy_farm({"instance": [{"name": "one", "mode": "dynamic"}]})
    client = SyncComfyClient(farm.url)
    client.wait_for_completion(client.submit_workflow(text_to_image()))
    folder = Path(farm._folder.name)
    kill(farm)
    with pytest.raises(FarmDied, match="one"):
        farm.reset("one")
    with pytest.raises(FarmDied) as died:
        farm.stop()
    assert died.value.status == -signal.SIGKILL
    assert 0 < len(died.value.lines) <= 20
    assert not folder.exists()


def test_a_child_does_not_outlive_its_parent() -> None:
    """Even where the parent is killed and can do nothing about it; and the files go too."""
    parent = subprocess.run([sys.executable, "-c", ORPHAN], env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
                            stdout=subprocess.PIPE, text=True, check=False, timeout=30)
    assert parent.returncode == -signal.SIGKILL
    url, folder = parent.stdout.split()
    orphan, deadline = SyncComfyClient(url), time.monotonic() + 5
    while orphan.health() or Path(folder).exists():
        assert time.monotonic() < deadline, "the child lives on"


def test_a_farm_with_a_token_is_used_like_any_other() -> None:
    """By the farm's own handle, and by a client that has the token or the URL of the log."""
    token = "correct-horse-battery"  # noqa: S105 (of a farm that lives for one test)
    with run_farm({"farm": {"control_token": token}, "instance": [{"name": "gpu-1"}]}) as farm:
        farm.reset()
        assert attach_farm(farm.control_url, token).verdict().jobs == 0
        assert attach_farm(f"{farm.control_url}/?token={token}").verdict().jobs == 0
        with pytest.raises(HttpStatusError, match="the control token is missing"):
            attach_farm(farm.control_url).verdict()


def test_a_farm_for_tests_without_a_control_server_is_refused() -> None:
    with pytest.raises(ValueError, match="control = false"):
        run_farm({"farm": {"control": False}})


def test_variables_for_other_farms_do_not_reach_the_farm_of_a_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are the options of ``comfyfarm run`` on the same machine."""
    monkeypatch.setenv("COMFYFARM_ADVERTISE_HOST", "farm.example")
    monkeypatch.setenv("COMFYFARM_CONFIG", "none.toml")
    with start_mock_server() as farm:
        assert farm.url.startswith("http://127.0.0.1:")
