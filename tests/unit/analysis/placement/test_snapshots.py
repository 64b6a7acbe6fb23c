"""What a dispatch stores of the instances, and the snapshots that are made of it again."""

from random import Random
from typing import Any

import pytest

from comfyfarm.analysis.placement.snapshots import SnapshotReader
from comfyfarm.events import Event
from tests.support.logs import asked, crashed, draining, farm, finished, ready, showed, submitted, taken
from tests.support.placing import follow

INSTANCES = "abcdef"
CLIENTS = "xyz"


def drawn(random: Random, at: int) -> list[Event] | Event:
    """Something that changes an instance, or what a client knows of it."""
    name, client, job = random.choice(INSTANCES), random.choice(CLIENTS), f"j{random.randrange(at)}"
    pieces: list[list[Event] | Event] = [
        submitted(f"j{at}", on=name, at=at, client=client),
        showed(at, on=name, at=at, to=random.sample(CLIENTS, 2)),
        asked("/prompt", on=name, at=at, shown=at),
        [*taken(job, on=name, at=at), *finished(job, on=name, at=at)],
        draining(name, at=at, ends=random.random() < 0.5),
        [crashed(name, at=at), ready(name, at=at)],
    ]
    return random.choices(pieces, (8, 4, 2, 4, 1, 1))[0]


@pytest.mark.parametrize("seed", range(5))
def test_snapshots_read_one_after_another_are_those_read_alone(seed: int) -> None:
    """Made of the changes since the client's dispatch before, or of all changes."""
    random = Random(seed)
    analyzer = follow(farm(*INSTANCES), [drawn(random, at) for at in range(1, 300)])
    dispatches: Any = analyzer._dispatches
    assert len(dispatches.all) > 50
    changes = dispatches._recorder.changes
    for dispatch, snapshots in dispatches.snapshots():
        alone = SnapshotReader(changes).read(dispatch.attempt.client_id, dispatch.changes)
        assert list(map(facts, snapshots)) == list(map(facts, alone))


def facts(snapshot: Any) -> tuple[Any, ...]:
    return tuple(getattr(snapshot, name) for name in type(snapshot).__slots__)


def test_a_dispatch_stores_what_has_changed_however_many_instances_there_are() -> None:
    """Here: the depth of one instance, and what one client has sent there."""

    def changes_of_last(count: int) -> int:
        names = [f"gpu-{number}" for number in range(count)]
        jobs = [submitted(f"j{at}", on=names[at % 2], at=at) for at in range(10)]
        dispatches: Any = follow(farm(*names), jobs)._dispatches
        first, last = dispatches.all[-2:]
        return int(last.changes - first.changes)

    assert changes_of_last(2) == changes_of_last(200) == 2
