"""How does somebody else's test get a farm?

Static or dynamic?  Take **static** where the test is about jobs (are they sent, queued, waited for, retried): every
job gives the same picture and nothing is written.  Take **dynamic** where the test is about files (are they
fetched, named, kept apart): every job writes a new picture under a name of its own.

Nothing of Twisted is imported up here: pytest loads this module before pytest-twisted may have chosen a reactor,
and Klein imports one.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from farm.child import ConfigSource, RunningFarm, ServedInstance
    from farm.config import FarmConfig
    from farm.sync_client import SyncComfyClient
    from farm.testing import MemoryFarm, TwistedFarm

    AnyConfig = ConfigSource | FarmConfig

_BOTH_MODES = {"instance": [{"name": "static", "mode": "static"}, {"name": "dynamic", "mode": "dynamic"}]}
_ADVICE = "this fixture needs pytest-twisted: pip install 'comfyfarm[pytest]'"


@pytest.fixture(scope="session")
def _mock_comfyui_farm() -> Iterator[RunningFarm]:
    """The one child process behind all ``mock_comfyui_*`` fixtures; each worker of pytest-xdist has its own."""
    from farm.child import run_farm

    with run_farm(_BOTH_MODES) as farm:
        yield farm


@pytest.fixture(scope="session")
def mock_comfyui_server(_mock_comfyui_farm: RunningFarm) -> str:
    """The base URL of a **static** mock ComfyUI that runs for the whole session.

    Static: every job's history names the same input picture, and no file is written.  Use it where only the job
    matters: submitting, queueing, waiting, retrying.  State is kept from test to test; ``mock_comfyui_url`` is the
    same server, emptied.
    """
    return _mock_comfyui_farm["static"].url


@pytest.fixture(scope="session")
def mock_comfyui_server_dynamic(_mock_comfyui_farm: RunningFarm) -> str:
    """The base URL of a **dynamic** mock ComfyUI that runs for the whole session.

    Dynamic: every job writes a new picture with a unique name.  Use it where files matter: downloading, naming,
    keeping the results of several jobs apart.  State is kept from test to test; ``mock_comfyui_url_dynamic`` is the
    same server, emptied.
    """
    return _mock_comfyui_farm["dynamic"].url


@pytest.fixture
def mock_comfyui_url(_mock_comfyui_farm: RunningFarm) -> str:
    """The **static** server's base URL, with queue, history, cache and uploads emptied before the test.

    The fixture to begin with: for every test of what becomes of a job, not of its files.
    """
    return _emptied(_mock_comfyui_farm, "static").url


@pytest.fixture
def mock_comfyui_url_dynamic(_mock_comfyui_farm: RunningFarm) -> str:
    """The **dynamic** server's base URL, with queue, history, cache and uploads emptied before the test.

    For tests of files.  Those written by earlier tests stay until the session ends, and the numbers in their names
    go on, so that no name comes twice.
    """
    return _emptied(_mock_comfyui_farm, "dynamic").url


@pytest.fixture
def mock_comfyui_client(mock_comfyui_url: str) -> SyncComfyClient:
    """A plain synchronous client of the **static** server, emptied before the test.

    For a test that submits jobs itself and does not care for their files.
    """
    from farm.sync_client import SyncComfyClient

    return SyncComfyClient(mock_comfyui_url)


@pytest.fixture
def mock_comfyui_client_dynamic(mock_comfyui_url_dynamic: str) -> SyncComfyClient:
    """A plain synchronous client of the **dynamic** server, emptied before the test.

    For a test that submits jobs itself and looks at the files they make.
    """
    from farm.sync_client import SyncComfyClient

    return SyncComfyClient(mock_comfyui_url_dynamic)


@pytest.fixture
def mock_comfyui_config(_mock_comfyui_farm: RunningFarm) -> ServedInstance:
    """``url``, ``mode``, ``input_dir`` and ``output_dir`` of the **static** server, emptied before the test.

    For software that is configured with the folders of its ComfyUI, where no file is expected in them.
    """
    return _emptied(_mock_comfyui_farm, "static")


@pytest.fixture
def mock_comfyui_config_dynamic(_mock_comfyui_farm: RunningFarm) -> ServedInstance:
    """``url``, ``mode``, ``input_dir`` and ``output_dir`` of the **dynamic** server, emptied before the test.

    For software that reads ComfyUI's output folder itself.
    """
    return _emptied(_mock_comfyui_farm, "dynamic")


@pytest.fixture
def comfy_farm() -> Iterator[Callable[[ConfigSource], RunningFarm]]:
    """A factory of whole farms: ``comfy_farm(path, dictionary or TOML text)["gpu-1"].url``.

    For tests of software that uses several servers; each instance's ``mode`` says whether it is static or dynamic.
    Instances without a port get free ones.  Each farm is a child process of its own, which takes about a second to
    start, and is stopped and cleaned at the end of the test.
    """
    from contextlib import ExitStack

    from farm.child import run_farm

    with ExitStack() as farms:
        yield lambda config: farms.enter_context(run_farm(config))


@pytest.fixture
def twisted_farm(request: pytest.FixtureRequest) -> Iterator[Callable[[AnyConfig], Coroutine[Any, Any, TwistedFarm]]]:
    """A factory of farms in this test's reactor, to be awaited.

    ``farm = await twisted_farm(config)``; ``config`` as for ``comfy_farm``, or a ``FarmConfig``.
    For tests of Twisted software under pytest-twisted: real sockets on free ports, ``farm["gpu-1"].url`` and
    ``.client``.  Static or dynamic as each instance's ``mode`` says.  Stopped at the end of the test.
    """
    blockon = _pytest_twisted(request).blockon

    from twisted.internet import reactor
    from twisted.internet.defer import Deferred
    from twisted.internet.task import deferLater

    from farm.testing import TwistedFarm, as_config

    farms: list[TwistedFarm] = []

    async def start(config: AnyConfig) -> TwistedFarm:
        farms.append(await TwistedFarm.start(reactor, as_config(config)))
        return farms[-1]

    yield start
    for farm in reversed(farms):
        if farm.farm.running:       # a test may stop it itself
            blockon(Deferred.fromCoroutine(farm.stop()))
    blockon(deferLater(reactor, 0))     # a connection that was cut is gone after the reactor's next turn


@pytest.fixture
def memory_farm() -> Iterator[Callable[[AnyConfig], MemoryFarm]]:
    """A factory of farms without a socket, on a clock that the test moves: ``farm.advance(60)``.

    For tests of what happens when, an hour of it in milliseconds; ``farm["gpu-1"].ask("POST", "/prompt", json=...)``.
    Static or dynamic as each instance's ``mode`` says; static is quicker.  Stopped at the end of the test.
    """
    from farm.testing import MemoryFarm, as_config

    farms: list[MemoryFarm] = []

    def start(config: AnyConfig) -> MemoryFarm:
        farms.append(MemoryFarm.start(as_config(config)))
        return farms[-1]

    yield start
    for farm in reversed(farms):
        farm.stop()


def _emptied(farm: RunningFarm, name: str) -> ServedInstance:
    farm.reset(name)
    return farm[name]


def _pytest_twisted(request: pytest.FixtureRequest) -> Any:
    """pytest-twisted, installed and not switched off."""
    plugins = request.config.pluginmanager
    if not (plugins.hasplugin("twisted") or plugins.hasplugin("pytest_twisted")):     # by entry point, or by -p
        pytest.fail(_ADVICE, pytrace=False)
    import pytest_twisted

    return pytest_twisted
