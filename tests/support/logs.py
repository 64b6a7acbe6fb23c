"""Logs made by hand: each function makes an event, or the few that belong together; :func:`log` numbers them.

``on`` is an instance's name, ``at`` a simulated moment in milliseconds.  Where no prompt id is given, it is
``JOB@INSTANCE``, so that ``submitted("j1", on="a")`` and ``finished("j1", on="a")`` belong together.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias, Union

from msgspec.structs import replace

from comfyfarm.events import (
    Configured,
    Delivered,
    Draining,
    Event,
    Exchanged,
    Failed,
    FaultArmed,
    FaultFired,
    Finished,
    FrameSent,
    Frozen,
    Healed,
    HistoryDeleted,
    InterruptAsked,
    Interrupted,
    ModelLoaded,
    ModelUnloaded,
    PromptRefused,
    QueueDeleted,
    Refusing,
    Reset,
    ServerReady,
    ServerStarted,
    ServerStopped,
    SettingsChanged,
    SocketClosed,
    SocketOpened,
    Started,
    Submitted,
    Succeeded,
    Taken,
    Thawed,
    Work,
    Written,
)

__all__ = [
    "Piece",
    "answered",
    "armed",
    "asked",
    "configured",
    "crashed",
    "delivered",
    "draining",
    "farm",
    "fetched",
    "finished",
    "fired",
    "forgot_history",
    "frozen",
    "healed",
    "interrupt",
    "loaded",
    "log",
    "ran",
    "ready",
    "refused",
    "refusing",
    "rejected",
    "reset",
    "seen",
    "set_to",
    "showed",
    "socket_closed",
    "socket_opened",
    "started",
    "submitted",
    "taken",
    "taken_out",
    "thawed",
    "unloaded",
    "written",
]

Piece: TypeAlias = Union[Event, Iterable["Piece"]]  # noqa: UP007 (refers to itself)
NO_WORK = Work()


def log(*pieces: Piece) -> list[Event]:
    """Events in the order of their moments, at one moment as they stand here, numbered from 1."""
    events = sorted(_flat(pieces), key=lambda each: each.at_ms)
    return [replace(event, seq=seq) for seq, event in enumerate(events, 1)]


def _flat(pieces: Iterable[Piece]) -> Iterable[Event]:
    for piece in pieces:
        if isinstance(piece, Event):
            yield piece
        else:
            yield from _flat(piece)


def _id(job: str, on: str, prompt_id: str | None) -> str:
    return f"{job}@{on}" if prompt_id is None else prompt_id


# The farm and its instances.


def configured(*instances: str | dict[str, Any], seed: int = 1, at: int = 0) -> Event:
    """The first event of a log: instances by name, or as the tables of a configuration."""
    tables = [{"name": each} if isinstance(each, str) else each for each in instances]
    return Configured(at_ms=at, config={"farm": {"seed": seed}, "instance": tables})


def farm(*instances: str | dict[str, Any]) -> list[Event]:
    """The beginning of most logs: configured, and every instance ready at moment 0."""
    names = [each if isinstance(each, str) else each["name"] for each in instances]
    return [configured(*instances), *(ready(each, at=0) for each in names)]


def ready(on: str, *, at: int, epoch: int = 1) -> Event:
    """An instance has booted."""
    return ServerReady(at_ms=at, instance=on, epoch=epoch)


def started(on: str, *, at: int, epoch: int = 2) -> Event:
    """A stopped instance begins a new epoch; it is :func:`ready` later."""
    return ServerStarted(at_ms=at, instance=on, epoch=epoch)


def crashed(on: str, *, at: int, lost: Iterable[str] = (), epoch: int = 1, **more: Any) -> Event:
    """A process died.

    :param lost: logical jobs, or prompt ids (with an ``@``).
    :param more: for :class:`ServerStopped`.
    """
    ids = tuple(each if "@" in each else f"{each}@{on}" for each in lost)
    return ServerStopped(at_ms=at, instance=on, epoch=epoch, **{"reason": "crashed", "lost": ids, **more})


def set_to(on: str, *, at: int, **settings: Any) -> Event:
    """An instance's settings were changed."""
    return SettingsChanged(at_ms=at, instance=on, epoch=1, settings=settings)


def draining(on: str, *, at: int, ends: bool = False) -> Event:
    """An instance shall get no new work, or some again."""
    return Draining(at_ms=at, instance=on, epoch=1, on=not ends)


def frozen(on: str, *, at: int) -> Event:
    """An instance answers nobody."""
    return Frozen(at_ms=at, instance=on, epoch=1, worker=True)


def thawed(on: str, *, at: int) -> Event:
    """A frozen instance goes on."""
    return Thawed(at_ms=at, instance=on, epoch=1)


def refusing(on: str, *, at: int, ends: bool = False) -> Event:
    """An instance takes no new connection, or takes them again."""
    return Refusing(at_ms=at, instance=on, epoch=1, on=not ends)


def reset(on: str, *, at: int) -> Event:
    """An instance forgot all its jobs."""
    return Reset(at_ms=at, instance=on, epoch=1, files=False)


def loaded(on: str, model: str, *, at: int, size_bytes: int = 1, job: str = "", folder: str = "checkpoints") -> Event:
    """A model came into memory, for a job where one is named."""
    what: dict[str, Any] = {"folder": folder, "name": model, "size_bytes": size_bytes}
    return ModelLoaded(at_ms=at, instance=on, epoch=1, prompt_id=f"{job}@{on}" if job else None, **what)


def unloaded(on: str, model: str, *, at: int, size_bytes: int = 1, folder: str = "checkpoints") -> Event:
    """A model made room for another."""
    what: dict[str, Any] = {"folder": folder, "name": model, "size_bytes": size_bytes}
    return ModelUnloaded(at_ms=at, instance=on, epoch=1, reason="room", **what)


# Faults.


def armed(fault_id: str, *, on: Iterable[str], at: int = 0, do: str = "crash") -> Event:
    """A fault may strike these instances."""
    return FaultArmed(at_ms=at, id=fault_id, fault={"id": fault_id, "do": do}, on=tuple(on))


def fired(fault_id: str, *, on: str, at: int, do: str = "crash", job: str = "", **facts: Any) -> Event:
    """A fault struck.

    :param facts: for :class:`FaultFired`.
    """
    prompt_id = f"{job}@{on}" if job else None
    whole = {"phase": "process", "prompt_id": prompt_id, **facts}
    return FaultFired(at_ms=at, instance=on, epoch=1, id=fault_id, do=do, job=job, **whole)


def healed(*, at: int) -> Event:
    """The farm was healed."""
    return Healed(at_ms=at)


# A job.


def submitted(
    job: str,
    *,
    on: str,
    at: int,
    prompt_id: str | None = None,
    client: Any = "c",
    number: float = 0,
    epoch: int = 1,
    remaining: int = 1,
) -> Event:
    """A prompt was taken on; whether the client heard of it is :func:`answered`."""
    return Submitted(
        at_ms=at,
        instance=on,
        epoch=epoch,
        prompt_id=_id(job, on, prompt_id),
        number=number,
        job=job,
        client_id=client,
        outputs=("9",),
        queue_remaining=remaining,
    )


def answered(
    job: str,
    *,
    on: str,
    at: int,
    status: int = 200,
    prompt_id: str | None = None,
    client: str | None = "c",
    began: int | None = None,
    epoch: int = 1,
    **more: Any,
) -> Event:
    """A ``POST /prompt`` that was taken on was answered; 0: the client got no answer.

    :param began: when the request came; at once where not given.
    :param more: for :class:`Exchanged`.
    """
    whole: dict[str, Any] = {"prompt_id": _id(job, on, prompt_id), "job": job, "client_id": client, **more}
    whole["began_ms"] = at if began is None else began
    return Exchanged(at_ms=at, instance=on, epoch=epoch, method="POST", path="/prompt", status=status, **whole)


def rejected(job: str, *, on: str, at: int, status: int, **more: Any) -> Event:
    """A ``POST /prompt`` came to nothing before it was looked at: 413, 429, 500, 503; 0 where it was cut off.

    :param more: for :func:`answered`: ``began``, ``client``, ``retry_after_ms``.
    """
    return replace(answered(job, on=on, at=at, status=status, **more), prompt_id=None)


def refused(job: str, *, on: str, at: int, missing: Iterable[str] = (), **more: Any) -> list[Event]:
    """A ``POST /prompt`` was looked at, and answered 400.

    :param more: for :func:`rejected`: ``began``, and ``status=0`` where the answer never came.
    """
    what: dict[str, Any] = {"error": "prompt_outputs_failed_validation", "missing": tuple(missing)}
    refusal = PromptRefused(at_ms=at, instance=on, epoch=1, job=job, client_id="c", **what)
    return [refusal, rejected(job, on=on, at=at, **{"status": 400, **more})]


def taken(job: str, *, on: str, at: int, prompt_id: str | None = None, epoch: int = 1) -> list[Event]:
    """A job left the queue, and its run began."""
    whole: dict[str, Any] = {"at_ms": at, "instance": on, "epoch": epoch, "prompt_id": _id(job, on, prompt_id)}
    return [Taken(**whole, client_id="c", queue_remaining=1), Started(**whole)]


def written(job: str, *, on: str, at: int, name: str, prompt_id: str | None = None) -> Event:
    """A job wrote a picture."""
    whole = _id(job, on, prompt_id)
    return Written(at_ms=at, instance=on, epoch=1, prompt_id=whole, node="9", folder="output", subfolder="", name=name)


def finished(
    job: str,
    *,
    on: str,
    at: int,
    ends: str = "success",
    prompt_id: str | None = None,
    error: str = "RuntimeError",
    work: Work = NO_WORK,
    epoch: int = 1,
) -> list[Event]:
    """A run's end.

    :param ends: ``success``, ``error`` or ``interrupted``.
    """
    whole: dict[str, Any] = {"at_ms": at, "instance": on, "epoch": epoch, "prompt_id": _id(job, on, prompt_id)}
    last: dict[str, Event] = {
        "success": Succeeded(**whole),
        "error": Failed(**whole, node="9", error={"exception_type": error}),
        "interrupted": Interrupted(**whole, node="9", class_type="SaveImage", executed=()),
    }
    status = "success" if ends == "success" else "error"
    return [last[ends], Finished(**whole, status=status, queue_remaining=0, work=work)]


def ran(
    job: str,
    *,
    on: str,
    at: int,
    until: int,
    begins: int | None = None,
    ends: str = "success",
    file: str = "",
    client: str | None = "c",
    **whole: Any,
) -> list[Event]:
    """A job from its submission to its end, answered at once.

    :param client: the client id.
    :param begins: when it is taken from the queue; at once where not given.
    :param file: the name of the picture that it writes just before its end; empty for none.
    :param whole: ``prompt_id`` and ``epoch``, and ``work`` for the end.
    """
    last = {key: whole.pop(key) for key in ("work", "error") if key in whole}
    events = [submitted(job, on=on, at=at, client=client, **whole), answered(job, on=on, at=at, client=client, **whole)]
    events += taken(job, on=on, at=at if begins is None else begins, **whole)
    if file:
        events.append(written(job, on=on, at=until, name=file, prompt_id=whole.get("prompt_id")))
    return events + finished(job, on=on, at=until, ends=ends, **whole, **last)


def taken_out(job: str, *, on: str, at: int) -> Event:
    """A client took a waiting job out of the queue."""
    return QueueDeleted(at_ms=at, instance=on, epoch=1, prompt_id=f"{job}@{on}", queue_remaining=0, last=True)


def interrupt(*, on: str, at: int, hit: str | None = None, meant: str | None = None, job: str = "") -> Event:
    """A client asked for a job to be stopped.

    :param hit: the logical job that will stop, or the prompt id.
    :param meant: the logical job whose prompt id is named, or the prompt id; ``None``: whichever runs.
    :param job: the logical job that the client says it means.
    """
    ids = [each if each is None or "@" in each else f"{each}@{on}" for each in (meant, hit)]
    return InterruptAsked(at_ms=at, instance=on, epoch=1, prompt_id=ids[0], hit=ids[1], job=job)


# What clients ask and are shown, and what comes of it.


def asked(path: str, *, on: str, at: int, status: int = 200, size_bytes: int = 100, **more: Any) -> Event:
    """A ``GET``.

    :param more: for :class:`Exchanged`.
    """
    whole: dict[str, Any] = {"method": "GET", "size_bytes": size_bytes, "began_ms": at, **more}
    return Exchanged(at_ms=at, instance=on, epoch=1, path=path, status=status, **whole)


def seen(job: str, *, on: str, at: int, prompt_id: str | None = None) -> Event:
    """A client read a job's history entry."""
    return asked(f"/history/{_id(job, on, prompt_id)}", on=on, at=at)


def fetched(name: str, *, on: str, at: int) -> Event:
    """A client got a picture from ``output``."""
    return asked("/view", on=on, at=at, query=f"filename={name}&type=output&subfolder=")


def forgot_history(job: str, *, on: str, at: int) -> Event:
    """A client removed a job's history entry."""
    return HistoryDeleted(at_ms=at, instance=on, epoch=1, prompt_ids=(f"{job}@{on}",))


def showed(remaining: int, *, on: str, at: int, to: Iterable[str] = ("c",)) -> Event:
    """A ``status`` message told clients how long the queue is."""
    return FrameSent(at_ms=at, instance=on, epoch=1, type="status", to=tuple(to), shown=remaining)


def socket_opened(client: str = "c", *, on: str, at: int) -> Event:
    """A websocket was opened."""
    return SocketOpened(at_ms=at, instance=on, epoch=1, client_id=client)


def socket_closed(client: str = "c", *, on: str, at: int) -> Event:
    """A websocket is gone."""
    return SocketClosed(at_ms=at, instance=on, epoch=1, client_id=client, reason="closed")


def delivered(job: str, *, at: int, on: str = "", **more: Any) -> Event:
    """The system under test says that it has handed over a result.

    :param more: for :class:`Delivered`.
    """
    return Delivered(at_ms=at, instance=on, job=job, **more)
