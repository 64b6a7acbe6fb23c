"""The versions of ComfyUI, and what each of them changed (docs/fidelity.md, "Versions").

:class:`Behaviour` is the only place that knows when something changed; other code reads its fields.
"""

import re
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any

RECORDED = ("0.3.40", "0.3.64", "0.8.0", "0.18.1", "0.25.0", "0.27.0", "0.28.0", "0.33.0")
"""The versions of the real servers that instances are compared with."""

NEWEST_READ = "0.39.0"
"""The newest version whose changes are known; those after the last recorded one were read, not observed."""

DEFAULT = "0.33.0"

REFERENCE = "0.25.0"
"""The version that was recorded whole; of the others, only differences from their neighbour are stored."""

Number = tuple[int, int, int]
_NUMBER = re.compile(r"v?(\d+)\.(\d+)(?:\.(\d+))?")


def number_of(version: str) -> Number | None:
    """Return a version as numbers that can be compared, or ``None`` if it has none, such as ``nightly``."""
    match = _NUMBER.match(version)
    return None if match is None else (int(match[1]), int(match[2]), int(match[3] or 0))


def is_since(version: str, since: str) -> bool:
    """Return whether a version is ``since`` or newer; one without a number counts as the default."""
    return (number_of(version) or number_of(DEFAULT) or ()) >= (number_of(since) or ())


def newest_recorded(version: str) -> str:
    """Return the newest recorded version that is not newer than this one; the oldest if all are."""
    return next((known for known in reversed(RECORDED) if is_since(version, known)), RECORDED[0])


def neighbour(version: str) -> str:
    """Return the recorded version that this recorded one is stored as a difference from."""
    place = RECORDED.index(version)
    return RECORDED[place - 1] if is_since(version, REFERENCE) else RECORDED[place + 1]


def _since(version: str, until: str = "") -> Any:
    """Declare a field that is true from one version on, and before another."""
    return field(metadata={"since": version, "until": until})


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """What one version does; each field names the version that brought it, and the one that ended it."""

    # Routes, and what they answer.
    has_features: bool = _since("0.3.45")               # GET /features, and flags over the websocket
    caches_missing_pictures: bool = _since("0.3.58")    # the page's 404 of a picture's name has a caching header
    has_subgraphs: bool = _since("0.3.67")              # GET /global_subgraphs
    ships_subgraphs: bool = _since("0.9.2")             # ... has those that come with ComfyUI
    has_jobs: bool = _since("0.6.0")                    # /api/jobs
    has_node_replacements: bool = _since("0.14.0")      # GET /node_replacements, and its flag
    has_assets: bool = _since("0.17.0")                 # their routes answer 503, and the flag; older: 404
    forbids_storing_scripts: bool = _since("0.18.0")    # Cache-Control of the page and its scripts: no-store
    refuses_cross_site: bool = _since("0.19.0")         # Sec-Fetch-Site: cross-site is 403
    cancels_jobs: bool = _since("0.26.0")               # POST /api/jobs/{id}/cancel and /api/jobs/cancel
    has_asset_export: bool = _since("0.39.0")           # their routes answer 503
    # Feature flags.
    has_manager_flag: bool = _since("0.4.0")            # extension.manager.supports_v4
    tags_model_types: bool = _since("0.28.0")           # supports_model_type_tags
    # /system_stats.
    names_os: bool = _since("0.8.0")                    # "linux", before "posix" (at the latest in 0.8.0)
    requires_frontend: bool = _since("0.3.46")          # required_frontend_version
    has_templates_version: bool = _since("0.3.61")      # installed_ and required_templates_version
    lists_packages: bool = _since("0.22.0")             # comfy_package_versions
    tells_deployment: bool = _since("0.25.0")           # deploy_environment
    # Nodes in /object_info.
    has_search_aliases: bool = _since("0.11.0")
    # Files.
    knows_safetensors: bool = _since("0.17.0")          # their content type at /view
    shields_files: bool = _since("0.28.0")              # headers that keep a browser from running a file
    confines_files: bool = _since("0.28.0")             # a node may name only files of the folder it looks in
    varies_by_destination: bool = _since("0.30.0")      # an SVG is shown in an <img>; no active file is stored
    shows_user_css: bool = _since("0.30.0")             # GET /userdata/user.css is a style sheet
    dates_creation: bool = _since("0.3.49")             # files of users have "created"
    dates_in_ms: bool = _since("0.21.0")                # ... in whole milliseconds, before in seconds
    lists_model_suffixes: bool = _since("0.28.0")       # "extensions" in /experiment/models
    checks_preview_index: bool = _since("0.28.0")       # a bad index of a model's preview is 400 or 404, before 500
    shortens_outside_error: bool = _since("0.30.0")     # "Saving image outside the output folder" lacks "commonpath"
    # POST /prompt.
    takes_prompt_id: bool = _since("0.3.45")
    checks_prompt_id: bool = _since("0.25.0")           # only UUIDs; before, any text
    hides_secrets_in_history: bool = _since("0.3.45")   # auth_token_comfy_org and api_key_comfy_org
    hides_secrets: bool = _since("0.3.68")              # ... also in the queue
    takes_targets: bool = _since("0.3.48")              # partial_execution_targets
    dates_jobs: bool = _since("0.3.69")                 # extra_data.create_time
    takes_preview_method: bool = _since("0.5.0")        # extra_data.preview_method
    names_usage_source: bool = _since("0.25.0")         # the header Comfy-Usage-Source
    fails_at_wrong_extra_data: bool = _since("0.25.0")  # null or a number is a 500
    merges_workflow_metadata: bool = _since("0.39.0")   # workflow_metadata
    fails_at_no_node: bool = _since("0.14.0")           # what is no node is a 500, before a 400
    names_missing_nodes: bool = _since("0.12.0")        # missing_node_type, before invalid_prompt
    explains_cycles: bool = _since("0.20.0")            # dependency_cycle, before empty node_errors
    quotes_by_type: bool = _since("0.21.0")             # value_not_in_list repeats 5 as 5, before as '5'
    # Running jobs.
    has_progress_state: bool = _since("0.3.45")
    adds_tips: bool = _since("0.3.42")                  # exception_message ends with a line feed, and tips
    decodes_by_av: bool = _since("0.21.0")              # LoadImage fails with av.error..., before with PIL's error
    repeats_intermediates: bool = _since("0.19.0")      # cached nodes with has_intermediate_output are told again
    keeps_all_cached_outputs: bool = _since("0", until="0.3.68")    # history has all that is cached for the prompt
    keeps_unheard_outputs: bool = _since("0.28.0")      # history has what is cached also if the job has no client
    describes_files: bool = _since("0.39.0")            # "metadata" of pictures in outputs
    # Queue, history, jobs.
    interrupts_by_id: bool = _since("0.3.57")
    pages_history: bool = _since("0.3.60")              # GET /history?offset=
    has_cancelled_jobs: bool = _since("0.9.0")          # the status "cancelled", before "failed"
    previews_texts: bool = _since("0.16.0")             # a text is the preview of a job
    counts_texts: bool = _since("0.16.0", until="0.28.0")   # ... and counts as an output
    previews_documents: bool = _since("0.28.0")         # so does a text file
    ranks_previews: bool = _since("0.30.0")             # pictures before texts
    counts_previewable: bool = _since("0.32.0")         # previewable_outputs_count

    @classmethod
    def of(cls, number: Number) -> "Behaviour":
        return cls(**{change.name: _is_within(number, **change.metadata) for change in fields(cls)})


def _is_within(number: Number, since: str, until: str) -> bool:
    end = number_of(until)
    return (number_of(since) or ()) <= number and (end is None or number < end)


@cache
def behaviour_of(version: str) -> Behaviour:
    """Return what a version does; one without a number (``nightly``) does what the default does."""
    number = number_of(version) or number_of(DEFAULT)
    assert number is not None
    return Behaviour.of(number)


DEFAULT_BEHAVIOUR = behaviour_of(DEFAULT)


def advice(version: str) -> str | None:
    """Return a warning for the operator of the farm if this version was not recorded, or ``None``."""
    if number_of(version) in map(number_of, RECORDED):
        return None
    base, number, read = newest_recorded(version), number_of(version), number_of(NEWEST_READ)
    known = f"recorded are {', '.join(RECORDED)}"
    if number is None or read is None:
        return f"ComfyUI {version} is not known ({known}): it says so, and behaves like {DEFAULT}"
    if number > read:
        return f"ComfyUI {version} is not known ({known}): it says so, and behaves like {NEWEST_READ}, as far as read"
    return f"ComfyUI {version} was not recorded ({known}): it says so, and behaves like {base} with the changes since"
