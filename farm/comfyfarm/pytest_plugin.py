"""The pytest plugin: fixtures that start farms, the marker ``comfy_farm``, and reports about the farms of failed tests.

Use **static** fixtures if the test is about jobs (submitting, queueing, waiting, retrying): every job gives the same
picture, and nothing is written.  Use **dynamic** ones if it is about files (downloading, naming, keeping them apart):
every job writes a new picture under its own name.

See docs/testing.md for the marker and the options.
"""

# Nothing of Twisted is imported at the top: pytest may load this module before pytest-twisted has chosen a reactor, and
# importing Klein installs one.  The packages clients and testing import a name when it is first used.

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from comfyfarm import testing
from comfyfarm.testing.plugin.stash import FAILURE, MARKER, MARKER_HELP, RERUN, SESSION, WARNING

if TYPE_CHECKING:
    from comfyfarm.testing.plugin.marker import AnyConfig
    from comfyfarm.testing.plugin.session import TestSession

pytest_plugins = ["comfyfarm.testing.plugin.servers"]     # the fixtures whose names begin with mock_comfyui

_ADVICE = "this fixture needs pytest-twisted: pip install 'comfyfarm[twisted]'"


@pytest.fixture
def comfy_farm(request: pytest.FixtureRequest) -> Iterator[Callable[..., testing.RunningFarm]]:
    """A factory of whole farms: ``comfy_farm(path, dictionary or TOML text)["gpu-1"].url``.

    For tests of software that uses several servers; each instance is static or dynamic as its ``mode`` says.
    Instances without a port get free ones.  Each farm is a child process, which starts in about a second; at the end of
    the test it is stopped and its files are removed.  Without a configuration, that of the marker is used.
    """
    from comfyfarm.testing.plugin.session import session_of

    session = session_of(request.node)
    with ExitStack() as farms:
        ready: list[testing.RunningFarm] = []

        def start(config: AnyConfig | None = None) -> testing.RunningFarm:
            if config is None and ready:
                return ready.pop()
            return session.add(farms.enter_context(testing.run_farm(session.config_of_child(config))))

        if session.args.config is not None:     # at once, so that an invalid one is an error of the test's set-up
            with _failing_in_one_line(testing.FarmDied):
                ready.append(start())
        yield start


@pytest.fixture
def async_comfy_farm(
    comfy_farm: Callable[..., testing.RunningFarm]
) -> Callable[..., Coroutine[Any, Any, testing.AsyncRunningFarm]]:
    """A factory of whole farms for tests in an asyncio event loop; it must be awaited.

    ``farm = await async_comfy_farm(config)``; ``config`` as for ``comfy_farm``.  The farm's methods are awaited, too,
    and never block the loop in which the software under test runs.  For pytest-asyncio, anyio, or any other plugin that
    runs a test in such a loop.
    """
    import asyncio

    async def start(config: AnyConfig | None = None) -> testing.AsyncRunningFarm:
        return testing.AsyncRunningFarm(await asyncio.to_thread(comfy_farm, config))

    return start


@pytest.fixture
def twisted_farm(request: pytest.FixtureRequest) -> Iterator[Callable[..., Coroutine[Any, Any, testing.TwistedFarm]]]:
    """A factory of farms in the test's reactor; it must be awaited.

    ``farm = await twisted_farm(config)``; ``config`` as for ``comfy_farm``, or a ``FarmConfig``.
    For tests of Twisted software under pytest-twisted: real sockets on free ports, ``farm["gpu-1"].url`` and
    ``.client``.  Each instance is static or dynamic as its ``mode`` says.  The farms are stopped at the end of the
    test.
    """
    blockon = _pytest_twisted(request).blockon

    from twisted.internet import reactor
    from twisted.internet.defer import Deferred
    from twisted.internet.task import deferLater

    from comfyfarm.testing.plugin.session import session_of

    session = session_of(request.node)
    _check_marker(session)
    farms: list[testing.TwistedFarm] = []

    async def start(config: AnyConfig | None = None) -> testing.TwistedFarm:
        farms.append(session.add(await testing.TwistedFarm.start(reactor, testing.as_config(session.config(config)))))
        return farms[-1]

    yield start
    for farm in reversed(farms):
        if farm.farm.running:       # the test may have stopped it
            blockon(Deferred.fromCoroutine(farm.stop()))
    blockon(deferLater(reactor, 0))     # an aborted connection is closed in the reactor's next turn


@pytest.fixture
def memory_farm(request: pytest.FixtureRequest) -> Iterator[Callable[..., testing.MemoryFarm]]:
    """A factory of farms without sockets, on a virtual clock that the test advances: ``farm.advance(60)``.

    For tests of timing: an hour passes in milliseconds; ``farm["gpu-1"].ask("POST", "/prompt", json=...)``.
    Each instance is static or dynamic as its ``mode`` says; static is faster.  The farms are stopped at the end of the
    test.
    """
    from comfyfarm.testing.plugin.session import session_of

    session = session_of(request.node)
    _check_marker(session)
    farms: list[testing.MemoryFarm] = []

    def start(config: AnyConfig | None = None) -> testing.MemoryFarm:
        farms.append(session.add(testing.MemoryFarm.start(testing.as_config(session.config(config)))))
        return farms[-1]

    yield start
    for farm in reversed(farms):
        farm.stop()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("comfyfarm", "farms of mock ComfyUI servers")
    group.addoption("--comfy-seed", type=int, metavar="N", help="the seed of every farm, to repeat a run")
    group.addoption("--comfy-report", metavar="DIR", help="where to write a page about each farm of a failed test")
    group.addoption(
        "--comfy-shrink",
        action="store_true",
        help="run a failed test with a list of faults in its marker again, until no fault can be left out",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", MARKER_HELP)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Run a test with the marker under ``--comfy-shrink``."""
    is_enabled = item.config.getoption("comfy_shrink") and not item.config.getoption("usepdb", default=False)
    if not is_enabled or item.get_closest_marker(MARKER) is None:
        return None
    from comfyfarm.testing.plugin.shrink import run_and_shrink

    return run_and_shrink(item, nextitem)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Read the marker before a farm is started."""
    if SESSION in item.stash:     # from an earlier run
        del item.stash[SESSION]
    if item.get_closest_marker(MARKER) is not None:
        from comfyfarm.testing.plugin.session import begin_session

        begin_session(item)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Check what the marker expects of the farms of a test that has not failed."""
    result = yield
    if SESSION in item.stash:
        item.stash[SESSION].check_verdicts()
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Report about the farms of a test while they still run: all if it failed, the warnings if it passed."""
    report = yield
    session = item.stash.get(SESSION, None)
    if session is None:
        return report
    if call.when == "teardown":
        session.farms.clear()
    elif report.failed and call.excinfo is not None:
        _add_sections(item, call.excinfo, report)
    elif call.when == "call" and report.passed:
        from comfyfarm.testing.plugin.report import warning_lines

        report.user_properties.extend((WARNING, line) for line in warning_lines(session))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the warnings about the farms of tests that passed."""
    lines = [
        f"{report.nodeid}: {value}"
        for report in terminalreporter.getreports("passed")
        for name, value in report.user_properties
        if name == WARNING
    ]
    if lines:
        terminalreporter.section("comfyfarm: warnings of tests that passed")
        for line in lines:
            terminalreporter.line(line)


def _add_sections(item: pytest.Item, error: pytest.ExceptionInfo[BaseException], report: pytest.TestReport) -> None:
    if report.when == "call" and item.config.getoption("comfy_shrink"):
        from comfyfarm.testing.plugin.shrink import Failure

        item.stash[FAILURE] = Failure.of(item, error)
    if RERUN not in item.stash:     # the report of a rerun is not shown
        from comfyfarm.testing.plugin.report import sections

        folder = item.config.getoption("comfy_report")
        path = None if folder is None else Path(item.config.invocation_params.dir, folder)
        report.sections.extend(sections(item.stash[SESSION], item.nodeid, path, error.value))


def _check_marker(session: TestSession) -> None:
    """Fail unless a farm in this process can be made from the marker's configuration."""
    if session.args.config is not None:
        with _failing_in_one_line(testing.ConfigError):
            testing.check_config(testing.as_config(session.config()))


@contextmanager
def _failing_in_one_line(kind: type[Exception]) -> Iterator[None]:
    """Fail the test with the message of an exception, without a traceback."""
    try:
        yield
    except kind as error:
        raise pytest.fail.Exception(f"@pytest.mark.{MARKER}: {error}", pytrace=False) from None


def _pytest_twisted(request: pytest.FixtureRequest) -> Any:
    """Return the module; fail the test if it is not installed or is switched off."""
    plugins = request.config.pluginmanager
    if not (plugins.hasplugin("twisted") or plugins.hasplugin("pytest_twisted")):     # as an entry point, or by -p
        pytest.fail(_ADVICE, pytrace=False)
    import pytest_twisted

    return pytest_twisted
