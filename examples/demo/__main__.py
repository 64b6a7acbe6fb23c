"""Sends jobs to every instance of a running farm and shows how they go: ``./scripts/demo``."""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import treq
from rich.console import Console
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.error import ConnectError, ConnectingCancelledError, ConnectionClosed, DNSLookupError
from twisted.internet.task import react
from twisted.web.client import RequestTransmissionFailed, ResponseFailed

from comfyfarm.clients import ComfyClient, HttpStatusError, Message
from comfyfarm.workflows import text_to_image

from .jobs import Job, Target, choose_checkpoint, failure, on_message, pictures, plan, saved_path
from .show import Bars, print_results

_ANSWER_TIMEOUT_S = 10.0
_JOB_TIMEOUT_S = 300.0
_WIDTH = 140    # columns, if there is no terminal to ask
_NO_ANSWER = (ConnectError, ConnectingCancelledError, ConnectionClosed, DNSLookupError, ResponseFailed)
_WENT_WRONG = (*_NO_ANSWER, HttpStatusError, RequestTransmissionFailed, TimeoutError)
_NO_SERVER = (*_NO_ANSWER, CancelledError, AttributeError, LookupError, TypeError, ValueError)


def main() -> None:
    """Read the options and run."""
    options = _options().parse_args()
    # What servers say is printed as it is: no markup, no colours for numbers.
    console = Console(markup=False, highlight=False, width=None if sys.stdout.isatty() else _WIDTH)
    try:
        react(demonstrate, (console, options))
    finally:
        console.show_cursor()   # Ctrl-C stops the reactor without ending what runs in it, the bars among it


def _options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(prog="demo", description="Sends jobs to every instance of a farm and watches.")
    where, farm = options.add_mutually_exclusive_group(), "http://127.0.0.1:8180"
    about = "the farm's control server, which knows the instances; default: %(default)s"
    where.add_argument("--control", metavar="URL", default=farm, help=about)
    where.add_argument("--urls", metavar="URL", nargs="+", help="the servers themselves, of any make")
    options.add_argument("--jobs", metavar="N", type=_count, default=24, help="default: %(default)s")
    options.add_argument("--output", metavar="DIR", type=Path, default=Path("demo-output"), help="default: %(default)s")
    return options


def _count(text: str) -> int:
    if int(text) < 1:
        raise ValueError(text)      # argparse makes its message from it
    return int(text)


async def demonstrate(reactor: Any, console: Console, options: argparse.Namespace) -> None:
    """Find the servers, send the jobs, show what came of it.

    :raises SystemExit: if a server cannot be found (with a text), or a job failed (with status 1).
    """
    targets = await _targets(options)
    jobs = plan(targets, options.jobs)
    with Bars(console, jobs) as bars:
        lanes = [_Lane(reactor, target, jobs, bars) for target in targets]
        await gatherResults([Deferred.fromCoroutine(lane.run(options.output)) for lane in lanes])
    print_results(console, jobs)
    console.print(f"The pictures are in {options.output}/", soft_wrap=True)
    if any(job.error for job in jobs):
        raise SystemExit(1)


async def _targets(options: argparse.Namespace) -> list[Target]:
    urls = {urlsplit(url).netloc: url for url in map(_with_scheme, options.urls or ())}
    if not urls:
        try:
            farm = await _get(_with_scheme(options.control) + "/api/farm")
            urls = {name: instance["url"] for name, instance in farm["instances"].items()}
        except _NO_SERVER as error:
            raise SystemExit(f"No farm answers at {options.control}.  Start one with ./scripts/run") from error
    if not urls:
        raise SystemExit(f"The farm at {options.control} has no instances.")
    return [await _target(name, url) for name, url in urls.items()]


async def _target(name: str, url: str) -> Target:
    try:
        return Target(name, url, choose_checkpoint(await _get(url + "/object_info/CheckpointLoaderSimple")))
    except _NO_SERVER as error:
        raise SystemExit(f"No ComfyUI answers at {url}.  Start the farm with ./scripts/run") from error


async def _get(url: str) -> Any:
    return await treq.json_content(await treq.get(url, timeout=_ANSWER_TIMEOUT_S, persistent=False))


def _with_scheme(url: str) -> str:
    return (url if "://" in url else f"http://{url}").rstrip("/")


class _Lane:
    """The jobs of one server."""

    def __init__(self, reactor: Any, target: Target, jobs: Sequence[Job], bars: Bars) -> None:
        self._reactor = reactor
        self._target = target
        self._client = ComfyClient(target.url, reactor=reactor)
        self._jobs = [job for job in jobs if job.target == target.name]
        self._bars = bars

    async def run(self, output: Path) -> None:
        """Send all jobs, wait for each and fetch its pictures; a job that goes wrong stops no other."""
        try:
            async with self._client.listening() as messages:    # open before the first job: nothing is repeated
                listening = Deferred.fromCoroutine(self._listen(messages))
                # If the server hangs up, history still says what became of the jobs.
                listening.addErrback(lambda failed: failed.trap(CancelledError, ConnectionClosed) and None)
                for job in self._jobs:
                    await self._attempt(job, self._submit(job))
                for job in self._jobs:
                    if job.error is None:
                        await self._attempt(job, self._collect(job, output))
                listening.cancel()
        finally:
            await self._client.close()

    async def _listen(self, messages: AsyncIterator[Message]) -> None:
        jobs = {job.prompt_id: job for job in self._jobs}
        async for message in messages:
            if job := on_message(jobs, message, self._reactor.seconds()):
                self._bars.changed(job)

    async def _attempt(self, job: Job, doing: Any) -> None:
        try:
            await doing
        except _WENT_WRONG as error:
            job.error = _reason(error)
        self._bars.changed(job)

    async def _submit(self, job: Job) -> None:
        workflow = text_to_image(seed=job.seed, prompt=job.text, width=512, height=768, steps=20)
        workflow["4"]["inputs"]["ckpt_name"] = self._target.checkpoint
        job.submitted_s = self._reactor.seconds()
        await self._client.submit(workflow, prompt_id=job.prompt_id)

    async def _collect(self, job: Job, output: Path) -> None:
        entry = await self._client.wait(job.prompt_id, _JOB_TIMEOUT_S)
        job.error = failure(entry)
        job.ended_s = job.ended_s or self._reactor.seconds()
        for picture in pictures(entry):
            content = await self._client.download(**picture)
            path = saved_path(output, self._target.name, picture)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            job.saved.append((picture["filename"], hashlib.sha256(content).hexdigest()))


def _reason(error: Exception) -> str:
    """What went wrong, in one line."""
    if not isinstance(error, HttpStatusError):
        return str(error) or type(error).__name__
    message = error.body["error"]["message"] if isinstance(error.body, dict) and "error" in error.body else error.body
    return f"HTTP {error.status}: {message}"


if __name__ == "__main__":
    main()
