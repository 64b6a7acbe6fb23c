"""The sections about the farms of a failed test in pytest's report, and the pages of ``--comfy-report``."""

import re
import shlex
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from comfyfarm.analysis.findings.finding import Finding, moment
from comfyfarm.testing.expectations import ExpectationFailed, finding_lines
from comfyfarm.testing.plugin.session import AnyFarm, TestSession
from comfyfarm.testing.view import FarmView

SECTION = "comfyfarm"

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")
_MAX_NAME = 150
_MAX_FARMS = 4      # a hypothesis test starts hundreds of farms, and fails with the last


def sections(
    session: TestSession, nodeid: str, folder: Path | None, error: BaseException
) -> Iterator[tuple[str, str]]:
    """Yield the title and the text of a section for each farm.

    :param folder: pages are written there; ``None``: none are written.
    :param error: the test's; the findings and the timeline that its message shows are not shown again.
    """
    failures = session.failures_of(error)
    count = len(session.farms)
    for number, farm in list(enumerate(session.farms, 1))[-_MAX_FARMS:]:
        title = SECTION if count == 1 else f"{SECTION}, farm {number} of {count}"
        page = None if folder is None else folder / page_name(nodeid, number)
        shown = next((failure for failure in failures if failure.farm is farm), None)
        yield title, "\n".join(_section_lines(farm, nodeid, page, shown))


def warning_lines(session: TestSession) -> Iterator[str]:
    """Yield a line for each kind of warning about the farms of a test whose verdict is *pass*."""
    sentences: dict[str, list[str]] = {}
    for farm in session.farms:
        with suppress(Exception):     # the farm may have ended; an error here must not fail the test
            verdict = farm.evidence.verdict()
            for finding in verdict.findings if verdict.verdict == "pass" else ():
                if finding.severity == "warning":
                    sentences.setdefault(finding.finding, []).append(finding.says)
    for name, (first, *others) in sentences.items():
        yield f"{name}: {first}" + (f" (and {len(others)} more)" if others else "")


def _section_lines(farm: AnyFarm, nodeid: str, page: Path | None, shown: ExpectationFailed | None) -> Iterator[str]:
    # The farm may have ended; an error here must not hide the test's own.
    try:
        yield from _farm_lines(farm.evidence, nodeid, shown)
        if page is not None:
            yield f"report: {_write_page(farm.evidence.page(), page)}"
    except Exception as error:  # noqa: BLE001
        yield f"the farm can tell no more: {type(error).__name__}: {error}"


def _farm_lines(view: FarmView, nodeid: str, shown: ExpectationFailed | None) -> Iterator[str]:
    verdict = view.verdict()
    yield f"verdict: {verdict.verdict} ({verdict.summary()}; at {moment(verdict.at_ms)})"
    known = {_identity(finding) for finding in shown.findings} if shown else set()
    yield from finding_lines([finding for finding in verdict.findings if _identity(finding) not in known])
    seed = view.seed()
    yield f"seed: {seed} (again: pytest {shlex.quote(nodeid)} --comfy-seed {seed})"
    yield from _fault_lines(view)
    if shown is None:
        yield from ("timeline:", view.timeline())


def _identity(finding: Finding) -> tuple[object, ...]:
    # Its sentence may change as time passes.
    return finding.finding, finding.job, finding.instance, finding.events


def _fault_lines(view: FarmView) -> Iterator[str]:
    fired_faults = [fault for fault in view.faults() if fault.on]
    if fired_faults:
        yield "faults that fired:"
    for fault in fired_faults:
        counts = ", ".join(f"{count} x {name}" for name, count in fault.on.items())
        yield f"    {fault.id} ({fault.do} at {fault.phase}): {counts}"


def _write_page(html: str, page: Path) -> str:
    """Write a page, and return its path, or why it could not be written."""
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(html, encoding="utf-8")
    except OSError as error:
        return f"could not be written: {error}"
    return str(page)


def page_name(nodeid: str, number: int) -> str:
    """Return a file name for a test, the same in each run and different from that of every other test."""
    name = _NOT_IN_NAMES.sub("-", nodeid.replace("::", "-").replace("/", "-")).strip("-.")
    if _NOT_IN_NAMES.search(nodeid.partition("[")[2].removesuffix("]")) or len(name) > _MAX_NAME:
        name = f"{name[:_MAX_NAME]}-{sha256(nodeid.encode()).hexdigest()[:8]}"
    return f"{name}.html" if number == 1 else f"{name}-{number}.html"
