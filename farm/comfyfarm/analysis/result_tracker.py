"""The results of jobs: the files and pictures that attempts made, and what clients received of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from sys import intern
from urllib.parse import parse_qsl

from comfyfarm.analysis.forgotten import HashSet
from comfyfarm.analysis.instance_jobs import InstanceJobs, ResultFile, file_of, route_of
from comfyfarm.analysis.job_files import BrokenFetch, JobFile
from comfyfarm.analysis.logical_jobs import Attempt, with_another
from comfyfarm.events import (
    Configured,
    Exchanged,
    FileCut,
    FrameSent,
    HistoryDeleted,
    PictureSent,
    SocketClosed,
    SocketOpened,
    Written,
)
from comfyfarm.events.handler import EventHandler, on

_RESULT_TYPES = frozenset({"executed", "binary-1", "binary-4"})
_IS_OTHER_PICTURE = ("preview", "channel")     # parameters of a view that answers with another picture than the file


@dataclass(eq=False)
class ResultTracker(EventHandler):
    """Follows the results of a :class:`~comfyfarm.analysis.job_tracker.JobTracker`'s attempts.

    :ivar instances: the tracker's, as is ``by_prompt_id``.
    :ivar forgotten_files: by instance and parts of their name, the files of attempts that are no longer kept.
    :ivar requests_files: somebody requested a job's file from an instance.
    :ivar requests_results: somebody requested a history entry or the state of a job, or opened a websocket.
    """

    instances: Mapping[str, InstanceJobs]
    by_prompt_id: Mapping[str, Sequence[Attempt]]
    forgotten_files: HashSet = field(default_factory=HashSet)
    requests_files: bool = False
    requests_results: bool = False
    _marks_results: bool = False

    @on(Configured)
    def _on_configured(self, event: Configured) -> None:
        self._marks_results = bool(event.version)

    # Files.

    @on(Written)
    def _on_written(self, event: Written) -> None:
        instance = self.instances[event.instance]
        if (attempt := instance.open_attempt(event.prompt_id)) is not None:
            folder, subfolder, name = intern(event.folder), intern(event.subfolder), intern(event.name)
            file = JobFile(attempt.instance, folder, subfolder, name, event.size_bytes)
            attempt.files = with_another(attempt.files, file)
            instance.files[folder, subfolder, name] = ResultFile(attempt, file)

    @on(FileCut)
    def _on_file_cut(self, event: FileCut) -> None:
        written = self.instances[event.instance].files.get((event.folder, event.subfolder, event.name))
        if written is not None:
            file = written.file
            file.is_cut = file.is_cut or not file.size_bytes or event.size_bytes < file.size_bytes

    @on("GET /history", "GET /jobs")
    def _on_results_requested(self, event: Exchanged) -> None:
        self.requests_results = True
        if event.status == 200 and not event.damage:
            self.instances[event.instance].count_reads(route_of(event.path))

    @on("GET /view")
    def _on_view(self, event: Exchanged) -> None:
        if route_of(event.path) != "/view":
            return
        key = file_of(event)
        self.requests_files = self.requests_files or key[0] != "input"
        written = self.instances[event.instance].files.get(key)
        is_elsewhere = written is None and event.status in {200, 206} and key[0] == "output"
        if is_elsewhere and not self.forgotten_files.has(event.instance, *key):
            # It is in a folder that instances share: another one wrote it.
            writers = (jobs.files[key] for jobs in self.instances.values() if key in jobs.files)
            written = max(writers, key=lambda written: written.attempt.seq, default=None)
        if written is not None:
            _count_fetch(written.attempt, written.file, event)

    @on(HistoryDeleted)
    def _on_history_deleted(self, event: HistoryDeleted) -> None:
        self.instances[event.instance].remove_from_history(event.prompt_ids)

    # Websockets.

    @on(PictureSent)
    def _on_picture_sent(self, event: PictureSent) -> None:
        if event.is_result:
            attempt = self.instances[event.instance].open_attempt(event.prompt_id)
            if attempt is not None:
                attempt.pictures += 1

    @on(FrameSent)
    def _on_frame_sent(self, event: FrameSent) -> None:
        if event.type not in _RESULT_TYPES or event.is_changed:
            return
        attempt = self._attempt_at(event.instance, event.prompt_id)
        if attempt is None or not (attempt.client_id is None or attempt.client_id in event.to):
            return
        if event.type == "executed":
            attempt.result_reads += 1
        elif event.is_result or (attempt.pictures and not self._marks_results):
            attempt.pictures_sent += 1

    def _attempt_at(self, instance: str, prompt_id: str | None) -> Attempt | None:
        """Return the open attempt under a prompt id, else the latest that ended under it: a message may be late."""
        if (attempt := self.instances[instance].open_attempt(prompt_id)) is not None:
            return attempt
        attempts = self.by_prompt_id.get(prompt_id or "", ())
        return next((attempt for attempt in reversed(attempts) if attempt.instance == instance), None)

    @on(SocketOpened, SocketClosed)
    def _on_socket_opened(self, event: SocketOpened | SocketClosed) -> None:
        self.requests_results = True
        for attempt in self.instances[event.instance].all_open():
            if attempt.client_id == event.client_id:
                attempt.is_socket_closed = isinstance(event, SocketClosed)


def _count_fetch(attempt: Attempt, file: JobFile, event: Exchanged) -> None:
    """Count a ``GET /view`` of a file for the attempt that wrote it, if its client has all of the file now."""
    if not file.is_cut and _is_whole(file, event):
        attempt.file_fetches, attempt.broken_fetch = attempt.file_fetches + 1, None
    else:
        attempt.broken_fetch = BrokenFetch(event.seq, event.at_ms, event.instance, file.name, _what_broke(file, event))


def _is_whole(file: JobFile, event: Exchanged) -> bool:
    if event.status == 200 and not event.damage:
        return True
    is_part = event.status in {200, 206} and event.damage != "changed"
    if not is_part or any(name in _IS_OTHER_PICTURE for name, _ in parse_qsl(event.query, keep_blank_values=True)):
        return False
    return file.receive(event.first_byte, event.size_bytes)


def _what_broke(file: JobFile, event: Exchanged) -> str:
    if event.status not in {200, 206}:
        return f"was {event.status}" if event.status else "never came"
    if event.damage == "changed":
        return "was not that file"
    return "was the file as a fault had cut it on the disk" if file.is_cut else "was only a part of it"
