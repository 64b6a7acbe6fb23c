"""What a test may claim of a run, and what the log says against it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args, get_type_hints

from comfyfarm.analysis.findings import RULES, Finding
from comfyfarm.analysis.findings.finding import moment
from comfyfarm.analysis.verdict import Verdict

_MOST_TOLD = 20


class ExpectationFailed(AssertionError):
    """A claim is not so; the message has the findings' sentences and the timeline.

    :ivar findings: what is against it.
    """

    def __init__(self, message: str, findings: Collection[Finding]) -> None:
        super().__init__(message)
        self.findings = tuple(findings)


@dataclass(frozen=True)
class Expectation:
    """What shall be so.

    :ivar says: in words: ``no job is lost``.
    :ivar names: the findings that are against it; empty where it is about the verdict.
    :ivar verdict: which there shall be, or ``None``.
    :ivar bounds: those that it is judged by, where they are not the usual ones.
    """

    says: str
    names: Collection[str] = ()
    verdict: str | None = None
    bounds: Mapping[str, Any] = field(default_factory=dict)

    def is_met_by(self, verdict: Verdict) -> bool:
        """Whether it is so."""
        if self.verdict is not None:
            return verdict.verdict == self.verdict
        return not self.against(verdict)

    def against(self, verdict: Verdict) -> list[Finding]:
        """What speaks against it; of a verdict, what made it."""
        if self.verdict is not None:
            return [each for each in verdict.findings if each.severity in ("error", "unknown")]
        return [each for each in verdict.findings if each.finding in self.names]

    def objection(self, verdict: Verdict, timeline: str, within: str | None = None) -> ExpectationFailed:
        """The error that tells why it is not so.

        :param within: how much time it had, in words; empty where it could have had some, ``None`` where it could not.
        """
        against = self.against(verdict)
        whole = "\n".join([*self._lines(verdict, within), *told(against), "", timeline])
        return ExpectationFailed(whole, against)

    def _lines(self, verdict: Verdict, within: str | None) -> Iterator[str]:
        when = f"after {within}, " if within else ""
        yield f"not so: {self.says} ({when}at {moment(verdict.at_ms)}; the verdict is {verdict.verdict})"
        if not self.against(verdict):
            yield "    the log has nothing against anybody"
        elif within == "" and (self.bounds or any(each.severity == "unknown" for each in self.against(verdict))):
            yield '    (it may be so a little later: within="5s")'


def told(findings: Collection[Finding]) -> Iterator[str]:
    """A line for each finding: its severity, name and sentence."""
    for each in list(findings)[:_MOST_TOLD]:
        yield f"    {each.severity} {each.finding}: {each.says}"
    if len(findings) > _MOST_TOLD:
        yield f"    and {len(findings) - _MOST_TOLD} more"


def no_finding(says: str, *names: str, **bounds: Any) -> Expectation:
    """Nothing of these kinds is found.

    :raises ValueError: where there is no such finding.
    """
    for name in names:
        if name not in RULES:
            raise ValueError(f"there is no finding {name!r} (there are: {', '.join(RULES)})")
    if not names:
        raise ValueError(f"expected the name of a finding (there are: {', '.join(RULES)})")
    return Expectation(says, names, bounds=bounds)


def that_verdict(wanted: object) -> Expectation:
    """The verdict is this one.

    :raises ValueError: where there is no such verdict.
    """
    words = get_args(get_type_hints(Verdict)["verdict"])
    if not isinstance(wanted, str) or wanted not in words:
        raise ValueError(f"there is no verdict {wanted!r} (there are: {', '.join(words)})")
    return Expectation(f"the verdict is {wanted}", verdict=wanted)
