"""The expectations of a test about a run, and the error that is raised if the log proves otherwise."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args, get_type_hints

from comfyfarm.analysis.findings import RULES, Finding
from comfyfarm.analysis.findings.finding import moment
from comfyfarm.analysis.verdict import Verdict

_MAX_FINDINGS = 20


class ExpectationFailed(AssertionError):
    """An expectation is not met; the message has the findings' sentences and the timeline.

    :ivar findings: those that contradict it.
    """

    def __init__(self, message: str, findings: Collection[Finding]) -> None:
        super().__init__(message)
        self.findings = tuple(findings)


@dataclass(frozen=True)
class Expectation:
    """What shall be true of a run.

    :ivar says: the expectation in words: ``no job is lost``.
    :ivar names: the findings that contradict it; empty if it is about the verdict.
    :ivar verdict: the expected verdict; ``None`` if it is about findings.
    :ivar bounds: bounds of the verdict (docs/verdict.md) that differ from the defaults.
    """

    says: str
    names: Collection[str] = ()
    verdict: str | None = None
    bounds: Mapping[str, Any] = field(default_factory=dict)

    def is_met_by(self, verdict: Verdict) -> bool:
        if self.verdict is not None:
            return verdict.verdict == self.verdict
        return not self.contradictions(verdict)

    def contradictions(self, verdict: Verdict) -> list[Finding]:
        """Return the findings that contradict it; if a verdict is expected, those that decided the actual one."""
        if self.verdict is not None:
            return [finding for finding in verdict.findings if finding.severity in ("error", "unknown")]
        return [finding for finding in verdict.findings if finding.finding in self.names]

    def error(self, verdict: Verdict, timeline: str, within: str | None = None) -> ExpectationFailed:
        """Return the error to raise if it is not met.

        :param within: the time allowed, as text; ``""``: none was allowed; ``None``: this check can allow none.
        """
        findings = self.contradictions(verdict)
        lines = [*self._lines(verdict, findings, within), *finding_lines(findings), "", timeline]
        return ExpectationFailed("\n".join(lines), findings)

    def _lines(self, verdict: Verdict, findings: Collection[Finding], within: str | None) -> Iterator[str]:
        when = f"after {within}, " if within else ""
        yield f"not so: {self.says} ({when}at {moment(verdict.at_ms)}; the verdict is {verdict.verdict})"
        if not findings:
            yield "    the log has nothing against anybody"
        elif within == "" and (self.bounds or any(finding.severity == "unknown" for finding in findings)):
            yield '    (it may be so a little later: within="5s")'


def finding_lines(findings: Collection[Finding]) -> Iterator[str]:
    """Yield a line for each finding: its severity, name and sentence."""
    for finding in list(findings)[:_MAX_FINDINGS]:
        yield f"    {finding.severity} {finding.finding}: {finding.says}"
    if len(findings) > _MAX_FINDINGS:
        yield f"    and {len(findings) - _MAX_FINDINGS} more"


def expect_no_finding(says: str, *names: str, **bounds: Any) -> Expectation:
    """Return the expectation that there is no finding of these names.

    :raises ValueError: if a name is unknown, or there is none.
    """
    for name in names:
        if name not in RULES:
            raise ValueError(f"there is no finding {name!r} (there are: {', '.join(RULES)})")
    if not names:
        raise ValueError(f"expected the name of a finding (there are: {', '.join(RULES)})")
    return Expectation(says, names, bounds=bounds)


def expect_verdict(verdict: object) -> Expectation:
    """Return the expectation of a verdict.

    :raises ValueError: if there is no such verdict.
    """
    words = get_args(get_type_hints(Verdict)["verdict"])
    if not isinstance(verdict, str) or verdict not in words:
        raise ValueError(f"there is no verdict {verdict!r} (there are: {', '.join(words)})")
    return Expectation(f"the verdict is {verdict}", verdict=verdict)
