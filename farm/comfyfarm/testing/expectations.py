"""The expectations of a test about a run, and the error that is raised if the log proves otherwise."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args, get_type_hints

from comfyfarm.analysis.findings import RULES, Finding
from comfyfarm.analysis.findings.finding import moment
from comfyfarm.analysis.verdict import Verdict

_MAX_FINDINGS = 20
_CONTRARY: Mapping[str | None, Collection[str]] = {
    "pass": ("error", "unknown"), "unknown": ("error",), "fail": ("unknown",),
}
"""The severities of the findings for which the verdict is not the expected one."""


class ExpectationFailed(AssertionError):
    """An expectation is not met; the message has the findings' sentences and the timeline.

    :ivar findings: those that contradict it.
    :ivar farm: the farm that it is about; ``None`` if not known.
    """

    farm: object = None

    def __init__(self, message: str, findings: Collection[Finding]) -> None:
        super().__init__(message)
        self.findings = tuple(findings)


@dataclass(frozen=True)
class Expectation:
    """What shall be true of a run.

    :ivar says: the expectation in words: ``no job is lost``.
    :ivar names: the findings that contradict it.
    :ivar verdict: the expected verdict; ``None``: any.
    :ivar jobs: the expected number of logical jobs; ``None``: any.
    :ivar bounds: bounds of the verdict (docs/verdict.md) that differ from the defaults.
    """

    says: str
    names: Collection[str] = ()
    verdict: str | None = None
    jobs: int | None = None
    bounds: Mapping[str, Any] = field(default_factory=dict)

    def __and__(self, other: "Expectation") -> "Expectation":
        return Expectation(
            f"{self.says}, and {other.says}",
            (*self.names, *other.names),
            self.verdict if other.verdict is None else other.verdict,
            self.jobs if other.jobs is None else other.jobs,
            {**self.bounds, **other.bounds},
        )

    def is_met_by(self, verdict: Verdict) -> bool:
        return (
            self.verdict in (None, verdict.verdict)
            and self.jobs in (None, verdict.jobs)
            and not self.contradictions(verdict)
        )

    def awaits_jobs(self, verdict: Verdict) -> bool:
        """Return whether more jobs must come; an expectation that needs no job is met without one."""
        return verdict.jobs < (1 if self.jobs is None else self.jobs)

    def contradictions(self, verdict: Verdict) -> list[Finding]:
        """Return the findings that contradict it, among them those for which the verdict is another one."""
        severities = _CONTRARY[self.verdict] if self.verdict not in (None, verdict.verdict) else ()
        return [
            finding for finding in verdict.findings if finding.finding in self.names or finding.severity in severities
        ]

    def error(self, verdict: Verdict, timeline: str, within: str | None = None) -> ExpectationFailed:
        """Return the error to raise if it is not met.

        :param within: the time allowed, as text; ``""``: none was allowed; ``None``: this check can allow none.
        """
        findings = self.contradictions(verdict)
        lines = [*self._lines(verdict, findings, within), *finding_lines(findings), "", timeline]
        return ExpectationFailed("\n".join(lines), findings)

    def _lines(self, verdict: Verdict, findings: Collection[Finding], within: str | None) -> Iterator[str]:
        when = f"after {within}, " if within else ""
        came = "" if self.jobs is None else f"; {_came(verdict.jobs)}"
        terms = "".join(f" with {name}={value}" for name, value in self.bounds.items())
        yield f"not so: {self.says} ({when}at {moment(verdict.at_ms)}{came}; the verdict{terms} is {verdict.verdict})"
        if not findings and self.verdict not in (None, verdict.verdict):
            yield "    no finding is an error, and none is unknown"
        elif within == "" and self._may_be_met_later(verdict, findings):
            yield '    (it may be so a little later: within="5s")'

    def _may_be_met_later(self, verdict: Verdict, findings: Collection[Finding]) -> bool:
        if self.jobs is not None and verdict.jobs > self.jobs:
            return False
        return bool(self.bounds) or all(finding.severity == "unknown" for finding in findings)


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


def expect_none_of(*findings: str) -> Expectation:
    """Return the expectation that there is none of these findings, in just these words.

    :raises ValueError: as :func:`expect_no_finding`.
    """
    return expect_no_finding(f"there is no {' or '.join(findings)}", *findings)


def expect_verdict(verdict: object, jobs: object = None) -> Expectation:
    """Return the expectation of a verdict, and of a number of logical jobs if it is not ``None``.

    :raises ValueError: if there is no such verdict, if a pass is expected without a job, or if the number is invalid.
    """
    words = get_args(get_type_hints(Verdict)["verdict"])
    if not isinstance(verdict, str) or verdict not in words:
        raise ValueError(f"there is no verdict {verdict!r} (there are: {', '.join(words)})")
    if verdict == "pass" and jobs == 0:
        raise ValueError("jobs: without a job the verdict is never pass")
    return with_jobs(Expectation(f"the verdict is {verdict}", verdict=verdict), jobs)


def expect_jobs(jobs: object) -> Expectation:
    """Return the expectation of a number of logical jobs.

    :raises ValueError: if it is no number of jobs.
    """
    if isinstance(jobs, bool) or not isinstance(jobs, int) or jobs < 0:
        raise ValueError(f"jobs: expected the number of logical jobs, got {jobs!r}")
    # If none came at all, the finding says what to look at.
    return Expectation(_came(jobs), ("no_job",) if jobs else (), jobs=jobs)


def with_jobs(expectation: Expectation, jobs: object) -> Expectation:
    """Return an expectation together with that of a number of logical jobs; ``None``: any number.

    :raises ValueError: if it is no number of jobs.
    """
    return expectation if jobs is None else expect_jobs(jobs) & expectation


def _came(jobs: int) -> str:
    return "1 job came" if jobs == 1 else f"{jobs} jobs came"
