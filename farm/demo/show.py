"""What does the demonstration show: progress while it runs, a table and the counts at its end?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Protocol, Self

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from .jobs import Job, Saved

__all__ = ["Board", "Lines", "LiveBars", "counts", "print_results", "row"]


class Board(Protocol):
    """Somewhere to look while jobs run."""

    def changed(self, job: Job) -> None:
        """Show how a job stands now."""

    def refresh(self) -> None:
        """Bring what is seen up to date; called ten times a second."""


class LiveBars:
    """A progress bar for each instance, on a terminal."""

    def __init__(self, console: Console, jobs: Sequence[Job]) -> None:
        self._jobs = jobs
        self._progress = Progress(
            TextColumn("{task.description}", style="bold", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[doing]}", style="dim"),
            TimeElapsedColumn(),
            console=console,
            auto_refresh=False,  # rich would do it in a thread; the reactor has a clock of its own
        )
        self._tasks: dict[str, TaskID] = {}
        for name, total in Counter(job.target for job in jobs).items():
            self._tasks[name] = self._progress.add_task(name, total=total, doing="")

    def __enter__(self) -> Self:
        """Take the terminal's last lines."""
        self._progress.start()
        return self

    def __exit__(self, *exc: object) -> None:
        """Leave the bars as they are, and the terminal as it was."""
        self._progress.refresh()
        self._progress.stop()

    def changed(self, job: Job) -> None:
        """See :class:`Board`."""
        ours = [other for other in self._jobs if other.target == job.target]
        finished = sum(other.over for other in ours)
        done, doing = (0.0, "") if job.over else (job.step / job.steps, f"job {job.number}: {job.step:g}/{job.steps:g}")
        self._progress.update(self._tasks[job.target], completed=finished + done, doing=doing)

    def refresh(self) -> None:
        """See :class:`Board`."""
        self._progress.refresh()


class Lines:
    """A line for each job that starts or ends, where there is no terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._said: set[tuple[int, bool, bool]] = set()

    def __enter__(self) -> Self:
        """Nothing is needed."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Nothing is held."""

    def changed(self, job: Job) -> None:
        """See :class:`Board`."""
        now = job.number, job.over, job.error is None
        if now not in self._said:
            self._said.add(now)
            self._console.print(f"{job.target}: job {job.number} {_state(job)}", soft_wrap=True)

    def refresh(self) -> None:
        """See :class:`Board`."""


def print_results(console: Console, jobs: Sequence[Job]) -> None:
    """Who ran what, how long it took, and how many pictures came of it."""
    table = Table(*_HEADINGS, box=box.SIMPLE_HEAD if console.is_terminal else None)
    for job in jobs:
        table.add_row(*row(job), style="red" if job.error else "")
    console.print(table)
    for line in counts(jobs):
        console.print(line, soft_wrap=True)


_HEADINGS = ("job", "instance", "text", "waited", "ran", "picture")


def row(job: Job) -> tuple[str, ...]:
    """One line of the table."""
    names = job.error or ", ".join(saved.filename for saved in job.saved) or "none"
    return str(job.number), job.target, job.text, _seconds(job.waited_s), _seconds(job.ran_s), names


def counts(jobs: Sequence[Job]) -> list[str]:
    """What the table adds up to, in sentences."""
    saved = [(job.target, picture) for job in jobs for picture in job.saved]
    names = {(target, picture.filename) for target, picture in saved}
    contents = {picture.sha256 for _, picture in saved}
    failed = sum(job.error is not None for job in jobs)
    return [
        f"{len(jobs)} jobs on {len({job.target for job in jobs})} instances" + (f", {failed} failed" if failed else ""),
        f"{len(saved)} pictures: {len(names)} different by instance and name, {len(contents)} by SHA-256",
        *_static_lines(saved),
    ]


def _static_lines(saved: Sequence[tuple[str, Saved]]) -> list[str]:
    """A static instance names its input picture, which stands outside of its output folder."""
    static = Counter((target, picture.filename) for target, picture in saved if picture.filename.startswith("../"))
    return [f"{target} is static: {times} times {filename}" for (target, filename), times in static.items()]


def _state(job: Job) -> str:
    if job.error is not None:
        return f"failed: {job.error}"
    return f"ended after {_seconds(job.ran_s)}" if job.over else f"started, waited {_seconds(job.waited_s)}"


def _seconds(span_s: float | None) -> str:
    return "?" if span_s is None else f"{span_s:.2f} s"
