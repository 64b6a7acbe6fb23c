"""The jobs API: queue and history as one list (docs/fidelity.md, "Jobs")."""

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from comfyfarm.sim.instance import Instance
from comfyfarm.sim.jobs import EndedJob, Job, Queue, workflow_id
from comfyfarm.versions import DEFAULT_BEHAVIOUR, Behaviour

_STATUSES = ("pending", "in_progress", "completed", "failed", "cancelled")
_PREVIEWABLE = ("images", "video", "gifs", "audio", "3d")
_SHAPES = (".obj", ".fbx", ".gltf", ".glb", ".usdz")
_DOCUMENTS = (".txt", ".md", ".json")
_LONGEST_TEXT = 1024
_JOBS_OF_A_STEP = 200       # some milliseconds


class BadQuery(Exception):
    """A query that ComfyUI answers with 400 and this text."""


@dataclass(frozen=True)
class JobQuery:
    """The filter, order and page of a list of jobs.

    :ivar limit: ``None`` for no limit.
    """

    statuses: tuple[str, ...] = _STATUSES
    workflow_id: str | None = None
    sort_by: str = "created_at"
    descending: bool = True
    limit: int | None = None
    offset: int = 0


def read_query(query: Mapping[str, str], behaviour: Behaviour = DEFAULT_BEHAVIOUR) -> JobQuery:
    """Parse the query of ``GET /api/jobs``.

    :raises BadQuery: if ComfyUI does not accept a value.
    """
    statuses = _STATUSES if behaviour.has_cancelled_jobs else _STATUSES[:-1]
    return JobQuery(
        statuses=_read_statuses(query.get("status"), statuses),
        workflow_id=query.get("workflow_id"),
        sort_by=_one_of(query, "sort_by", "created_at", "execution_duration"),
        descending=_one_of(query, "sort_order", "desc", "asc") == "desc",
        limit=_read_limit(query.get("limit")),
        offset=max(0, _read_integer("offset", query.get("offset", "0"))),
    )


def _read_statuses(text: str | None, valid: tuple[str, ...]) -> tuple[str, ...]:
    if not text:
        return valid
    statuses = [part.strip().lower() for part in text.split(",") if part.strip()]
    wrong = [status for status in statuses if status not in valid]
    if wrong:
        raise BadQuery(f"Invalid status value(s): {', '.join(wrong)}. Valid values: {', '.join(valid)}")
    return tuple(statuses)


def _one_of(query: Mapping[str, str], name: str, default: str, other: str) -> str:
    value = query.get(name, default).lower()
    if value not in (default, other):
        allowed = sorted((default, other)) if name == "sort_order" else (default, other)
        raise BadQuery(f"{name} must be '{allowed[0]}' or '{allowed[1]}'")
    return value


def _read_limit(text: str | None) -> int | None:
    if text is None:
        return None
    limit = _read_integer("limit", text)
    if limit <= 0:
        raise BadQuery("limit must be a positive integer")
    return limit


def _read_integer(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise BadQuery(f"{name} must be an integer") from None


Outputs = Mapping[str, Mapping[str, Any]]
"""By node, then by kind, a list of what the node showed."""


@dataclass(frozen=True)
class OutputRules:
    """The treatment of outputs by a server of a certain version."""

    behaviour: Behaviour = DEFAULT_BEHAVIOUR

    def count(self, outputs: Outputs) -> int:
        return sum(self._counts(kind, item) for _, kind, item in _items(outputs))

    def count_previewable(self, outputs: Outputs) -> int | None:
        """Return the number of files that can be previewed; ``None`` if this version does not count them."""
        if not self.behaviour.counts_previewable:
            return None
        return sum(isinstance(item, dict) and _is_previewable(kind, item) for _, kind, item in _items(outputs))

    def preview(self, outputs: Outputs) -> dict[str, Any] | None:
        """Return the first previewable output in the output folder, else the first previewable one."""
        return min(self._previews(outputs), key=self._rank, default=None)

    def _rank(self, preview: Mapping[str, Any]) -> int:
        """Return 0 for a preview that comes before all others; of equal ones the first is taken."""
        is_saved = preview.get("type") == "output"
        if not self.behaviour.ranks_previews:
            return 0 if is_saved else 1
        if "content" in preview:
            return 3
        return 2 if preview["mediaType"] not in _PREVIEWABLE else 0 if is_saved else 1

    def _counts(self, kind: str, item: object) -> bool:
        if kind == "animated":
            return False
        if isinstance(item, str):
            return item.lower().endswith(_SHAPES) or (kind == "text" and self.behaviour.counts_texts)
        return isinstance(item, dict)

    def _previews(self, outputs: Outputs) -> Iterator[dict[str, Any]]:
        for node, kind, item in _items(outputs):
            if isinstance(item, dict) and (kind in _PREVIEWABLE or self._is_document(item)):
                yield {**item, "nodeId": node, "mediaType": kind}
            elif kind == "text" and isinstance(item, str) and self.behaviour.previews_texts:
                yield _text_preview(item, node)

    def _is_document(self, item: Mapping[str, Any]) -> bool:
        return self.behaviour.previews_documents and str(item.get("filename", "")).lower().endswith(_DOCUMENTS)


def _is_previewable(kind: str, item: Mapping[str, Any]) -> bool:
    name, file_format = str(item.get("filename", "")).lower(), str(item.get("format", ""))
    return (
        kind in (*_PREVIEWABLE, "text")
        or file_format.startswith(("video/", "audio/"))
        or name.endswith((*_SHAPES, *_DOCUMENTS))
    )


def _items(outputs: Outputs) -> Iterator[tuple[str, str, object]]:
    for node, ui in outputs.items():
        for kind, items in ui.items():
            yield from ((node, kind, item) for item in items)


def _text_preview(text: str, node: str) -> dict[str, Any]:
    preview: dict[str, Any] = {"content": text[:_LONGEST_TEXT]}
    if len(text) > _LONGEST_TEXT:
        preview["truncated"] = True
    return {**preview, "nodeId": node, "mediaType": "text"}


def list_jobs(instance: Instance, query: JobQuery, rules: OutputRules) -> Generator[None, None, dict[str, Any]]:
    """Return the body of ``GET /api/jobs``; each step looks at some of the jobs that there were at the first one."""
    found: list[tuple[int, dict[str, Any]]] = []
    for number, (order, item) in enumerate(_all_jobs(instance, rules), 1):
        if item["status"] in query.statuses and query.workflow_id in (None, item.get("workflow_id")):
            found.append((order, item))
        if number % _JOBS_OF_A_STEP == 0:
            yield
    key = _duration if query.sort_by == "execution_duration" else _created
    # Simulated jobs may be created in the same millisecond: then the order of their submission decides.
    found.sort(key=lambda pair: (key(pair[1]), pair[0]), reverse=query.descending)
    jobs = [item for _, item in found]
    end = len(jobs) if query.limit is None else query.offset + query.limit
    pagination = {"offset": query.offset, "limit": query.limit, "total": len(jobs), "has_more": end < len(jobs)}
    return {"jobs": jobs[query.offset : end], "pagination": pagination}


def find_job(instance: Instance, prompt_id: str, rules: OutputRules) -> dict[str, Any] | None:
    """Return the body of ``GET /api/jobs/{id}``, or ``None`` if there is no such job."""
    ended = instance.history.entries.get(prompt_id)
    if ended is not None:
        job, item, content = _read_ended(ended, rules)
        details = {"outputs": content["outputs"], "execution_status": content["status"]}
        return {**item, **details, "workflow": {"prompt": job.prompt, "extra_data": job.extra_data}}
    return next((item for job, item in _queued_jobs(instance.queue, rules) if job.prompt_id == prompt_id), None)


def _all_jobs(instance: Instance, rules: OutputRules) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield what is shown of each job, with the number of jobs that were accepted before it."""
    all_ended = list(instance.history.entries.values())
    yield from ((job.order, item) for job, item in _queued_jobs(instance.queue, rules))
    for ended in all_ended:
        _, item, _ = _read_ended(ended, rules)
        yield ended.order, item


def _queued_jobs(queue: Queue, rules: OutputRules) -> Iterator[tuple[Job, dict[str, Any]]]:
    if queue.running is not None:
        yield queue.running, _job_item(queue.running, "in_progress", rules, {})
    yield from ((job, _job_item(job, "pending", rules, {})) for job in queue.pending)


def _created(job: Mapping[str, Any]) -> int:
    return int(job.get("create_time") or 0)


def _duration(job: Mapping[str, Any]) -> int:
    return int(job.get("execution_end_time", 0)) - int(job.get("execution_start_time", 0))


def _job_item(job: Job, status: str, rules: OutputRules, outputs: Outputs, **more: Any) -> dict[str, Any]:
    item = {
        "id": job.prompt_id,
        "status": status,
        "priority": job.number,
        "create_time": job.extra_data.get("create_time"),
        "outputs_count": rules.count(outputs),
        "previewable_outputs_count": rules.count_previewable(outputs),
        "workflow_id": workflow_id(job.extra_data),
        **more,
    }
    return {key: value for key, value in item.items() if value is not None}


def _read_ended(ended: EndedJob, rules: OutputRules) -> tuple[Job, dict[str, Any], dict[str, Any]]:
    """Return an ended job, what is shown of it in a list, and its entry in the history."""
    content = ended.content()
    number, prompt_id, prompt, extra_data, outputs = content["prompt"]
    job, messages = Job(number, prompt_id, prompt, extra_data, outputs, name=""), content["status"]["messages"]
    times = {kind: data["timestamp"] for kind, data in messages}
    ends = {kind: data for kind, data in messages if kind not in ("execution_start", "execution_cached")}
    item = _job_item(
        job,
        _status(content["status"], rules.behaviour),
        rules,
        content["outputs"],
        execution_start_time=times.get("execution_start"),
        execution_end_time=next((data["timestamp"] for data in ends.values()), None),
        execution_error=ends.get("execution_error"),
        preview_output=rules.preview(content["outputs"]),
    )
    return job, item, content


def _status(status: Mapping[str, Any], behaviour: Behaviour) -> str:
    if status["completed"]:
        return "completed"
    is_interrupted = any(kind == "execution_interrupted" for kind, _ in status["messages"])
    return "cancelled" if behaviour.has_cancelled_jobs and is_interrupted else "failed"
