"""Check that a sampler reports its steps as ComfyUI does.

Which steps are reported depends on how long they take, so the messages of a job are checked by rules instead of
being compared with a recording (docs/fidelity.md, "Sampling").
"""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from io import BytesIO
from itertools import pairwise
from typing import Any

from PIL import Image

from comfyfarm.clients.websocket import Message

_MIN_INTERVAL_MS = 100
_MIN_SHARE = 0.005
_JPEG = b"\xff\xd8\xff"
_OLD_PREVIEW, _WITH_METADATA = 1, 4


@dataclass(frozen=True)
class Expected:
    """The sampler run that the rules expect.

    :ivar node: the id of the sampler node.
    :ivar previews: the binary event that carries the previews: 1, or 4 with metadata; ``None`` for no previews.
    :ivar size: width and height of a preview, in pixels.
    """

    node: str
    steps: int
    previews: int | None = None
    size: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class _Update:
    """The data of a ``progress`` message, the two messages before it and the one after it."""

    data: dict[str, Any]
    before: list[Message]
    after: list[Message]

    @property
    def value(self) -> Any:
        return self.data.get("value")


@dataclass
class _JobMessages:
    """The messages of one job, prepared for the rules."""

    messages: list[Message]
    expected: Expected
    updates: list[_Update] = field(init=False)

    def __post_init__(self) -> None:
        self.updates = [
            _Update(_data(message), self.messages[:index][-2:], self.messages[index + 1:index + 2])
            for index, message in enumerate(self.messages)
            if _kind(message) == "progress"
        ]

    def states(self) -> list[dict[str, Any]]:
        return [_data(message)["nodes"] for message in self.messages if _kind(message) == "progress_state"]

    def timestamp(self, kind: str) -> int:
        return next((int(_data(message)["timestamp"]) for message in self.messages if _kind(message) == kind), 0)


def broken_rules(messages: Iterable[Message], expected: Expected, *, has_states: bool = True) -> list[str]:
    """Return a sentence for every rule that the messages of one job break.

    :param messages: all messages that the job's client received since it submitted the job.
    :param has_states: whether the server's version sends ``progress_state``.
    """
    job = _JobMessages(list(messages), expected)
    if not job.updates:
        return ["no progress is told"]
    rules = [rule for rule in _RULES if has_states or rule not in (_order, _states)]
    return [complaint for rule in rules for complaint in rule(job)]


def _counts(job: _JobMessages) -> Iterator[str]:
    """Values are whole numbers from the first step to the last, and ``max`` is the number of steps that run."""
    values = [update.value for update in job.updates]
    if any(type(value) is not int for value in values):
        yield f"values are whole numbers: {values}"
    elif values[0] != 1 or values[-1] != job.expected.steps or any(one >= two for one, two in pairwise(values)):
        yield f"values go up from 1 to {job.expected.steps}: {values}"
    most = {repr(update.data.get("max")) for update in job.updates}
    if most != {str(job.expected.steps)}:
        yield f"max is {job.expected.steps}: {', '.join(sorted(most))}"


def _throttle(job: _JobMessages) -> Iterator[str]:
    """Without previews, updates are 100 ms and 0.5 % of the steps apart; with previews, every step has one."""
    count, steps = len(job.updates), job.expected.steps
    if job.expected.previews is not None:
        if count != steps:
            yield f"with pictures every step is told: {count} of {steps}"
        return
    elapsed_ms = job.timestamp("execution_success") - job.timestamp("execution_start")
    if count > 2 + elapsed_ms // _MIN_INTERVAL_MS:
        yield f"updates are {_MIN_INTERVAL_MS} ms apart: {count} in {elapsed_ms} ms"
    inner = [update.value for update in job.updates[:-1]]      # the last step is always reported
    if any(two - one < steps * _MIN_SHARE for one, two in pairwise(inner)):
        yield f"updates are 0.5 % of {steps} steps apart: {inner}"


def _order(job: _JobMessages) -> Iterator[str]:
    """``progress_state`` comes before ``progress``; a preview comes last, or between the two if it has metadata."""
    for update in job.updates:
        state, picture = update.before, update.after
        if job.expected.previews == _WITH_METADATA:
            state, picture = update.before[:1], update.before[1:]
        if _kind(state[-1] if state else None) != "progress_state":
            yield f"progress_state comes before progress {update.value}"
        elif not _stands_at(_data(state[-1])["nodes"].get(job.expected.node), update.data):
            yield f"progress_state says the same as progress {update.value}"
        if job.expected.previews is not None:
            yield from _picture(picture[0] if picture else None, update.value, job.expected)


def _picture(frame: Message | None, value: Any, expected: Expected) -> Iterator[str]:
    if not isinstance(frame, bytes) or _event(frame) != expected.previews:
        yield f"a picture (binary {expected.previews}) goes with progress {value}"
        return
    head = 8 if expected.previews == _OLD_PREVIEW else 8 + int.from_bytes(frame[4:8], "big")
    if not frame[head:].startswith(_JPEG):
        yield f"previews are JPEG: at {value}"
        return
    size = Image.open(BytesIO(frame[head:])).size
    if size != expected.size:
        yield f"previews are {expected.size}: {size} at {value}"


def _no_other_pictures(job: _JobMessages) -> Iterator[str]:
    events = [_event(message) for message in job.messages if isinstance(message, bytes)]
    wrong = sorted({event for event in events if event != job.expected.previews})
    if wrong:
        yield f"no other binary messages: {wrong}"


def _states(job: _JobMessages) -> Iterator[str]:
    """``progress_state`` lists all nodes begun so far; a node begins at 0.0 of 1.0 and ends at max of max."""
    for before, after in pairwise(job.states()):
        if not before.keys() <= after.keys():
            yield f"progress_state is cumulative: {sorted(before)} before {sorted(after)}"
    sampler = [state[job.expected.node] for state in job.states() if job.expected.node in state]
    first, last = (f"{state['state']} {state['value']!r}/{state['max']!r}" for state in (sampler[0], sampler[-1]))
    if first != "running 0.0/1.0":
        yield f"a node begins at running 0.0/1.0: {first}"
    if last != f"finished {job.expected.steps}/{job.expected.steps}":
        yield f"a sampler ends at finished {job.expected.steps}/{job.expected.steps}: {last}"


def _frame_of_job(job: _JobMessages) -> Iterator[str]:
    """A job begins with ``execution_start``, ``execution_cached``; it ends with success, status, executing null."""
    kinds = [_kind(message) for message in job.messages]
    begin, end = ["execution_start", "execution_cached"], ["execution_success", "status", "executing"]
    start = kinds.index("execution_start") if "execution_start" in kinds else 0
    if kinds[start:start + 2] != begin:
        yield f"a job begins with {', '.join(begin)}: {', '.join(kinds[start:start + 2])}"
    if kinds[-3:] != end or _data(job.messages[-1]).get("node") is not None:
        yield f"a job ends with {', '.join(end)}: {', '.join(kinds[-3:])}"


_RULES = (_counts, _throttle, _order, _no_other_pictures, _states, _frame_of_job)


def _stands_at(node: Any, progress: dict[str, Any]) -> bool:
    expected = {"state": "running", "value": progress.get("value"), "max": progress.get("max")}
    return isinstance(node, dict) and {name: node.get(name) for name in expected} == expected


def _kind(message: Message | None) -> str:
    return str(message.get("type")) if isinstance(message, dict) else ""


def _data(message: Message) -> dict[str, Any]:
    return dict(message["data"]) if isinstance(message, dict) else {}


def _event(frame: bytes) -> int:
    (event,) = struct.unpack(">I", frame[:4])
    return int(event)
