"""The image of the Dockerfile, built and run without a daemon: ``./scripts/nightly image``.

``COMFYFARM_TEST_IMAGE=1`` asks for it: it takes a minute or more, needs buildah and root, and fetches packages.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from ruamel.yaml import YAML

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
    name = output_of("buildah", "from", "--add-host", "farm:127.0.0.1", IMAGE).strip()
    yield name
    output_of("buildah", "rm", name)
    output_of("buildah", "rmi", IMAGE)


@pytest.fixture(scope="module")
def settings(container: str) -> dict[str, Any]:
    """Return what the image says about how it is run."""
    return dict(json.loads(output_of("buildah", "inspect", container))["Docker"]["config"])


def words_for(container: str, *words: str, **environment: str) -> list[str]:
    """Return the command that runs another one in the container."""
    variables = [word for name, value in environment.items() for word in ("--env", f"{name}={value}")]
    return [*RUN, *variables, container, "--", *words]


@contextmanager
def running(container: str, entrypoint: list[str], **environment: str) -> Iterator[dict[str, str]]:
    """Run the image on free ports of loopback, and return the URLs that it prints; SIGTERM ends it in order."""
    options = ("--host", "127.0.0.1", "--port", "0", "--control-port", "0")
    words = words_for(container, "sh", "-c", 'echo $$; exec "$@"', "sh", *entrypoint, *options, **environment)
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as farm:
        assert farm.stdout is not None
        pid, urls = farm.stdout.readline(), {}
        try:
            while "control" not in urls:
                name, _, rest = farm.stdout.readline().partition(": ")
                urls[name] = rest.split()[0]
            yield urls
        finally:
            os.kill(int(pid), signal.SIGTERM)
        until(lambda: farm.poll() is not None)
    assert farm.returncode == 0


def test_it_runs_as_a_user_who_may_not_change_it(container: str, settings: dict[str, Any]) -> None:
    """By number; the plugin cache of twistd is there already."""
    assert settings["User"] == "10001:10001"
    inside = "id -u; ls /opt/comfyfarm/lib/python3*/site-packages/twisted/plugins/dropin.cache; touch /opt/x || echo no"
    user, cache, refused = output_of(*words_for(container, "sh", "-c", inside)).splitlines()
    assert (user, Path(cache).name, refused) == ("10001", "dropin.cache", "no")


def test_it_answers_other_processes_and_says_how_it_is(container: str, settings: dict[str, Any]) -> None:
    """On the ports of the host; the health check needs no token, others do."""
    word, *health_check = settings["Healthcheck"]["Test"]
    assert (word, health_check[:3]) == ("CMD", ["comfyfarm", "status", "--wait"])
    given = "of-this-test"
    with running(container, settings["Entrypoint"], COMFYFARM_CONTROL_TOKEN=given) as urls:
        assert urls["comfyui"].startswith("http://localhost:")
        url, _, token = urls["control"].partition("/?token=")
        assert token == given
        assert requests.get(f"{url}/healthz", timeout=10).status_code == 200
        assert requests.get(f"{url}/api/farm", timeout=10).status_code == 401
        load = comfyfarm("load", "--control", url, "--control-token", token, "--jobs", "2", "--json")
        assert (load.returncode, json.loads(load.stdout)["delivered"]) == (0, 2)
        assert "running" in output_of(*words_for(container, *health_check))
    after = subprocess.run(words_for(container, *health_check[:2]), capture_output=True, check=False)
    assert b"Connection refused" in after.stderr
    assert after.returncode != 0


def test_the_client_of_the_compose_file_is_served(container: str, settings: dict[str, Any]) -> None:
    """With the commands and variables of the file; only the ports are others."""
    services: Mapping[str, Any] = YAML(typ="safe").load(ROOT / "compose.yaml")["services"]
    default = {"${COMFYFARM_CONTROL_TOKEN:-only-for-tests}": "only-for-tests"}
    of_farm, of_client = (
        {name: default.get(value, value) for name, value in services[service]["environment"].items()}
        for service in ("farm", "client")
    )
    with running(container, settings["Entrypoint"], **of_farm) as urls:
        assert len(urls) == 4
        assert of_client["COMFYFARM_CONTROL"] == "http://farm:8180"
        of_client["COMFYFARM_CONTROL"] = urls["control"].partition("/?")[0]
        assert of_client["COMFYFARM_CONTROL"].startswith("http://farm:")
        client = services["client"]
        printed = output_of(*words_for(container, *client["entrypoint"], *client["command"], **of_client))
    assert "12 jobs on 3 instances" in printed
    assert "all delivered" in printed
