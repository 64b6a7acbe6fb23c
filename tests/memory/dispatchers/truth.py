"""Who was harmed in a scene: from what the users got, what lies on the disks, and what was sent; never from the log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from comfyfarm.testing import MemoryFarm

from .orders import User, Users
from .pictures import seed_in
from .wire import Stop, Submission, Wire

if TYPE_CHECKING:
    from .scenes import Scene

WIRE_MS = 50
MOST_TRIES, BACKOFF_MS = 10, 100


@dataclass(frozen=True)
class Harm:
    """A harm to the user of an order, or to a server by way of an order."""

    order: str
    what: str


def harms_of(farm: MemoryFarm, users: Users, wire: Wire, scene: Scene) -> Iterator[Harm]:
    """Return all harms of a scene that has ended."""
    yield from harms_to_users(users)
    made = _pictures_on_disk(farm)
    for name, user in users.users.items():
        for what in (*_harms_by_sending(user, wire.submissions), *_waste(made[user.order.seed])):
            yield Harm(name, what)
    yield from _sent_to_draining(wire.submissions, scene)
    yield from _sent_early(wire.submissions)
    yield from _stopped(farm, users, wire)


def harms_to_users(users: Users) -> Iterator[Harm]:
    """Return those that users themselves see."""
    for name, user in users.users.items():
        for what in _harms_to_user(user):
            yield Harm(name, what)


def _harms_to_user(user: User) -> Iterator[str]:
    seeds = [seed_in(picture) for _, picture in user.received]
    if user.withdrew_ms is None and not seeds and not user.failures:
        yield "got nothing and was told nothing"
    for seed in seeds:
        if seed is None:
            yield "got what is not a whole picture"
        elif seed != user.order.seed:
            yield "got the picture of another order"
    if len(seeds) > 1:
        yield f"got {len(seeds)} deliveries"
    if seeds and user.failures:
        yield "got a picture and was told that it failed"


def _waste(count: int) -> Iterator[str]:
    if count > 1:
        yield f"was made {count} times"


def _pictures_on_disk(farm: MemoryFarm) -> Counter[int]:
    """Return how often the picture of each seed lies in the output folders."""
    folders = {backend.storage.disk.output_dir for backend in farm.farm.backends.values()}
    paths = (path for folder in folders for path in Path(folder).rglob("*.png"))
    seeds = (seed_in(path.read_bytes()) for path in paths)
    return Counter(seed for seed in seeds if seed is not None)


def _harms_by_sending(user: User, submissions: Iterable[Submission]) -> Iterator[str]:
    """The harms to servers by an order that is sent too often, or is wanted no more."""
    own = [submission for submission in submissions if submission.order == user.order.name]
    if user.withdrew_ms is not None and any(submission.at_ms > user.withdrew_ms + WIRE_MS for submission in own):
        yield "was sent after it had been withdrawn"
    if len(own) > MOST_TRIES:
        yield f"was sent {len(own)} times"
    pairs = [(first, second) for first, second in pairwise(own) if first.status != 200]
    hasty = [second for first, second in pairs if second.at_ms - (first.answered_ms or 0) < BACKOFF_MS]
    if len(hasty) > 2:
        yield "was sent again and again without a pause"
    refused = [pair for pair in pairs if pair[0].status == 400 and pair[0].instance == pair[1].instance]
    if refused:
        yield "was sent again where it had been refused"


def _sent_to_draining(submissions: Iterable[Submission], scene: Scene) -> Iterator[Harm]:
    for submission in submissions:
        drain_ms = scene.drains.get(submission.instance)
        if drain_ms is not None and submission.at_ms > drain_ms + WIRE_MS:
            yield Harm(submission.order, f"was sent to {submission.instance}, which was to be drained")


def _sent_early(submissions: Sequence[Submission]) -> Iterator[Harm]:
    """Find submissions that came sooner than the instance had asked by Retry-After."""
    for refusal in submissions:
        wait_s = refusal.reply.headers.get("retry-after", "") if refusal.reply is not None else ""
        if refusal.answered_ms is None or not wait_s.isdecimal():
            continue
        begin_ms, end_ms = refusal.answered_ms + WIRE_MS, refusal.answered_ms + int(wait_s) * 1000
        for submission in submissions:
            if submission.instance == refusal.instance and begin_ms <= submission.at_ms < end_ms:
                yield Harm(submission.order, f"was sent to {submission.instance}, which had asked to wait")


def _stopped(farm: MemoryFarm, users: Users, wire: Wire) -> Iterator[Harm]:
    """Find wanted jobs that the dispatcher itself interrupted, or took out of a queue."""
    for submission in wire.submissions:
        user, history = users.users[submission.order], farm[submission.instance].backend.instance.history
        stops = [stop for stop in wire.stops if stop.instance == submission.instance and stop.at_ms > submission.at_ms]
        entry = history.entries.get(submission.prompt_id)
        is_wanted = user.withdrew_ms is None and not user.failures
        if not stops or not is_wanted or submission.status != 200:
            continue
        if entry is None and any(_takes_out(stop, submission) for stop in stops):
            yield Harm(submission.order, "was taken out of the queue")
        elif entry is not None and "execution_interrupted" in entry.json:
            yield Harm(submission.order, "was interrupted")


def _takes_out(stop: Stop, submission: Submission) -> bool:
    return bool(stop.body.get("clear")) or submission.prompt_id in stop.body.get("delete", ())
