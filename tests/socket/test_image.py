"""The image of the Dockerfile, built and run without a daemon: ``./scripts/nightly image``.

``COMFYFARM_TEST_IMAGE=1`` asks for it: it takes a minute or more, needs buildah and root, and fetches packages.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.commands import comfyfarm, until

pytestmark = pytest.mark.skipif(not os.environ.get("COMFYFARM_TEST_IMAGE"), reason="COMFYFARM_TEST_IMAGE is not set")

ROOT = Path(__file__).parents[2]
IMAGE = "localhost/comfyfarm-test"
RUN = ("buildah", "run", "--isolation", "chroot", "--network", "host", "--env", "COMFYFARM_CONTROL_PORT=1")
"""Without a ready file no other farm of this machine is found, as in a container's own network."""


def output_of(*words: str | Path) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def container() -> Iterator[str]:
    """Build the image, and return the name of a container of it."""
    output_of("env", "BUILDER=buildah", ROOT / "scripts" / "build_image", IMAGE)
    name = output_of("buildah", "from", IMAGE).strip()
    yield name
    output_of("buildah", "rm", name)
    output_of("buildah", "rmi", IMAGE)


@pytest.fixture(scope="module")
def settings(container: str) -> dict[str, Any]:
    """Return what the image says about how it is run."""
    return dict(json.loads(output_of("buildah", "inspect", container))["Docker"]["config"])


def test_it_runs_as_a_user_who_may_not_change_it(container: str, settings: dict[str, Any]) -> None:
    """By number; the plugin cache of twistd is there already."""
    assert settings["User"] == "10001:10001"
    inside = "id -u; ls /opt/comfyfarm/lib/python3*/site-packages/twisted/plugins/dropin.cache; touch /opt/x || echo no"
    user, cache, refused = output_of(*RUN, container, "--", "sh", "-c", inside).splitlines()
    assert (user, Path(cache).name, refused) == ("10001", "dropin.cache", "no")


def test_it_answers_other_processes_and_says_how_it_is(container: str, settings: dict[str, Any]) -> None:
    """On the ports of the host; the health check needs no token, others do. SIGTERM ends the farm in order."""
    word, *health_check = settings["Healthcheck"]["Test"]
    assert (word, health_check[:3]) == ("CMD", ["comfyfarm", "status", "--wait"])
    options = ("--host", "127.0.0.1", "--instances", "2", "--dynamic", "--port", "0", "--control-token", "of-this-test")
    words = ("sh", "-c", 'echo $$; exec "$@"', "sh", *settings["Entrypoint"], *options, "--control-port", "0")
    with subprocess.Popen([*RUN, container, "--", *words], stdout=subprocess.PIPE, text=True) as farm:
        assert farm.stdout is not None
        pid, first, _, last = (farm.stdout.readline().strip() for _ in range(4))
        try:
            url, _, token = last.removeprefix("control: ").partition("/?token=")
            assert first.startswith("comfyui-1: http://localhost:")
            assert requests.get(f"{url}/healthz", timeout=10).status_code == 200
            assert requests.get(f"{url}/api/farm", timeout=10).status_code == 401
            load = comfyfarm("load", "--control", url, "--control-token", token, "--jobs", "4", "--json")
            assert (load.returncode, json.loads(load.stdout)["delivered"]) == (0, 4)
            assert "comfyui-2" in output_of(*RUN, container, "--", *health_check)
        finally:
            os.kill(int(pid), signal.SIGTERM)
        until(lambda: farm.poll() is not None)
    assert farm.returncode == 0
    after = subprocess.run([*RUN, container, "--", *health_check[:2]], capture_output=True, check=False)
    assert b"Connection refused" in after.stderr
    assert after.returncode != 0
