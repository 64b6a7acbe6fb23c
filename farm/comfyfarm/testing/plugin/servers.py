"""The fixtures ``mock_comfyui_...``: one static and one dynamic server for the whole session, in a child process."""

# As in comfyfarm.pytest_plugin, which loads this module, nothing of Twisted is imported here.

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from comfyfarm import clients, testing

_BOTH_MODES = {"instance": [{"name": "static", "mode": "static"}, {"name": "dynamic", "mode": "dynamic"}]}


@pytest.fixture(scope="session")
def _mock_comfyui_farm(pytestconfig: pytest.Config) -> Iterator[testing.RunningFarm]:
    """The child process of all ``mock_comfyui_*`` fixtures; each worker of pytest-xdist has its own."""
    seed = pytestconfig.getoption("comfy_seed")
    with testing.run_farm(_BOTH_MODES if seed is None else {**_BOTH_MODES, "farm": {"seed": seed}}) as farm:
        yield farm


@pytest.fixture(scope="session")
def _mock_comfyui_runs() -> Counter[str]:
    """How often each test has been run."""
    return Counter()


@pytest.fixture
def _mock_comfyui_trial(
    request: pytest.FixtureRequest, _mock_comfyui_farm: testing.RunningFarm, _mock_comfyui_runs: Counter[str]
) -> testing.RunningFarm:
    """The same child process, in a new trial with the test's name."""
    name = request.node.nodeid
    _mock_comfyui_runs[name] += 1
    run = _mock_comfyui_runs[name]      # A test that is run again needs another name.
    _mock_comfyui_farm.trial(name if run == 1 else f"{name} (run {run})")
    return _mock_comfyui_farm


@pytest.fixture(scope="session")
def mock_comfyui_server(_mock_comfyui_farm: testing.RunningFarm) -> str:
    """The base URL of a **static** mock ComfyUI that runs for the whole session.

    Static: every job's history names the same input picture, and no file is written.  Use it if only the job
    matters: submitting, queueing, waiting, retrying.  State is kept from test to test; ``mock_comfyui_url`` is the
    same server, emptied.
    """
    return _mock_comfyui_farm["static"].url


@pytest.fixture(scope="session")
def mock_comfyui_server_dynamic(_mock_comfyui_farm: testing.RunningFarm) -> str:
    """The base URL of a **dynamic** mock ComfyUI that runs for the whole session.

    Dynamic: every job writes a new picture with a unique name.  Use it if files matter: downloading, naming,
    keeping the results of several jobs apart.  State is kept from test to test; ``mock_comfyui_url_dynamic`` is the
    same server, emptied.
    """
    return _mock_comfyui_farm["dynamic"].url


@pytest.fixture
def mock_comfyui_url(_mock_comfyui_trial: testing.RunningFarm) -> str:
    """The **static** server's base URL, with queue, history, cache and uploads emptied before the test.

    The fixture to begin with, for tests of jobs, not of files.
    """
    return _emptied(_mock_comfyui_trial, "static").url


@pytest.fixture
def mock_comfyui_url_dynamic(_mock_comfyui_trial: testing.RunningFarm) -> str:
    """The **dynamic** server's base URL, with queue, history, cache and uploads emptied before the test.

    For tests of files.  Files of earlier tests stay until the session ends, and the numbers in their names
    continue, so that no name is used twice.
    """
    return _emptied(_mock_comfyui_trial, "dynamic").url


@pytest.fixture
def mock_comfyui_client(mock_comfyui_url: str) -> clients.SyncComfyClient:
    """A blocking client of the **static** server, emptied before the test.

    For a test that submits jobs itself and does not look at their files.
    """
    return clients.SyncComfyClient(mock_comfyui_url)


@pytest.fixture
def mock_comfyui_client_dynamic(mock_comfyui_url_dynamic: str) -> clients.SyncComfyClient:
    """A blocking client of the **dynamic** server, emptied before the test.

    For a test that submits jobs itself and looks at their files.
    """
    return clients.SyncComfyClient(mock_comfyui_url_dynamic)


@pytest.fixture
def mock_comfyui_config(_mock_comfyui_trial: testing.RunningFarm) -> testing.ServedInstance:
    """``url``, ``mode``, ``input_dir`` and ``output_dir`` of the **static** server, emptied before the test.

    For software that is configured with the folders of its ComfyUI and expects no files there.
    """
    return _emptied(_mock_comfyui_trial, "static")


@pytest.fixture
def mock_comfyui_config_dynamic(_mock_comfyui_trial: testing.RunningFarm) -> testing.ServedInstance:
    """``url``, ``mode``, ``input_dir`` and ``output_dir`` of the **dynamic** server, emptied before the test.

    For software that reads ComfyUI's output folder.
    """
    return _emptied(_mock_comfyui_trial, "dynamic")


def _emptied(farm: testing.RunningFarm, name: str) -> testing.ServedInstance:
    farm.reset(name)
    return farm[name]
