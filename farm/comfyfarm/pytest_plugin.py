"""How does somebody else's test get a farm?

Static or dynamic?  Take **static** where the test is about jobs (are they sent, queued, waited for, retried): every
job gives the same picture and nothing is written.  Take **dynamic** where the test is about files (are they
fetched, named, kept apart): every job writes a new picture under a name of its own.

The marker ``comfy_farm`` says what the farms of a test are made of and what they shall be judged to be; a failed test
tells what its farms know (docs/testing.md).

Nothing of Twisted is imported up here: pytest loads this module before pytest-twisted may have chosen a reactor,
and Klein imports one.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from comfyfarm.testing.plugin.stash import FAILURE, MARKER, RERUN, SESSION, WORDS

if TYPE_CHECKING:
    from comfyfarm.clients.comfy_sync import SyncComfyClient
    from comfyfarm.testing import MemoryFarm, TwistedFarm
    from comfyfarm.testing.child import RunningFarm, ServedInstance
    from comfyfarm.testing.plugin.marker import AnyConfig
    from comfyfarm.testing.plugin.session import TestSession


_BOTH_MODES = {"instance": [{"name": "static", "mode": "static"}, {"name": "dynamic", "mode": "dynamic"}]}
_ADVICE = "this fixture needs pytest-twisted: pip install 'comfyfarm[twisted]'"


@pytest.fixture(scope="session")
def _mock_comfyui_farm(pytestconfig: pytest.Config) -> Iterator[RunningFarm]:
    """The one child process behind all ``mock_comfyui_*`` fixtures; each worker of pytest-xdist has its own."""
    from comfyfarm.testing.child import run_farm

    seed = pytestconfig.getoption("comfy_seed")
    with run_farm(_BOTH_MODES if seed is None else {**_BOTH_MODES, "farm": {"seed": seed}}) as farm:
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
    from comfyfarm.clients.comfy_sync import SyncComfyClient

    return SyncComfyClient(mock_comfyui_url)


@pytest.fixture
def mock_comfyui_client_dynamic(mock_comfyui_url_dynamic: str) -> SyncComfyClient:
    """A plain synchronous client of the **dynamic** server, emptied before the test.

    For a test that submits jobs itself and looks at the files they make.
    """
    from comfyfarm.clients.comfy_sync import SyncComfyClient

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
def comfy_farm(request: pytest.FixtureRequest) -> Iterator[Callable[..., RunningFarm]]:
    """A factory of whole farms: ``comfy_farm(path, dictionary or TOML text)["gpu-1"].url``.

    For tests of software that uses several servers; each instance's ``mode`` says whether it is static or dynamic.
    Instances without a port get free ones.  Each farm is a child process of its own, which takes about a second to
    start, and is stopped and cleaned at the end of the test.  Called without a configuration it takes the marker's.
    """
    from contextlib import ExitStack

    from comfyfarm.testing.child import FarmDied, run_farm
    from comfyfarm.testing.plugin.session import trial_of

    trial = trial_of(request.node)
    with ExitStack() as farms:
        ready: list[RunningFarm] = []

        def start(config: AnyConfig | None = None) -> RunningFarm:
            if config is None and ready:
                return ready.pop()
            return trial.add(farms.enter_context(run_farm(trial.tables(config))))

        if trial.asked.config is not None:      # now, so that what is wrong with it is wrong with the test's set-up
            with _failing_shortly(FarmDied):
                ready.append(start())
        yield start


@pytest.fixture
def twisted_farm(request: pytest.FixtureRequest) -> Iterator[Callable[..., Coroutine[Any, Any, TwistedFarm]]]:
    """A factory of farms in this test's reactor, to be awaited.

    ``farm = await twisted_farm(config)``; ``config`` as for ``comfy_farm``, or a ``FarmConfig``.
    For tests of Twisted software under pytest-twisted: real sockets on free ports, ``farm["gpu-1"].url`` and
    ``.client``.  Static or dynamic as each instance's ``mode`` says.  Stopped at the end of the test.
    """
    blockon = _pytest_twisted(request).blockon

    from twisted.internet import reactor
    from twisted.internet.defer import Deferred
    from twisted.internet.task import deferLater

    from comfyfarm.testing import TwistedFarm, as_config
    from comfyfarm.testing.plugin.session import trial_of

    trial = trial_of(request.node)
    _check_marker(trial)
    farms: list[TwistedFarm] = []

    async def start(config: AnyConfig | None = None) -> TwistedFarm:
        farms.append(trial.add(await TwistedFarm.start(reactor, as_config(trial.config(config)))))
        return farms[-1]

    yield start
    for farm in reversed(farms):
        if farm.farm.running:       # a test may stop it itself
            blockon(Deferred.fromCoroutine(farm.stop()))
    blockon(deferLater(reactor, 0))     # a connection that was cut is gone after the reactor's next turn


@pytest.fixture
def memory_farm(request: pytest.FixtureRequest) -> Iterator[Callable[..., MemoryFarm]]:
    """A factory of farms without a socket, on a clock that the test moves: ``farm.advance(60)``.

    For tests of what happens when, an hour of it in milliseconds; ``farm["gpu-1"].ask("POST", "/prompt", json=...)``.
    Static or dynamic as each instance's ``mode`` says; static is quicker.  Stopped at the end of the test.
    """
    from comfyfarm.testing import MemoryFarm, as_config
    from comfyfarm.testing.plugin.session import trial_of

    trial = trial_of(request.node)
    _check_marker(trial)
    farms: list[MemoryFarm] = []

    def start(config: AnyConfig | None = None) -> MemoryFarm:
        farms.append(trial.add(MemoryFarm.start(as_config(trial.config(config)))))
        return farms[-1]

    yield start
    for farm in reversed(farms):
        farm.stop()


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--comfy-seed``, ``--comfy-report``, ``--comfy-shrink``."""
    group = parser.getgroup("comfyfarm", "farms of mock ComfyUI servers")
    group.addoption("--comfy-seed", type=int, metavar="N", help="the seed of every farm, to repeat a run")
    group.addoption("--comfy-report", metavar="DIR", help="where to write a page about each farm of a failed test")
    group.addoption(
        "--comfy-shrink",
        action="store_true",
        help="run a failed test with a list of faults in its marker again, until no fault can be left out",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line("markers", WORDS)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Run a test that may have to be run again."""
    is_wanted = item.config.getoption("comfy_shrink") and not item.config.getoption("usepdb", default=False)
    if not is_wanted or item.get_closest_marker(MARKER) is None:
        return None
    from comfyfarm.testing.plugin.shrink import run_and_shrink

    return run_and_shrink(item, nextitem)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Read the marker before there is a farm."""
    if SESSION in item.stash:     # of an earlier run
        del item.stash[SESSION]
    if item.get_closest_marker(MARKER) is not None:
        from comfyfarm.testing.plugin.session import begin

        begin(item)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Judge the farms of a test that came to its end."""
    result = yield
    if SESSION in item.stash:
        item.stash[SESSION].judge()
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let the farms of a failed test tell what they know, while they are there."""
    report = yield
    trial = item.stash.get(SESSION, None)
    if trial is None:
        return report
    if call.when == "teardown":
        trial.farms.clear()
    elif report.failed and call.excinfo is not None:
        _tell(item, call.excinfo, report)
    return report


def _tell(item: pytest.Item, why: pytest.ExceptionInfo[BaseException], report: pytest.TestReport) -> None:
    if report.when == "call" and item.config.getoption("comfy_shrink"):
        from comfyfarm.testing.plugin.shrink import Failure

        item.stash[FAILURE] = Failure.of(item, why)
    if RERUN not in item.stash:     # nobody sees the report of such a run
        from comfyfarm.testing.plugin.report import sections

        folder = item.config.getoption("comfy_report")
        where = None if folder is None else Path(item.config.invocation_params.dir, folder)
        report.sections.extend(sections(item.stash[SESSION], item.nodeid, where))


def _check_marker(trial: TestSession) -> None:
    """Look whether a farm in this process can be made of the marker's configuration."""
    from comfyfarm.config.decoding import ConfigError
    from comfyfarm.testing import as_config, check_config

    if trial.asked.config is not None:
        with _failing_shortly(ConfigError):
            check_config(as_config(trial.config()))


@contextmanager
def _failing_shortly(kind: type[Exception]) -> Iterator[None]:
    """Say what is wrong in the farm's words alone."""
    try:
        yield
    except kind as why:
        raise pytest.fail.Exception(f"@pytest.mark.{MARKER}: {why}", pytrace=False) from None


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
