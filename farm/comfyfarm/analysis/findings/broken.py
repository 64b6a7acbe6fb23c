"""Defects in the bytes of a delivery, and their cause as far as the log shows it."""

from pathlib import PurePosixPath

from comfyfarm.analysis.findings.finding import moment
from comfyfarm.analysis.job_files import JobFile
from comfyfarm.analysis.job_tracker import JobTracker
from comfyfarm.analysis.logical_jobs import Delivery, LogicalJob

_PICTURES = frozenset({".apng", ".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})


def what_is_wrong(job: LogicalJob, delivery: Delivery, tracker: JobTracker) -> str:
    """Return why a delivery is not a whole picture, as a predicate; empty if it is one or its bytes are not known.

    A job may make other files than pictures.  Such a file, as a client encodes it again, cannot be checked.
    """
    content = delivery.content
    if content in {"", "picture"}:
        return ""
    if content == "preview":
        return f"is only a preview, of {delivery.size_bytes:,} bytes"
    if content == "empty":
        return "is empty"
    if content == "damaged":
        return f"is damaged: a picture of {delivery.size_bytes:,} bytes that cannot be decoded"
    files = [file for attempt in tracker.orders.possible_makers(job, delivery) for file in attempt.files]
    if content == "cut":
        return f"is cut: {_share(job, delivery, files, tracker)}"
    others = [file for file in files if PurePosixPath(file.name).suffix.lower() not in _PICTURES]
    if others and delivery.stamp_prompt_id:
        # With its stamp still in it, it is most likely as it was written.
        is_whole = any(file.size_bytes <= delivery.size_bytes for file in others)
        return "" if is_whole else f"is cut: {_share(job, delivery, others, tracker)}"
    if others and content in {"text", "data"}:
        return ""
    return f"is no picture but {content} of {delivery.size_bytes:,} bytes"


def _share(job: LogicalJob, delivery: Delivery, files: list[JobFile], tracker: JobTracker) -> str:
    size_bytes = delivery.size_bytes
    larger = [file for file in files if file.size_bytes > size_bytes]
    larger = [file for file in larger if file.name == delivery.file] or larger
    if len(larger) == 1:
        file = larger[0]
        return f"{size_bytes:,} of the {file.size_bytes:,} bytes of {file.name} from {file.instance}"
    for attempt in tracker.orders.possible_makers(job, delivery) if not files else ():
        _, whole_bytes = tracker.orders.pictures.get(attempt.instance, ("", 0))
        if whole_bytes > size_bytes:
            return f"{size_bytes:,} of the {whole_bytes:,} bytes of the picture of {attempt.instance}"
    return f"the first {size_bytes:,} bytes of a picture"


def cause_of(delivery: Delivery) -> str:
    """Return the request that explains a broken delivery: half a sentence; empty if the log does not show it."""
    fetch = delivery.broken_fetch
    if fetch is None:
        return ""
    return f"; the answer of {fetch.instance} to GET /view for {fetch.name} at {moment(fetch.at_ms)} {fetch.what}"
