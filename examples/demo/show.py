"""What the demonstration shows: a bar for each instance, then a table and the counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from .jobs import Job

__all__ = ["Bars", "counts", "print_results", "row"]


class Bars(Progress):
    """A progress bar for each instance; without a terminal they are printed once, at the end."""

    def __init__(self, console: Console, jobs: Sequence[Job]) -> None:
        super().__init__(
            TextColumn("{task.description}", style="bold", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[doing]}", style="dim"),
            TimeElapsedColumn(),
            console=console,
        )
        self._jobs = jobs
        totals = Counter(job.target for job in jobs)
        self._bars = {name: self.add_task(name, total=total, doing="") for name, total in totals.items()}

    def changed(self, job: Job) -> None:
        """Show how a job stands now."""
        finished = sum(other.over for other in self._jobs if other.target == job.target)
        done, doing = (0.0, "") if job.over else (job.step / job.steps, f"job {job.number}: {job.step:g}/{job.steps:g}")
        self.update(self._bars[job.target], completed=finished + done, doing=doing)


def print_results(console: Console, jobs: Sequence[Job]) -> None:
    """Print who ran what, how long it took, and how many pictures came of it."""
    headings = ("job", "instance", "text", "waited", "ran", "picture")
    table = Table(*headings, box=box.SIMPLE_HEAD if console.is_terminal else None)
    for job in jobs:
        table.add_row(*row(job), style="red" if job.error else "")
    console.print(table)
    for line in counts(jobs):
        console.print(line, soft_wrap=True)


def row(job: Job) -> tuple[str, ...]:
    """One line of the table."""
    names = job.error or ", ".join(filename for filename, _ in job.saved) or "none"
    waited, ran = _between(job.submitted_s, job.started_s), _between(job.started_s, job.ended_s)
    return str(job.number), job.target, job.text, waited, ran, names


def counts(jobs: Sequence[Job]) -> list[str]:
    """What the table adds up to, in sentences."""
    names = Counter((job.target, filename) for job in jobs for filename, _ in job.saved)
    contents = {sha256 for job in jobs for _, sha256 in job.saved}
    failed = sum(job.error is not None for job in jobs)
    return [
        f"{len(jobs)} jobs on {len({job.target for job in jobs})} instances" + (f", {failed} failed" if failed else ""),
        f"{names.total()} pictures: {len(names)} different by instance and name, {len(contents)} by SHA-256",
        # A static instance names its input picture, which is outside its output folder.
        *(f"{who} is static: {times} times {name}" for (who, name), times in names.items() if name.startswith("../")),
    ]


def _between(begin_s: float | None, end_s: float | None) -> str:
    return "?" if begin_s is None or end_s is None else f"{end_s - begin_s:.2f} s"
