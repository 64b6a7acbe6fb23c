"""The output of a load: a bar for each server, then the jobs, the percentiles and the counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from statistics import mean, quantiles
from typing import Any

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from comfyfarm.cli.loading.jobs import LoadJob

_BETWEEN_STEPS_S = 0.05
_PERCENTILES = (50, 90, 95, 99)
_MEASURES: Mapping[str, Callable[[LoadJob], float | None]] = {
    "waited": lambda job: _between(job.submitted_s, job.started_s),
    "ran": lambda job: _between(job.started_s, job.ended_s),
    "fetched": lambda job: _between(job.ended_s, job.fetched_s),
    "in all": lambda job: _between(job.submitted_s, job.fetched_s),
}


class Bars(Progress):
    """A progress bar for each server; without a terminal they are printed once, at the end."""

    def __init__(self, console: Console, names: Sequence[str], *, is_shown: bool) -> None:
        super().__init__(
            TextColumn("{task.description}", style="bold", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[doing]}", style="dim"),
            TimeElapsedColumn(),
            console=console,
            disable=not is_shown,
        )
        self._bars: dict[str, TaskID] = {name: self.add_task(name, total=0, doing="") for name in names}
        self._sent: Counter[str] = Counter()
        self._over: dict[str, set[int]] = {name: set() for name in names}
        self._known: set[int] = set()
        self._next_s = 0.0

    def changed(self, job: LoadJob) -> None:
        """Show how a job stands now; its steps are shown now and then only, so that a large load is not slowed down."""
        over, now_s = self._over[job.target], self.get_time()
        if job.is_over:
            over.add(job.number)
        elif job.number in self._known and now_s < self._next_s:
            return
        self._next_s = now_s + _BETWEEN_STEPS_S
        if job.number not in self._known:
            self._known.add(job.number)
            self._sent[job.target] += 1
        done, doing = job.step / job.steps, f"job {job.number}: {job.step:g}/{job.steps:g}"
        if job.is_over:
            done, doing = 0.0, ""
        total = self._sent[job.target]
        self.update(self._bars[job.target], total=total, completed=len(over) + done, doing=doing)


def print_jobs(console: Console, jobs: Sequence[LoadJob]) -> None:
    """Print who ran what, how long it took, and what came of it."""
    headings = ("job", "instance", "text", "waited", "ran", "picture")
    table = Table(*headings, box=box.SIMPLE_HEAD if console.is_terminal else None)
    for job in jobs:
        table.add_row(*map(Text, row(job)), style="red" if job.error else "")
    console.print(table)


def row(job: LoadJob) -> tuple[str, ...]:
    """Return one line of the table of jobs."""
    names = job.error or ", ".join(filename for filename, _ in job.saved) or "none"
    waited, ran = (_seconds(_MEASURES[measure](job)) for measure in ("waited", "ran"))
    return str(job.number), job.target, job.text, waited, ran, names


def print_percentiles(console: Console, jobs: Sequence[LoadJob]) -> None:
    """Print how long the jobs took."""
    table = Table(box=box.SIMPLE_HEAD if console.is_terminal else None)
    for column in ("seconds", "jobs", "mean", *(f"p{number}" for number in _PERCENTILES), "max"):
        table.add_column(column, justify="left" if column == "seconds" else "right")
    for name, figures in _all_figures(jobs).items():
        cells = [f"{value:.2f}" for key, value in figures.items() if key != "jobs"]
        table.add_row(Text(name), str(figures["jobs"]), *cells)
    console.print(table)


def _all_figures(jobs: Sequence[LoadJob]) -> dict[str, dict[str, Any]]:
    """Return the figures of each measure, and of each server in all, if there are several."""
    measured = {name: [measure(job) for job in jobs] for name, measure in _MEASURES.items()}
    targets = dict.fromkeys(job.target for job in jobs if job.target)
    if len(targets) > 1:
        for target in targets:
            measured[f"in all, {target}"] = [_MEASURES["in all"](job) for job in jobs if job.target == target]
    known = {name: [value for value in values if value is not None] for name, values in measured.items()}
    return {name: _figures(values) for name, values in known.items() if values}


def _figures(values: Sequence[float]) -> dict[str, Any]:
    """Return number, mean, percentiles and maximum."""
    cuts = quantiles(values, n=100, method="inclusive") if len(values) > 1 else [values[0]] * 99
    percentiles = {f"p{number}": cuts[number - 1] for number in _PERCENTILES}
    return {"jobs": len(values), "mean": mean(values), **percentiles, "max": max(values)}


def counts(jobs: Sequence[LoadJob], seconds: float) -> list[str]:
    """Return what a load adds up to, in sentences."""
    names = Counter((job.target, filename) for job in jobs for filename, _ in job.saved)
    contents = {sha256 for job in jobs for _, sha256 in job.saved}
    delivered = sum(job.is_delivered for job in jobs)
    servers = len({job.target for job in jobs if job.target})
    failed = len(jobs) - delivered
    return [
        f"{len(jobs)} jobs on {servers} instances in {seconds:.1f} s"
        + (f", {failed} not delivered" if failed else ", all delivered"),
        f"{names.total()} pictures: {len(names)} different by instance and name, {len(contents)} by SHA-256",
        # A static instance names its input picture, which is outside its output folder.
        *(f"{who} is static: {times} times {name}" for (who, name), times in names.items() if name.startswith("../")),
    ]


def reasons(jobs: Sequence[LoadJob]) -> Counter[str]:
    """Return why jobs were not delivered, and how many."""
    return Counter(job.error or "not ended" for job in jobs if not job.is_delivered)


def as_facts(jobs: Sequence[LoadJob], seconds: float) -> dict[str, Any]:
    """Return what a load adds up to, for ``--json``."""
    delivered = sum(job.is_delivered for job in jobs)
    return {
        "jobs": len(jobs),
        "delivered": delivered,
        "not_delivered": len(jobs) - delivered,
        "seconds": seconds,
        "reasons": dict(reasons(jobs)),
        "figures": {name.replace(" ", "_").replace(",_", ":"): value for name, value in _all_figures(jobs).items()},
        "results": [
            {
                "job": job.number,
                "instance": job.target,
                "workflow": job.workflow,
                "prompt_id": job.prompt_id,
                "error": job.error,
                "pictures": [filename for filename, _ in job.saved],
                **{f"{name.replace(' ', '_')}_s": measure(job) for name, measure in _MEASURES.items()},
            }
            for job in jobs
        ],
    }


def _seconds(value: float | None) -> str:
    return "?" if value is None else f"{value:.2f} s"


def _between(begin_s: float | None, end_s: float | None) -> float | None:
    return None if begin_s is None or end_s is None else max(0.0, end_s - begin_s)
