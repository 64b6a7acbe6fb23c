"""``comfyfarm load``: send load to any ComfyUI servers, and measure what comes back."""

import time
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random, SystemRandom
from typing import Any
from urllib.parse import urlsplit

import click
import msgspec
from click.core import ParameterSource

from comfyfarm.cli.common import (
    INTERRUPTED,
    NO,
    OK,
    Trouble,
    as_url,
    console,
    control_option,
    header_option,
    in_reactor,
    json_option,
    path_option,
    print_bytes,
)
from comfyfarm.cli.loading.plan import POLICIES, Kind, NoWorkflow, Plan
from comfyfarm.clients import HttpStatusError
from comfyfarm.clients.control import SyncFarmControl

_MOST_LISTED = 40
_DEFAULT_FARM = {"instance": [{"name": "gpu-{n}", "count": 3, "mode": "dynamic"}]}
_JOBS = 24


@click.command(
    epilog="Without URLs the jobs go to all instances of the farm at --control; if none runs there, the farm of "
    "--config is started for the duration of the load.  The exit status is 0 if every job was delivered, 1 if one was "
    "not, 2 if a server cannot be reached or an option is wrong, 130 after Ctrl-C or SIGTERM: then the figures are "
    "those so far."
)
@click.argument("urls", metavar="[URL]...", nargs=-1, callback=as_url)
@control_option
@path_option("-c", "--config", metavar="FILE", default=Path("config.toml"), help="Default: config.toml.")
@click.option("--jobs", metavar="N", type=click.IntRange(1), help=f"How many; {_JOBS} by default.")
@click.option(
    "--for", "for_s", metavar="SECONDS", type=click.FloatRange(0, min_open=True), help="How long; needs --rate."
)
@click.option("--rate", metavar="PER_SECOND", type=click.FloatRange(0, min_open=True), help="Default: all at once.")
@click.option("--poisson", is_flag=True, help="Random gaps between the jobs; --rate is their mean.")
@click.option(
    "-w",
    "--workflow",
    "workflows",
    metavar="NAME|FILE[=WEIGHT]",
    multiple=True,
    default=["text-to-image"],
    help="Built in (comfyfarm workflow) or a file in the API format; several make a mix.",
)
@click.option(
    "--policy",
    type=click.Choice(list(POLICIES)),
    default="round-robin",
    show_default=True,
    help="The choice of a server; shortest: the one with the fewest jobs of this load.",
)
@click.option("--seed", type=int, help="Decides the mix, the gaps and the seeds of the jobs; default: drawn.")
@click.option("--timeout", "timeout_s", type=float, default=120.0, show_default=True, help="For each job, in seconds.")
@path_option("-o", "--output", metavar="DIR", help="Keep the pictures there.")
@click.option("-v", "--verbose", is_flag=True, help=f"List the jobs even if they are more than {_MOST_LISTED}.")
@header_option
@json_option
def load(
    urls: Sequence[str], *, control: str, config: Path, seed: int | None, as_json: bool, verbose: bool, **options: Any
) -> int:
    """Send load to any ComfyUI servers, and measure what comes back.

    Each job is submitted, followed on the websocket, and its pictures are fetched.
    """
    from comfyfarm.cli.loading.show import as_facts

    chance: Random = SystemRandom() if seed is None else Random(seed)
    is_given = click.get_current_context().get_parameter_source("control") != ParameterSource.DEFAULT
    with _servers(urls, control, None if is_given else config) as servers:
        run = _Run(servers, chance, options, is_shown=not as_json)
        status = run.play()
    if as_json:
        facts = as_facts(run.jobs, run.seconds)
        print_bytes(msgspec.json.format(msgspec.json.encode(facts), indent=1) + b"\n")
    else:
        run.print_results(is_long=verbose)
    return status


@contextmanager
def _servers(urls: Sequence[str], control: str, config: Path | None) -> Iterator[Mapping[str, str]]:
    """Return the servers to send to, by name; if no farm runs, one does for the duration of the block.

    :param config: of that one; ``None``: none is started.
    :raises Trouble: if there is no server.
    """
    if urls:
        yield {urlsplit(url).netloc: url for url in urls}
        return
    try:
        state = SyncFarmControl(control).state()
    except (OSError, HttpStatusError, ValueError) as error:
        if config is None:
            raise Trouble(f"no farm answers at {control}; start one with comfyfarm run") from error
    else:
        yield {name: instance.url for name, instance in state.instances.items()}
        return
    with _own_farm(config, control) as servers:
        yield servers


@contextmanager
def _own_farm(config: Path, control: str) -> Iterator[Mapping[str, str]]:
    from comfyfarm.testing.child import FarmDied, run_farm

    is_there = config.exists()
    name = str(config) if is_there else "three dynamic instances"
    click.echo(f"no farm runs at {control}: starting that of {name} for this load", err=True)
    try:
        farm = run_farm(config if is_there else _DEFAULT_FARM)
    except FarmDied as error:
        raise Trouble(f"the farm of {name} does not start: {error.lines[-1].rpartition('] ')[2]}") from error
    with farm:
        yield {name: instance.url for name, instance in farm.instances.items()}


class _Run:
    """One load.

    :ivar jobs: all jobs of the plan.
    :ivar seconds: how long it took.
    """

    def __init__(
        self, servers: Mapping[str, str], chance: Random, options: Mapping[str, Any], *, is_shown: bool
    ) -> None:
        if options["for_s"] is not None and options["rate"] is None:
            raise click.UsageError("--for needs --rate")
        try:
            kinds = [Kind.parse(word) for word in options["workflows"]]
        except NoWorkflow as error:
            raise Trouble(str(error)) from error
        count = options["jobs"] or (_JOBS if options["for_s"] is None else None)
        self._plan = Plan(
            kinds=kinds, count=count, for_s=options["for_s"], rate=options["rate"], is_poisson=options["poisson"]
        )
        self.jobs = self._plan.jobs(chance)
        self.seconds = 0.0
        self._servers = servers
        self._chance = chance
        self._options = options
        self._screen = console()
        self._is_shown = is_shown

    def play(self) -> int:
        """Send all jobs, and return the exit status."""
        from comfyfarm.cli.loading.sender import NoServer, Sender
        from comfyfarm.cli.loading.show import Bars

        began = time.monotonic()
        bars = Bars(self._screen, list(self._servers), is_shown=self._is_shown)

        def begin(reactor: Any) -> Coroutine[Any, Any, None]:
            sender = Sender(
                reactor=reactor,
                plan=self._plan,
                jobs=self.jobs,
                policy=POLICIES[self._options["policy"]],
                chance=self._chance,
                bars=bars,
                output=self._options["output"],
                timeout_s=self._options["timeout_s"],
                headers=self._options["headers"],
            )
            return sender.run(self._servers)

        try:
            in_reactor(begin)
        except NoServer as error:
            raise Trouble(str(error)) from error
        except KeyboardInterrupt:
            return INTERRUPTED
        finally:
            self.seconds = time.monotonic() - began
            if bars.live.is_started:
                bars.stop()
        return OK if all(job.is_delivered for job in self.jobs) else NO

    def print_results(self, *, is_long: bool) -> None:
        """Print the figures, the counts and, if they are few, the jobs."""
        from comfyfarm.cli.loading.show import counts, print_jobs, print_percentiles, reasons

        print_percentiles(self._screen, self.jobs)
        if is_long or len(self.jobs) <= _MOST_LISTED:
            print_jobs(self._screen, self.jobs)
        for line in counts(self.jobs, self.seconds):
            click.echo(line)
        if not is_long and len(self.jobs) > _MOST_LISTED:
            for why, count in reasons(self.jobs).most_common():
                click.echo(f"  {count} not delivered: {why}")
        if self._options["output"] is not None:
            click.echo(f"The pictures are in {self._options['output']}/")
