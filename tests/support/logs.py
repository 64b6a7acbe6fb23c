"""Functions that make events, or groups of events, for logs in tests; :func:`log` numbers them.

``on`` is the name of an instance, ``at`` a simulated time in milliseconds.  The default prompt id is ``JOB@INSTANCE``,
so that ``submitted("j1", on="a")`` and ``finished("j1", on="a")`` concern the same attempt.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias, Union

from msgspec.structs import replace

from comfyfarm import events
from comfyfarm.events import Event, Work
from comfyfarm.events.orders import DeliveryMode, OrderState

Piece: TypeAlias = Union[Event, Iterable["Piece"]]  # noqa: UP007 (refers to itself)
NO_WORK = Work()


def log(*pieces: Piece) -> list[Event]:
    """Return the events sorted by time, those at the same time in the order of the arguments, numbered from 1."""
    in_order = sorted(_flat(pieces), key=lambda event: event.at_ms)
    return [replace(event, seq=seq) for seq, event in enumerate(in_order, 1)]


def _flat(pieces: Iterable[Piece]) -> Iterable[Event]:
    for piece in pieces:
        if isinstance(piece, Event):
            yield piece
        else:
            yield from _flat(piece)


def _id(job: str, on: str, prompt_id: str | None) -> str:
    return f"{job}@{on}" if prompt_id is None else prompt_id


# The farm and its instances.


def configured(
    *instances: str | dict[str, Any], seed: int = 1, at: int = 0, delivery: DeliveryMode | None = None
) -> Event:
    """Return the first event of a log; instances are names or tables of a configuration."""
    tables = [{"name": instance} if isinstance(instance, str) else instance for instance in instances]
    settings = {"seed": seed} if delivery is None else {"seed": seed, "delivery": delivery}
    return events.Configured(at_ms=at, config={"farm": settings, "instance": tables})


def farm(*instances: str | dict[str, Any], delivery: DeliveryMode | None = None) -> list[Event]:
    """Return the beginning of most logs: the configuration, and all instances ready at time 0."""
    names = [instance if isinstance(instance, str) else instance["name"] for instance in instances]
    return [configured(*instances, delivery=delivery), *(ready(name, at=0) for name in names)]


def ready(on: str, *, at: int, epoch: int = 1, **more: Any) -> Event:
    """A process accepts connections.

    :param more: for :class:`ServerReady`.
    """
    return events.ServerReady(at_ms=at, instance=on, epoch=epoch, **more)


def started(on: str, *, at: int, epoch: int = 2) -> Event:
    """A stopped instance started a new process; :func:`ready` follows."""
    return events.ServerStarted(at_ms=at, instance=on, epoch=epoch)


def crashed(on: str, *, at: int, lost: Iterable[str] = (), epoch: int = 1, **more: Any) -> Event:
    """A process crashed.

    :param lost: logical jobs, or prompt ids (with an ``@``).
    :param more: for :class:`ServerStopped`.
    """
    ids = tuple(job if "@" in job else f"{job}@{on}" for job in lost)
    return events.ServerStopped(at_ms=at, instance=on, epoch=epoch, **{"reason": "crashed", "lost": ids, **more})


def set_to(on: str, *, at: int, **settings: Any) -> Event:
    return events.SettingsChanged(at_ms=at, instance=on, epoch=1, settings=settings)


def uploaded(on: str, *, at: int, name: str = "in.png") -> Event:
    return events.Uploaded(at_ms=at, instance=on, epoch=1, folder="input", subfolder="", name=name)


def farm_late(*, since: int, until: int) -> Event:
    """The farm itself was late, all that time."""
    return events.FarmLate(at_ms=until, since_ms=since, late_ms=until - since)


def draining(on: str, *, at: int, ends: bool = False) -> Event:
    """Drain an instance, or end that."""
    return events.Draining(at_ms=at, instance=on, epoch=1, on=not ends)


def frozen(on: str, *, at: int) -> Event:
    return events.Frozen(at_ms=at, instance=on, epoch=1, worker=True)


def thawed(on: str, *, at: int) -> Event:
    return events.Thawed(at_ms=at, instance=on, epoch=1)


def refusing(on: str, *, at: int, ends: bool = False) -> Event:
    return events.Refusing(at_ms=at, instance=on, epoch=1, on=not ends)


def reset(on: str, *, at: int) -> Event:
    return events.Reset(at_ms=at, instance=on, epoch=1, files=False)


def loaded(on: str, model: str, *, at: int, size_bytes: int = 1, job: str = "", folder: str = "checkpoints") -> Event:
    file: dict[str, Any] = {"folder": folder, "name": model, "size_bytes": size_bytes}
    return events.ModelLoaded(at_ms=at, instance=on, epoch=1, prompt_id=f"{job}@{on}" if job else None, **file)


def unloaded(on: str, model: str, *, at: int, size_bytes: int = 1, folder: str = "checkpoints") -> Event:
    file: dict[str, Any] = {"folder": folder, "name": model, "size_bytes": size_bytes}
    return events.ModelUnloaded(at_ms=at, instance=on, epoch=1, reason="room", **file)


# Faults.


def armed(fault_id: str, *, on: Iterable[str], at: int = 0, do: str = "crash") -> Event:
    return events.FaultArmed(at_ms=at, id=fault_id, fault={"id": fault_id, "do": do}, on=tuple(on))


def fired(fault_id: str, *, on: str, at: int, do: str = "crash", job: str = "", **facts: Any) -> Event:
    """A fault fired.

    :param facts: for :class:`FaultFired`.
    """
    fields = {"phase": "process", "prompt_id": f"{job}@{on}" if job else None, **facts}
    return events.FaultFired(at_ms=at, instance=on, epoch=1, id=fault_id, do=do, job=job, **fields)


def healed(*, at: int) -> Event:
    return events.Healed(at_ms=at)


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
    """A prompt was accepted; the response is :func:`answered`."""
    return events.Submitted(
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
    """The exchange of an accepted ``POST /prompt`` ended.

    :param status: 0 if the client received no response.
    :param began: when the request arrived; ``None`` for ``at``.
    :param more: for :class:`Exchanged`.
    """
    fields: dict[str, Any] = {"prompt_id": _id(job, on, prompt_id), "job": job, "client_id": client, **more}
    fields["began_ms"] = at if began is None else began
    return events.Exchanged(at_ms=at, instance=on, epoch=epoch, method="POST", path="/prompt", status=status, **fields)


def rejected(job: str, *, on: str, at: int, status: int, **more: Any) -> Event:
    """A ``POST /prompt`` failed before validation: status 413, 429, 500, 503, or 0 if the connection was cut.

    :param more: for :func:`answered`: ``began``, ``client``, ``retry_after_ms``.
    """
    return replace(answered(job, on=on, at=at, status=status, **more), prompt_id=None)


def refused(
    job: str,
    *,
    on: str,
    at: int,
    missing: Iterable[str] = (),
    error: str = "prompt_outputs_failed_validation",
    **more: Any,
) -> list[Event]:
    """A ``POST /prompt`` was rejected by validation, with status 400.

    :param error: the type of the refusal.
    :param more: for :func:`rejected`: ``began``, and ``status=0`` if the client received no response.
    """
    facts: dict[str, Any] = {"error": error, "missing": tuple(missing)}
    refusal = events.PromptRefused(at_ms=at, instance=on, epoch=1, job=job, client_id="c", **facts)
    return [refusal, rejected(job, on=on, at=at, **{"status": 400, **more})]


def taken(job: str, *, on: str, at: int, prompt_id: str | None = None, epoch: int = 1) -> list[Event]:
    """The worker took a job from the queue and started it."""
    common: dict[str, Any] = {"at_ms": at, "instance": on, "epoch": epoch, "prompt_id": _id(job, on, prompt_id)}
    return [events.Taken(**common, client_id="c", queue_remaining=1), events.Started(**common)]


def written(job: str, *, on: str, at: int, name: str, prompt_id: str | None = None, size_bytes: int = 0) -> Event:
    common: dict[str, Any] = {"at_ms": at, "instance": on, "epoch": 1, "prompt_id": _id(job, on, prompt_id)}
    return events.Written(**common, node="9", folder="output", subfolder="", name=name, size_bytes=size_bytes)


def file_cut(job: str, *, on: str, at: int, name: str, size_bytes: int) -> Event:
    """A fault cut a job's file on the disk."""
    common: dict[str, Any] = {"at_ms": at, "instance": on, "epoch": 1, "prompt_id": _id(job, on, None)}
    return events.FileCut(**common, node="9", folder="output", subfolder="", name=name, size_bytes=size_bytes)


def picture_sent(job: str, *, on: str, at: int, image_type: str = "image/png") -> Event:
    """A node sent a picture over the websocket; :func:`frame_sent` follows if a client is there."""
    preview = events.Preview(64, 64, image_type)
    return events.PictureSent(
        at_ms=at, instance=on, epoch=1, prompt_id=_id(job, on, None), node="9", value=0, max=1, preview=preview
    )


def frame_sent(kind: str, job: str, *, on: str, at: int, to: Iterable[str] = ("c",), **more: Any) -> Event:
    """A websocket message about a job was sent.

    :param more: for :class:`FrameSent`.
    """
    common: dict[str, Any] = {"at_ms": at, "instance": on, "epoch": 1, "prompt_id": _id(job, on, None)}
    return events.FrameSent(**common, type=kind, to=tuple(to), **more)


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
    """The execution of a job ended.

    :param ends: ``success``, ``error`` or ``interrupted``.
    """
    common: dict[str, Any] = {"at_ms": at, "instance": on, "epoch": epoch, "prompt_id": _id(job, on, prompt_id)}
    last: dict[str, Event] = {
        "success": events.Succeeded(**common),
        "error": events.Failed(**common, node="9", error={"exception_type": error}),
        "interrupted": events.Interrupted(**common, node="9", class_type="SaveImage", executed=()),
    }
    status = "success" if ends == "success" else "error"
    return [last[ends], events.Finished(**common, status=status, queue_remaining=0, work=work)]


def ran(
    job: str,
    *,
    on: str,
    at: int,
    until: int,
    begins: int | None = None,
    ends: str = "success",
    file: str = "",
    file_bytes: int = 0,
    client: str | None = "c",
    **more: Any,
) -> list[Event]:
    """A job ran, from its submission to its end.

    :param begins: when it is taken from the queue; ``None`` for ``at``.
    :param file: the name of the picture that it writes before its end; empty for none.
    :param more: ``prompt_id`` and ``epoch``, and ``work`` and ``error`` for :func:`finished`.
    """
    last = {key: more.pop(key) for key in ("work", "error") if key in more}
    begin = {"on": on, "at": at, "client": client, **more}
    job_events = [submitted(job, **begin), answered(job, **begin)]
    job_events += taken(job, on=on, at=at if begins is None else begins, **more)
    if file:
        prompt_id = more.get("prompt_id")
        job_events.append(written(job, on=on, at=until, name=file, prompt_id=prompt_id, size_bytes=file_bytes))
    return job_events + finished(job, on=on, at=until, ends=ends, **more, **last)


def broke(
    job: str, *, on: str, at: int, error: str = "TypeError: no", raised_at: str = "sim/memory.py:47", request: str = ""
) -> list[Event]:
    """An error of comfyfarm's own, in a job, which ends with it, or at a request."""
    facts: dict[str, Any] = {"error": error, "raised_at": raised_at, "request": request, "job": job}
    broken = events.InternalError(at_ms=at, instance=on, epoch=1, prompt_id=f"{job}@{on}" if job else None, **facts)
    return [broken, *(finished(job, on=on, at=at, ends="error") if job else ())]


def taken_out(job: str, *, on: str, at: int) -> Event:
    return events.QueueDeleted(at_ms=at, instance=on, epoch=1, prompt_id=f"{job}@{on}", queue_remaining=0, last=True)


def interrupt(*, on: str, at: int, hit: str | None = None, meant: str | None = None, job: str = "") -> Event:
    """A client sent an interrupt.

    :param hit: the logical job, or the prompt id, that will stop.
    :param meant: the logical job, or the prompt id, in the request; ``None`` for the running one.
    :param job: the logical job in the request's header.
    """
    ids = [name if name is None or "@" in name else f"{name}@{on}" for name in (meant, hit)]
    return events.InterruptAsked(at_ms=at, instance=on, epoch=1, prompt_id=ids[0], hit=ids[1], job=job)


# Other requests and messages.


def asked(path: str, *, on: str, at: int, status: int = 200, size_bytes: int = 100, **more: Any) -> Event:
    """A ``GET``.

    :param more: for :class:`Exchanged`.
    """
    fields: dict[str, Any] = {"method": "GET", "size_bytes": size_bytes, "began_ms": at, **more}
    return events.Exchanged(at_ms=at, instance=on, epoch=1, path=path, status=status, **fields)


def seen(job: str, *, on: str, at: int, prompt_id: str | None = None) -> Event:
    """A client requested a job's history entry."""
    return asked(f"/history/{_id(job, on, prompt_id)}", on=on, at=at)


def fetched(name: str, *, on: str, at: int, **more: Any) -> Event:
    """A client requested a file.

    :param more: for :func:`asked`.
    """
    return asked("/view", on=on, at=at, query=f"filename={name}&type=output&subfolder=", **more)


def forgot_history(job: str, *, on: str, at: int) -> Event:
    return events.HistoryDeleted(at_ms=at, instance=on, epoch=1, prompt_ids=(f"{job}@{on}",))


def showed(remaining: int, *, on: str, at: int, to: Iterable[str] = ("c",)) -> Event:
    """A ``status`` message with the length of the queue was sent to clients."""
    return events.FrameSent(at_ms=at, instance=on, epoch=1, type="status", to=tuple(to), shown=remaining)


def socket_opened(client: str = "c", *, on: str, at: int) -> Event:
    return events.SocketOpened(at_ms=at, instance=on, epoch=1, client_id=client)


def socket_closed(client: str = "c", *, on: str, at: int) -> Event:
    return events.SocketClosed(at_ms=at, instance=on, epoch=1, client_id=client, reason="closed")


def delivered(job: str, *, at: int, on: str = "", **more: Any) -> Event:
    """The system under test reported a delivered result.

    :param more: for :class:`Delivered`.
    """
    return events.Delivered(at_ms=at, instance=on, job=job, **more)


def order(job: str, *, at: int, state: OrderState = "asked", when: int | None = None, why: str = "") -> Event:
    """The state of a user's order was reported.

    :param when: the time of it; ``None`` for ``at``.
    """
    return events.OrderReported(at_ms=at, job=job, state=state, when_ms=when, why=why)


def trial(name: str = "t", *, at: int = 0, jobs: int | None = None, delivery: DeliveryMode | None = None) -> Event:
    return events.TrialBegan(at_ms=at, name=name, jobs=jobs, delivery=delivery)
