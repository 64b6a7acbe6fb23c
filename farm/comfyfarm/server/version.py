"""The known versions of ComfyUI and their features on the wire (docs/fidelity.md, "Versions")."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from comfyfarm.config import InstanceConfig
from comfyfarm.sim.jobs_api import OutputRules

_NUMBER = re.compile(r"v?(\d+)\.(\d+)(?:\.(\d+))?")


@dataclass(frozen=True)
class Version:
    """A known version, with the features that distinguish it from others.

    :ivar number: as ``/system_stats`` gives it.
    :ivar cancels_jobs: ``POST /api/jobs/{id}/cancel`` and ``POST /api/jobs/cancel`` exist.
    :ivar shields_files: ``/view`` and ``/userdata`` send headers that keep a browser from running a file.
    :ivar confines_files: a node may name only files of the folder that they are looked up in.
    :ivar tags_model_types: the feature flag ``supports_model_type_tags`` is announced.
    """

    number: str
    cancels_jobs: bool = False
    shields_files: bool = False
    confines_files: bool = False
    tags_model_types: bool = False
    output_rules: OutputRules = field(default_factory=OutputRules)


_0_25 = Version("0.25.0")
_0_27 = Version("0.27.0", cancels_jobs=True)
_0_28 = Version(
    "0.28.0",
    cancels_jobs=True,
    shields_files=True,
    confines_files=True,
    tags_model_types=True,
    output_rules=OutputRules(counts_texts=False, previews_documents=True),
)
KNOWN = (_0_25, _0_27, _0_28)


@cache
def version_of(text: str) -> Version:
    """Return the version that an instance behaves like: the newest known one that is not newer than ``text``.

    For an older version, or for no version number (``"nightly"``), this is the reference.
    """
    number = _parts(text)
    if number is None:
        return _0_25
    return next((version for version in reversed(KNOWN) if (_parts(version.number) or number) <= number), _0_25)


def advice(text: str) -> str | None:
    """Return a warning for the operator of the farm if this version is not known, or ``None``."""
    if any(version.number == text for version in KNOWN):
        return None
    known = ", ".join(version.number for version in KNOWN)
    return f"ComfyUI {text} is not known (known are {known}): it says so, and behaves like {version_of(text).number}"


def _parts(text: str) -> tuple[int, int, int] | None:
    match = _NUMBER.match(text)
    return None if match is None else (int(match[1]), int(match[2]), int(match[3] or 0))


def server_flags(config: InstanceConfig, captured: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the feature flags that an instance announces at ``/features`` and to each websocket.

    :param captured: the flags of the real server that the instance imitates; ``None``: by version and settings.
    """
    if captured is not None:
        limit = {"max_upload_size": int(config.max_upload_size)} if "max_upload_size" in captured else {}
        return {**captured, **limit}
    flags: dict[str, Any] = {
        "supports_preview_metadata": True,
        "max_upload_size": int(config.max_upload_size),
        "extension": {"manager": {"supports_v4": True}},
        "node_replacements": True,
        "assets": False,
    }
    if version_of(config.comfyui_version).tags_model_types:
        flags["supports_model_type_tags"] = True
    return flags
