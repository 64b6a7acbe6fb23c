"""The demonstration as a user starts it, against a farm in a process of its own."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from comfyfarm.testing.child import RunningFarm

ROOT = Path(__file__).resolve().parents[2]
LONGEST_S = 60      # it takes about 3 seconds


def demo(*options: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "examples.demo", *options]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LONGEST_S, check=False)
    return ended.returncode, ended.stdout + ended.stderr


def test_the_demonstration_uses_all_instances_and_keeps_their_pictures(
    comfy_farm: Callable[..., RunningFarm], tmp_path: Path
) -> None:
    """It finds them by the control server; a job that fails is shown, and stops no other."""
    farm = comfy_farm({"instance": [{"name": "alpha", "mode": "static"}, {"name": "beta", "mode": "dynamic"}]})
    farm.control.arm(on="beta", at={"phase": "node"}, do="oom", times=1)
    code, shown = demo("--control", farm.control_url, "--jobs", "6", "--output", str(tmp_path))
    assert code == 1, shown
    assert "6 jobs on 2 instances, 1 failed" in shown
    assert "5 pictures: 3 different by instance and name, 3 by SHA-256" in shown
    assert "alpha is static: 3 times ../input/" in shown
    assert shown.count("OutOfMemoryError") == 1
    kept = sorted(path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*") if path.is_file())
    assert kept == ["alpha", "beta", "beta"]


def test_the_demonstration_takes_servers_by_their_urls(
    comfy_farm: Callable[..., RunningFarm], tmp_path: Path
) -> None:
    """Then they go by their addresses: any ComfyUI will do."""
    url = comfy_farm({"instance": [{"name": "beta", "mode": "dynamic"}]})["beta"].url
    code, shown = demo("--urls", url, "--jobs", "1", "--output", str(tmp_path))
    assert code == 0, shown
    assert "1 pictures: 1 different" in shown
    assert [path.name for path in tmp_path.iterdir()] == [url.removeprefix("http://").replace(":", "_")]


def test_the_demonstration_says_that_no_farm_is_there() -> None:
    """In one line, with what to do."""
    assert demo("--control", "127.0.0.1:1") == (
        1,
        "No farm answers at 127.0.0.1:1.  Start one with ./scripts/run\n",
    )
