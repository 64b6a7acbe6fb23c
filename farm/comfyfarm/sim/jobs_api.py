"""The jobs API: queue and history as one list (docs/fidelity.md, "Jobs")."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from comfyfarm.sim.instance import Instance
from comfyfarm.sim.jobs.history import HistoryEntry
from comfyfarm.sim.jobs.queue import Job

_STATUSES = ("pending", "in_progress", "completed", "failed", "cancelled")


class BadQuery(Exception):
    """A query that ComfyUI answers with 400 and this text."""


@dataclass(frozen=True)
class JobQuery:
    """Which jobs to list.

    :ivar limit: ``None`` for no limit.
    """

    statuses: tuple[str, ...] = _STATUSES
    workflow_id: str | None = None
    sort_by: str = "created_at"
    descending: bool = True
    limit: int | None = None
    offset: int = 0


def read_query(query: Mapping[str, str]) -> JobQuery:
    """Read the query of ``GET /api/jobs``.

    :raises BadQuery: where a value is none that ComfyUI takes.
    """
    return JobQuery(
        statuses=_read_statuses(query.get("status")),
        workflow_id=query.get("workflow_id"),
        sort_by=_one_of(query, "sort_by", "created_at", "execution_duration"),
        descending=_one_of(query, "sort_order", "desc", "asc") == "desc",
        limit=_read_limit(query.get("limit")),
        offset=max(0, _read_integer("offset", query.get("offset", "0"))),
    )


def _read_statuses(given: str | None) -> tuple[str, ...]:
    if not given:
        return _STATUSES
    wanted = [each.strip().lower() for each in given.split(",") if each.strip()]
    wrong = [each for each in wanted if each not in _STATUSES]
    if wrong:
        raise BadQuery(f"Invalid status value(s): {', '.join(wrong)}. Valid values: {', '.join(_STATUSES)}")
    return tuple(wanted)


def _one_of(query: Mapping[str, str], name: str, default: str, other: str) -> str:
    given = query.get(name, default).lower()
    if given not in (default, other):
        allowed = sorted((default, other)) if name == "sort_order" else (default, other)
        raise BadQuery(f"{name} must be '{allowed[0]}' or '{allowed[1]}'")
    return given


def _read_limit(given: str | None) -> int | None:
    if given is None:
        return None
    limit = _read_integer("limit", given)
    if limit <= 0:
        raise BadQuery("limit must be a positive integer")
    return limit


def _read_integer(name: str, given: str) -> int:
    try:
        return int(given)
    except ValueError:
        raise BadQuery(f"{name} must be an integer") from None


def list_jobs(instance: Instance, query: JobQuery, rules: OutputRules) -> dict[str, Any]:
    """The body of ``GET /api/jobs``."""
    found = [(job, item) for job, item in _all_jobs(instance, rules) if _matches(item, query)]
    key = _duration if query.sort_by == "execution_duration" else _created
    # Simulated jobs may be created in the same millisecond: then the order of their submission decides.
    found.sort(key=lambda each: (key(each[1]), each[0].order), reverse=query.descending)
    jobs = [item for _, item in found]
    end = len(jobs) if query.limit is None else query.offset + query.limit
    pagination = {
        "offset": query.offset,
        "limit": query.limit,
        "total": len(jobs),
        "has_more": end < len(jobs),
    }
    return {"jobs": jobs[query.offset : end], "pagination": pagination}


def find_job(instance: Instance, prompt_id: str, rules: OutputRules) -> dict[str, Any] | None:
    """The body of ``GET /api/jobs/{id}``, or ``None`` where there is no such job."""
    entry = instance.history.entries.get(prompt_id)
    if entry is not None:
        details = {"outputs": entry.outputs, "execution_status": entry.status}
        workflow = {"prompt": entry.job.prompt, "extra_data": entry.job.extra_data}
        return {**_ended(entry, rules), **details, "workflow": workflow}
    return next((item for job, item in _all_jobs(instance, rules) if job.prompt_id == prompt_id), None)


def _all_jobs(instance: Instance, rules: OutputRules) -> Iterator[tuple[Job, dict[str, Any]]]:
    running = instance.queue.running
    if running is not None:
        yield running, _waiting(running, "in_progress")
    yield from ((job, _waiting(job, "pending")) for job in instance.queue.pending)
    yield from ((entry.job, _ended(entry, rules)) for entry in instance.history.entries.values())


def _matches(job: Mapping[str, Any], query: JobQuery) -> bool:
    right_workflow = query.workflow_id is None or job.get("workflow_id") == query.workflow_id
    return right_workflow and job["status"] in query.statuses


def _created(job: Mapping[str, Any]) -> int:
    return int(job.get("create_time") or 0)


def _duration(job: Mapping[str, Any]) -> int:
    return int(job.get("execution_end_time", 0)) - int(job.get("execution_start_time", 0))


def _waiting(job: Job, status: str) -> dict[str, Any]:
    item = {
        "id": job.prompt_id,
        "status": status,
        "priority": job.number,
        "create_time": job.extra_data.get("create_time"),
        "outputs_count": 0,
        "workflow_id": _workflow_id(job),
    }
    return {key: value for key, value in item.items() if value is not None}


def _ended(entry: HistoryEntry, rules: OutputRules) -> dict[str, Any]:
    times = {kind: data["timestamp"] for kind, data in entry.messages}
    ends = {kind: data for kind, data in entry.messages if kind not in ("execution_start", "execution_cached")}
    item = {
        **_waiting(entry.job, _status(entry)),
        "execution_start_time": times.get("execution_start"),
        "execution_end_time": next((data["timestamp"] for data in ends.values()), None),
        "execution_error": ends.get("execution_error"),
        "outputs_count": rules.count(entry.outputs),
        "preview_output": rules.preview(entry.outputs),
    }
    return {key: value for key, value in item.items() if value is not None}


def _status(entry: HistoryEntry) -> str:
    if entry.status_str == "success":
        return "completed"
    interrupted = any(kind == "execution_interrupted" for kind, _ in entry.messages)
    return "cancelled" if interrupted else "failed"


def _workflow_id(job: Job) -> Any:
    pnginfo = job.extra_data.get("extra_pnginfo")
    workflow = pnginfo.get("workflow") if isinstance(pnginfo, dict) else None
    return workflow.get("id") if isinstance(workflow, dict) else None


_PREVIEWABLE = ("images", "video", "gifs", "audio", "3d")
_SHAPES = (".obj", ".fbx", ".gltf", ".glb", ".usdz")
_DOCUMENTS = (".txt", ".md", ".json")
_LONGEST_TEXT = 1024

Outputs = Mapping[str, Mapping[str, Any]]
"""By node, what it showed: lists by kind."""


@dataclass(frozen=True)
class OutputRules:
    """How a server of a certain version looks at outputs.

    :ivar counts_texts: a text that a node shows counts.
    :ivar previews_documents: a file of text can stand for all.
    """

    counts_texts: bool = True
    previews_documents: bool = False

    def count(self, outputs: Outputs) -> int:
        """How many there are."""
        return sum(self._counts(kind, item) for _, kind, item in _items(outputs))

    def preview(self, outputs: Outputs) -> dict[str, Any] | None:
        """The first that can be shown and lies in the output folder, else the first that can be shown."""
        shown = list(self._shown(outputs))
        return next((each for each in shown if each.get("type") == "output"), shown[0] if shown else None)

    def _counts(self, kind: str, item: object) -> bool:
        if kind == "animated":
            return False
        if isinstance(item, str):
            return item.lower().endswith(_SHAPES) or (kind == "text" and self.counts_texts)
        return isinstance(item, dict)

    def _shown(self, outputs: Outputs) -> Iterator[dict[str, Any]]:
        for node, kind, item in _items(outputs):
            if isinstance(item, dict) and (kind in _PREVIEWABLE or self._is_document(item)):
                yield {**item, "nodeId": node, "mediaType": kind}
            elif kind == "text" and isinstance(item, str):
                yield _text(item, node)

    def _is_document(self, item: Mapping[str, Any]) -> bool:
        return self.previews_documents and str(item.get("filename", "")).lower().endswith(_DOCUMENTS)


def _items(outputs: Outputs) -> Iterator[tuple[str, str, object]]:
    for node, ui in outputs.items():
        for kind, items in ui.items():
            yield from ((node, kind, item) for item in items)


def _text(text: str, node: str) -> dict[str, Any]:
    short: dict[str, Any] = {"content": text[:_LONGEST_TEXT]}
    if len(text) > _LONGEST_TEXT:
        short["truncated"] = True
    return {**short, "nodeId": node, "mediaType": "text"}
