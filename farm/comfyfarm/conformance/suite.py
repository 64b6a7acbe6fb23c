"""Run scenarios on servers, and compare their transcripts with the recorded facts."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from random import Random
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.python.failure import Failure

from comfyfarm.conformance.describe import Step
from comfyfarm.conformance.differences import Difference, differences
from comfyfarm.conformance.facts import recorded
from comfyfarm.conformance.families import FAMILIES
from comfyfarm.conformance.http_client import NO_REPLY_ERRORS, RawHttpClient, RawReply
from comfyfarm.conformance.normalise import without_files
from comfyfarm.conformance.scenario import ConformanceScenario
from comfyfarm.conformance.score import ScenarioOutcome
from comfyfarm.conformance.session import NotPossible, Session
from comfyfarm.versions import REFERENCE, behaviour_of, newest_recorded

_SCENARIO_TIMEOUT_S = 120.0
_OWN_HEADER = "x-comfyfarm-instance"


class Unreachable(Exception):
    """There is no ComfyUI at a URL; the message is one line that says which URL and why."""


class NoSuchScenario(Exception):
    """A pattern or family matches no scenario; the message says which."""


def chosen(names: str | None = None, family: str | None = None, *, files: bool = True) -> list[ConformanceScenario]:
    """Return the selected scenarios in their order; by default all of them.

    :param names: patterns, separated by commas: ``"run_*,features"``.
    :param files: whether to include scenarios about output files.
    :raises NoSuchScenario: if a pattern or the family matches none.
    """
    families = [candidate for candidate in FAMILIES if family in (None, candidate.name)]
    if not families:
        raise NoSuchScenario(f"no family {family!r}; there are: {', '.join(known.name for known in FAMILIES)}")
    scenarios = [scenario for known in families for scenario in known.scenarios if files or not scenario.of_files]
    patterns = ["*"] if names is None else [pattern.strip() for pattern in names.split(",")]
    for pattern in patterns:
        if not any(fnmatchcase(scenario.name, pattern) for scenario in scenarios):
            raise NoSuchScenario(f"no scenario {pattern!r}" + (f" in the family {family}" if family else ""))
    return [scenario for scenario in scenarios if any(fnmatchcase(scenario.name, pattern) for pattern in patterns)]


@dataclass(frozen=True)
class ScenarioResult:
    """The transcript of a scenario that was run on a server.

    :ivar version: the recorded version that it is to be compared with.
    :ivar skipped: why the scenario could not be run on the server; ``None`` if it could.
    :ivar broke_off: the error that ended the scenario early, because the server did not behave like ComfyUI; ``None``
        if it ran to its end.
    """

    scenario: ConformanceScenario
    steps: list[Step]
    seconds: float
    version: str = REFERENCE
    skipped: str | None = None
    broke_off: str | None = None


@dataclass(frozen=True)
class Suite:
    """Runs scenarios on servers.

    :ivar chance: the source of ids and names that are new to every server.
    :ivar version: the recorded version that the servers are compared with; ``None``: the one nearest to what the first
        server says of itself.
    :ivar headers: sent with each request.
    :ivar own: the names of those servers that are instances of comfyfarm, by URL; known while the suite runs.
    """

    reactor: Any
    chance: Random
    version: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    own: dict[str, str] = field(default_factory=dict, init=False)

    async def play(
        self, urls: Sequence[str], scenarios: Iterable[ConformanceScenario], on_result: Callable[[ScenarioResult], None]
    ) -> None:
        """Run each scenario once.

        :param urls: idle servers that nobody else uses; if there are several, they must be equal and share the work.
        :param on_result: called after each scenario.
        :raises Unreachable: if a server does not answer like ComfyUI; then no scenario was run.
        """
        waiting = deque(scenarios)
        servers = [RawHttpClient(self.reactor, url, self.headers) for url in urls]
        try:
            for server in servers:
                reply = await _check(server)
                if _OWN_HEADER in reply.headers:
                    self.own[server.base_url] = reply.headers[_OWN_HEADER]
            version = self.version or await version_of(servers[0])
            await gatherResults(
                [Deferred.fromCoroutine(self._work(server, version, waiting, on_result)) for server in servers],
                consumeErrors=True,
            )
        finally:
            for server in servers:
                await server.close()

    async def _work(
        self,
        server: RawHttpClient,
        version: str,
        waiting: deque[ConformanceScenario],
        on_result: Callable[[ScenarioResult], None],
    ) -> None:
        while waiting:
            on_result(await self._run(server, version, waiting.popleft()))

    async def _run(self, server: RawHttpClient, version: str, scenario: ConformanceScenario) -> ScenarioResult:
        session = Session(server=server, chance=self.chance, behaviour=behaviour_of(version))
        started = self.reactor.seconds()
        run = Deferred.fromCoroutine(_run_in_session(session, scenario))
        early_end = await run.addTimeout(_SCENARIO_TIMEOUT_S, self.reactor).addErrback(_early_end)
        seconds = self.reactor.seconds() - started
        return ScenarioResult(scenario, session.normalised(), seconds, version, **(early_end or {}))


async def _run_in_session(session: Session, scenario: ConformanceScenario) -> None:
    try:
        await session.begin()
        await scenario.play(session)
    finally:
        await session.end()


def _early_end(failure: Failure) -> dict[str, str]:
    """Return the fields of :class:`ScenarioResult` for an error."""
    if failure.check(NotPossible):
        return {"skipped": str(failure.value)}
    return {"broke_off": f"{type(failure.value).__name__}: {failure.value}"}


async def _check(server: RawHttpClient) -> RawReply:
    try:
        reply = await server.request("GET /prompt")
    except NO_REPLY_ERRORS as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise Unreachable(f"{server.base_url}: {reason}") from error
    try:
        int(reply.json["exec_info"]["queue_remaining"])
    except (LookupError, TypeError, ValueError) as error:
        raise Unreachable(f"{server.base_url}: answers, but not as a ComfyUI does") from error
    return reply


async def version_of(server: RawHttpClient) -> str:
    """Return the newest recorded version that is not newer than the server's; the reference if it tells none."""
    try:
        told = (await server.request("GET /system_stats")).json["system"]["comfyui_version"]
    except (*NO_REPLY_ERRORS, LookupError, TypeError, ValueError):
        return REFERENCE
    return newest_recorded(str(told))


def judged(result: ScenarioResult, *, files: bool = True) -> ScenarioOutcome:
    """Compare a transcript with the recorded facts.

    :param files: whether output files count; a static instance of the farm writes none.
    """
    scenario, seconds = result.scenario, result.seconds
    if result.skipped is not None:
        return ScenarioOutcome(scenario.name, scenario.family, seconds, skipped=result.skipped)
    expected, got = recorded(scenario.family, result.version).get(scenario.name, []), result.steps
    found: list[Difference] = []
    if result.broke_off is not None:
        expected = expected[:len(got)]
        found.append(Difference(f"step {len(got) + 1}: it could not be gone on", None, result.broke_off))
    if not files:
        expected, got = without_files(expected), without_files(got)
    found += [_with_step_title(difference, expected) for difference in differences(expected, got)]
    return ScenarioOutcome(scenario.name, scenario.family, seconds, tuple(found))


def _with_step_title(difference: Difference, steps: list[Step]) -> Difference:
    """Replace the path ``[1].status`` by ``step 2, GET /queue: status``."""
    index, _, rest = difference.path.removeprefix("[").partition("]")
    step = steps[int(index)] if int(index) < len(steps) else {}
    title = next((step[kind] for kind in ("ask", "heard", "note") if kind in step), "unexpected")
    return replace(difference, path=f"step {int(index) + 1}, {title}: {rest.removeprefix('.') or 'all of it'}")
