"""What can a ComfyUI of this version do on the wire (docs/fidelity.md, "Versions")?"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

_NUMBER = re.compile(r"v?(\d+)\.(\d+)(?:\.(\d+))?")


@dataclass(frozen=True)
class Version:
    """A version that we know, by what came with it.

    :ivar number: as ``/system_stats`` would give it.
    :ivar cancels_jobs: ``POST /api/jobs/{id}/cancel`` and ``POST /api/jobs/cancel``.
    :ivar shields_files: ``/view`` and ``/userdata`` keep a browser from running what they send.
    :ivar tags_model_types: the feature flag ``supports_model_type_tags``.
    :ivar counts_texts: a text that a node shows is one of a job's outputs.
    :ivar previews_documents: a ``.txt``, ``.md`` or ``.json`` file can stand for a job's outputs.
    """

    number: str
    cancels_jobs: bool = False
    shields_files: bool = False
    tags_model_types: bool = False
    counts_texts: bool = True
    previews_documents: bool = False


_0_25 = Version("0.25.0")
_0_27 = Version("0.27.0", cancels_jobs=True)
_0_28 = Version(
    "0.28.0",
    cancels_jobs=True,
    shields_files=True,
    tags_model_types=True,
    counts_texts=False,
    previews_documents=True,
)
KNOWN = (_0_25, _0_27, _0_28)


@cache
def version_of(text: str) -> Version:
    """The version that an instance behaves like.

    That is the newest one that we know and that is not newer than ``text``: a server cannot do what came after it.
    What is older than all, or no version number (``"nightly"``), behaves like the reference.
    """
    wanted = _parts(text)
    if wanted is None:
        return _0_25
    return next((each for each in reversed(KNOWN) if (_parts(each.number) or wanted) <= wanted), _0_25)


def advice(text: str) -> str | None:
    """What to tell the person who runs the farm about this version, or ``None`` where we know it."""
    if any(each.number == text for each in KNOWN):
        return None
    known = ", ".join(each.number for each in KNOWN)
    return f"ComfyUI {text} is not known (known are {known}): it says so, and behaves like {version_of(text).number}"


def _parts(text: str) -> tuple[int, int, int] | None:
    match = _NUMBER.match(text)
    return None if match is None else (int(match[1]), int(match[2]), int(match[3] or 0))
