"""How are scenarios run against a server, and judged?"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from random import Random
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.python.failure import Failure

from comfyfarm.conformance.asking import UNANSWERED, Asker
from comfyfarm.conformance.described import Step
from comfyfarm.conformance.differences import Difference, differences
from comfyfarm.conformance.facts import recorded
from comfyfarm.conformance.families import FAMILIES
from comfyfarm.conformance.scenario import ConformanceScenario
from comfyfarm.conformance.score import ScenarioOutcome
from comfyfarm.conformance.visit import NotPossible, Session
from comfyfarm.conformance.without_files import without_files

_SCENARIO_WITHIN_S = 120.0


class Unreachable(Exception):
    """There is no ComfyUI at an address; the message says which and why, in one line."""


class NoSuchScenario(Exception):
    """A name that fits none; the message says which."""


def chosen(names: str | None = None, family: str | None = None, *, files: bool = True) -> list[ConformanceScenario]:
    """The scenarios that are meant, in their order; all of them where nothing is said.

    :param names: patterns, with commas between them: ``"run_*,features"``.
    :param files: whether those about output files are among them.
    :raises NoSuchScenario: where a pattern or a family fits none.
    """
    families = [each for each in FAMILIES if family in (None, each.name)]
    if not families:
        raise NoSuchScenario(f"no family {family!r}; there are: {', '.join(each.name for each in FAMILIES)}")
    known = [scenario for each in families for scenario in each.scenarios if files or not scenario.of_files]
    patterns = ["*"] if names is None else [pattern.strip() for pattern in names.split(",")]
    for pattern in patterns:
        if not any(fnmatchcase(scenario.name, pattern) for scenario in known):
            raise NoSuchScenario(f"no scenario {pattern!r}" + (f" in the family {family}" if family else ""))
    return [each for each in known if any(fnmatchcase(each.name, pattern) for pattern in patterns)]


@dataclass(frozen=True)
class ScenarioResult:
    """A scenario that a server was taken through.

    :ivar steps: its transcript.
    :ivar skipped: why the server could not be asked, or ``None``.
    :ivar broke_off: what it met that no ComfyUI does, so that it could not go on, or ``None``.
    """

    scenario: ConformanceScenario
    steps: list[Step]
    seconds: float
    skipped: str | None = None
    broke_off: str | None = None


@dataclass(frozen=True)
class Suite:
    """Runs scenarios.

    :ivar chance: where names come from that no server has met before.
    """

    reactor: Any
    chance: Random

    async def play(
        self, urls: Sequence[str], scenarios: Iterable[ConformanceScenario], on_played: Callable[[ScenarioResult], None]
    ) -> None:
        """Take servers through scenarios.

        :param urls: of idle servers that nobody else uses; several equal ones share the work.
        :param on_played: called with each as it ends.
        :raises Unreachable: where a server does not answer as ComfyUI does; nothing was played then.
        """
        waiting = deque(scenarios)
        askers = [Asker(self.reactor, url) for url in urls]
        try:
            for asker in askers:
                await _greet(asker)
            await gatherResults(
                [Deferred.fromCoroutine(self._work(asker, waiting, on_played)) for asker in askers],
                consumeErrors=True,
            )
        finally:
            for asker in askers:
                await asker.close()

    async def _work(
        self, asker: Asker, waiting: deque[ConformanceScenario], on_played: Callable[[ScenarioResult], None]
    ) -> None:
        while waiting:
            on_played(await self._play(asker, waiting.popleft()))

    async def _play(self, asker: Asker, scenario: ConformanceScenario) -> ScenarioResult:
        visit = Session(server=asker, chance=self.chance)
        began = self.reactor.seconds()
        staying = Deferred.fromCoroutine(_stay(visit, scenario))
        why = await staying.addTimeout(_SCENARIO_WITHIN_S, self.reactor).addErrback(_ended_early)
        return ScenarioResult(scenario, visit.normalised(), self.reactor.seconds() - began, **(why or {}))


async def _stay(visit: Session, scenario: ConformanceScenario) -> None:
    try:
        await visit.begin()
        await scenario.play(visit)
    finally:
        await visit.end()


def _ended_early(failure: Failure) -> dict[str, str]:
    """Say why, in the words of :class:`ScenarioResult`."""
    if failure.check(NotPossible):
        return {"skipped": str(failure.value)}
    return {"broke_off": f"{type(failure.value).__name__}: {failure.value}"}


async def _greet(asker: Asker) -> None:
    try:
        reply = await asker.ask("GET /prompt")
    except UNANSWERED as why:
        raise Unreachable(f"{asker.base_url}: {_reason(why)}") from why
    try:
        int(reply.json["exec_info"]["queue_remaining"])
    except (LookupError, TypeError, ValueError) as why:
        raise Unreachable(f"{asker.base_url}: answers, but not as a ComfyUI does") from why


def _reason(why: BaseException) -> str:
    return " ".join(str(why).split()) or type(why).__name__


def judged(played: ScenarioResult, *, files: bool = True) -> ScenarioOutcome:
    """Hold a transcript against the facts.

    :param files: whether output files count, too; a static instance of the farm writes none.
    """
    scenario, seconds = played.scenario, played.seconds
    if played.skipped is not None:
        return ScenarioOutcome(scenario.name, scenario.family, seconds, skipped=played.skipped)
    expected, got = recorded(scenario.family).get(scenario.name, []), played.steps
    found: list[Difference] = []
    if played.broke_off is not None:
        expected = expected[:len(got)]
        found.append(Difference(f"step {len(got) + 1}: it could not be gone on", None, played.broke_off))
    if not files:
        expected, got = without_files(expected), without_files(got)
    found += [_at_step(each, expected) for each in differences(expected, got)]
    return ScenarioOutcome(scenario.name, scenario.family, seconds, tuple(found))


def _at_step(difference: Difference, steps: list[Step]) -> Difference:
    """Say for people in which step it is: ``[1].status`` is in ``step 2, GET /queue: status``."""
    place, _, rest = difference.path.removeprefix("[").partition("]")
    step = steps[int(place)] if int(place) < len(steps) else {}
    title = next((step[kind] for kind in ("ask", "heard", "note") if kind in step), "unexpected")
    return replace(difference, path=f"step {int(place) + 1}, {title}: {rest.removeprefix('.') or 'all of it'}")
