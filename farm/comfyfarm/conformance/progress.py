"""Does a sampler report its steps as ComfyUI does?

Which steps are told depends on how long they take, so the messages of a job are held against rules instead of
against a recording (docs/fidelity.md, "Sampling").
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from io import BytesIO
from itertools import pairwise
from typing import Any

from PIL import Image

from comfyfarm.clients.websocket import Message

_APART_MS = 100
_LEAST_SHARE = 0.005
_JPEG, _OLD, _WITH_METADATA = b"\xff\xd8\xff", 1, 4


@dataclass(frozen=True)
class Expected:
    """What was asked for.

    :ivar node: the sampler's id.
    :ivar steps: how many it runs.
    :ivar previews: ``None`` for no pictures, else the binary event that brings them: 1, or 4 with metadata.
    :ivar size: width and height of a preview.
    """

    node: str
    steps: int
    previews: int | None = None
    size: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class _Update:
    """A progress message and its neighbours."""

    data: dict[str, Any]
    before: list[Message]
    after: list[Message]

    @property
    def value(self) -> Any:
        return self.data.get("value")


@dataclass
class _Told:
    """The messages of one job, in the ways in which the rules look at them."""

    messages: list[Message]
    expected: Expected
    updates: list[_Update] = field(init=False)

    def __post_init__(self) -> None:
        told = [place for place, message in enumerate(self.messages) if _kind(message) == "progress"]
        self.updates = [
            _Update(_data(self.messages[place]), self.messages[:place][-2:], self.messages[place + 1:place + 2])
            for place in told
        ]

    def states(self) -> list[dict[str, Any]]:
        return [_data(each)["nodes"] for each in self.messages if _kind(each) == "progress_state"]

    def timestamp(self, kind: str) -> int:
        return next((int(_data(each)["timestamp"]) for each in self.messages if _kind(each) == kind), 0)


def broken_rules(messages: Iterable[Message], expected: Expected) -> list[str]:
    """Name every rule that one job's messages break, with what breaks it.

    :param messages: all that the job's client heard, from its submission on.
    """
    told = _Told(list(messages), expected)
    if not told.updates:
        return ["no progress is told"]
    return [complaint for rule in _RULES for complaint in rule(told)]


def _counts(told: _Told) -> Iterator[str]:
    """From the first step to the last, in whole numbers, and ``max`` is the number of steps that run."""
    values = [update.value for update in told.updates]
    if any(type(value) is not int for value in values):
        yield f"values are whole numbers: {values}"
    elif values[0] != 1 or values[-1] != told.expected.steps or any(one >= two for one, two in pairwise(values)):
        yield f"values go up from 1 to {told.expected.steps}: {values}"
    most = {repr(update.data.get("max")) for update in told.updates}
    if most != {str(told.expected.steps)}:
        yield f"max is {told.expected.steps}: {', '.join(sorted(most))}"


def _throttle(told: _Told) -> Iterator[str]:
    """Without pictures at most one update in 100 ms, and each at least 0.5 % further; with pictures every step."""
    count, steps = len(told.updates), told.expected.steps
    if told.expected.previews is not None:
        if count != steps:
            yield f"with pictures every step is told: {count} of {steps}"
        return
    elapsed_ms = told.timestamp("execution_success") - told.timestamp("execution_start")
    if count > 2 + elapsed_ms // _APART_MS:
        yield f"updates are {_APART_MS} ms apart: {count} in {elapsed_ms} ms"
    inner = [update.value for update in told.updates[:-1]]      # the last is always told
    if any(two - one < steps * _LEAST_SHARE for one, two in pairwise(inner)):
        yield f"updates are 0.5 % of {steps} steps apart: {inner}"


def _order(told: _Told) -> Iterator[str]:
    """The state first, then the progress; a picture comes last, or with metadata between the two."""
    for update in told.updates:
        state, picture = update.before, update.after
        if told.expected.previews == _WITH_METADATA:
            state, picture = update.before[:1], update.before[1:]
        if _kind(state[-1] if state else None) != "progress_state":
            yield f"progress_state comes before progress {update.value}"
        elif not _stands_at(_data(state[-1])["nodes"].get(told.expected.node), update.data):
            yield f"progress_state says the same as progress {update.value}"
        if told.expected.previews is not None:
            yield from _picture(picture[0] if picture else None, update.value, told.expected)


def _picture(frame: Message | None, value: Any, expected: Expected) -> Iterator[str]:
    if not isinstance(frame, bytes) or _event(frame) != expected.previews:
        yield f"a picture (binary {expected.previews}) goes with progress {value}"
        return
    head = 8 if expected.previews == _OLD else 8 + int.from_bytes(frame[4:8], "big")
    if not frame[head:].startswith(_JPEG):
        yield f"previews are JPEG: at {value}"
        return
    size = Image.open(BytesIO(frame[head:])).size
    if size != expected.size:
        yield f"previews are {expected.size}: {size} at {value}"


def _no_other_pictures(told: _Told) -> Iterator[str]:
    events = [_event(message) for message in told.messages if isinstance(message, bytes)]
    wrong = sorted({event for event in events if event != told.expected.previews})
    if wrong:
        yield f"no other binary messages: {wrong}"


def _states(told: _Told) -> Iterator[str]:
    """Each state repeats what was begun before; a node begins at 0.0 of 1.0 and ends at max of max."""
    for before, after in pairwise(told.states()):
        if not before.keys() <= after.keys():
            yield f"progress_state is cumulative: {sorted(before)} before {sorted(after)}"
    sampler = [state[told.expected.node] for state in told.states() if told.expected.node in state]
    first, last = (f"{each['state']} {each['value']!r}/{each['max']!r}" for each in (sampler[0], sampler[-1]))
    if first != "running 0.0/1.0":
        yield f"a node begins at running 0.0/1.0: {first}"
    if last != f"finished {told.expected.steps}/{told.expected.steps}":
        yield f"a sampler ends at finished {told.expected.steps}/{told.expected.steps}: {last}"


def _frame_of_job(told: _Told) -> Iterator[str]:
    """A job begins with execution_start and execution_cached, and ends with success, status and executing null."""
    kinds = [_kind(message) for message in told.messages]
    begin, end = ["execution_start", "execution_cached"], ["execution_success", "status", "executing"]
    start = kinds.index("execution_start") if "execution_start" in kinds else 0
    if kinds[start:start + 2] != begin:
        yield f"a job begins with {', '.join(begin)}: {', '.join(kinds[start:start + 2])}"
    if kinds[-3:] != end or _data(told.messages[-1]).get("node") is not None:
        yield f"a job ends with {', '.join(end)}: {', '.join(kinds[-3:])}"


_RULES = (_counts, _throttle, _order, _no_other_pictures, _states, _frame_of_job)


def _stands_at(node: Any, progress: dict[str, Any]) -> bool:
    wanted = {"state": "running", "value": progress.get("value"), "max": progress.get("max")}
    return isinstance(node, dict) and {name: node.get(name) for name in wanted} == wanted


def _kind(message: Message | None) -> str:
    return str(message.get("type")) if isinstance(message, dict) else ""


def _data(message: Message) -> dict[str, Any]:
    return dict(message["data"]) if isinstance(message, dict) else {}


def _event(frame: bytes) -> int:
    (event,) = struct.unpack(">I", frame[:4])
    return int(event)
