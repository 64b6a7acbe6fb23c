"""What is told of the farms of a failed test: in the sections of its report, and as pages."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from comfyfarm.analysis.findings.finding import moment
from comfyfarm.testing.claims import told
from comfyfarm.testing.evidence import FarmView
from comfyfarm.testing.plugin.session import HasEvidence, TestSession

SECTION = "comfyfarm"

_NO_NAME = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST_NAME = 150
_MOST_FARMS = 4     # a test by hypothesis starts hundreds, and fails with the last


def sections(trial: TestSession, nodeid: str, folder: Path | None) -> Iterator[tuple[str, str]]:
    """A section for each farm: its title and its text.

    :param folder: where pages are written; ``None``: nowhere.
    """
    count = len(trial.farms)
    for number, farm in list(enumerate(trial.farms, 1))[-_MOST_FARMS:]:
        title = SECTION if count == 1 else f"{SECTION}, farm {number} of {count}"
        page = None if folder is None else folder / page_name(nodeid, number)
        yield title, "\n".join(_told(farm, nodeid, page))


def _told(farm: HasEvidence, nodeid: str, page: Path | None) -> Iterator[str]:
    """As much as there is: a farm may be gone, and then the test's own error counts, not ours."""
    try:
        yield from _lines(farm.evidence, nodeid)
        if page is not None:
            yield f"report: {_written(farm.evidence.page(), page)}"
    except Exception as why:  # noqa: BLE001
        yield f"the farm can tell no more: {type(why).__name__}: {why}"


def _lines(evidence: FarmView, nodeid: str) -> Iterator[str]:
    verdict = evidence.verdict()
    counts = f"{verdict.jobs} logical jobs in {verdict.attempts} attempts, {verdict.succeeded} succeeded"
    yield f"verdict: {verdict.verdict} ({counts}, at {moment(verdict.at_ms)})"
    yield from told(verdict.findings)
    seed = evidence.seed()
    yield f"seed: {seed} (again: pytest {shlex.quote(nodeid)} --comfy-seed {seed})"
    yield from _faults(evidence)
    yield from ("timeline:", evidence.timeline())


def _faults(evidence: FarmView) -> Iterator[str]:
    fire_faults = [each for each in evidence.faults() if each.on]
    if fire_faults:
        yield "faults that struck:"
    for each in fire_faults:
        where = ", ".join(f"{count} x {name}" for name, count in each.on.items())
        yield f"    {each.id} ({each.do} at {each.phase}): {where}"


def _written(html: str, page: Path) -> str:
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(html, encoding="utf-8")
    except OSError as why:
        return f"could not be written: {why}"
    return str(page)


def page_name(nodeid: str, number: int) -> str:
    """A file name after the test, the same in each run, and no other test's."""
    name = _NO_NAME.sub("-", nodeid.replace("::", "-").replace("/", "-")).strip("-.")
    if _NO_NAME.search(nodeid.partition("[")[2].removesuffix("]")) or len(name) > _LONGEST_NAME:
        name = f"{name[:_LONGEST_NAME]}-{sha256(nodeid.encode()).hexdigest()[:8]}"
    return f"{name}.html" if number == 1 else f"{name}-{number}.html"
