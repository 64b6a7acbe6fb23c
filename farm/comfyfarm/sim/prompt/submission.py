"""Parsing of the body of ``POST /prompt``, as in ComfyUI.

ComfyUI does not check the types in the body, so that a wrong one makes it raise; so do these functions.
"""

from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from comfyfarm.sim.catalogue.models import MODEL_SUFFIXES
from comfyfarm.sim.errors import PromptRejected

_SECRETS = ("auth_token_comfy_org", "api_key_comfy_org")


@dataclass(frozen=True)
class PromptSource:
    """The facts of a request that are not in its body.

    :ivar usage_source: the header ``Comfy-Usage-Source``.
    :ivar job: the header ``X-Comfyfarm-Job``: the logical job.
    :ivar header: the header that the farm's ``job_name`` names; ``None`` if it names none, or there is none.
    :ivar is_load: the farm sends the request itself, as background load.
    """

    usage_source: str | None = None
    job: str | None = None
    header: str | None = None
    is_load: bool = False


def read_prompt(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the nodes.

    :raises TypeError: if the prompt is no object of objects.
    """
    prompt = body["prompt"]
    if not isinstance(prompt, dict):
        raise TypeError(f"'{type(prompt).__name__}' object has no attribute 'items'")
    for node in prompt.values():
        if not isinstance(node, dict) or not isinstance(node.get("inputs", {}), dict):
            raise TypeError(f"not a node: {node!r}")
    return prompt


def read_prompt_id(body: Any) -> str | None:
    """Return the id that the client chose, or ``None`` if the server draws one.

    :raises PromptRejected: if it is not a UUID as the server itself would write it.
    """
    prompt_id = body.get("prompt_id")
    if prompt_id is None or _is_canonical_uuid(prompt_id):
        return prompt_id  # type: ignore[no-any-return]
    raise PromptRejected.because(
        "invalid_prompt_id",
        "prompt_id must be a valid UUID",
        "prompt_id must be a UUID string in canonical lowercase hyphenated form; "
        "omit it to let the server generate one",
    )


def _is_canonical_uuid(value: object) -> bool:
    try:
        return isinstance(value, str) and str(UUID(value)) == value
    except ValueError:
        return False


def read_targets(body: Mapping[str, Any]) -> Container[str] | None:
    """Return the only output nodes that shall run, or ``None`` for all.

    :raises TypeError: if the value is no container.
    """
    targets = body.get("partial_execution_targets")
    if targets is not None and not isinstance(targets, list | dict | str):
        raise TypeError(f"argument of type '{type(targets).__name__}' is not iterable")
    return targets


def has_api_key(body: Mapping[str, Any]) -> bool:
    """Return whether a client has sent a key for ComfyUI's own API, or is logged in there."""
    extra_data = body.get("extra_data")
    return isinstance(extra_data, dict) and any(extra_data.get(secret) for secret in _SECRETS)


def make_extra_data(body: Mapping[str, Any], sender: PromptSource, unix_ms: int) -> dict[str, Any]:
    """Return the job's extra data: the client's own keys without its secrets, and the server's."""
    extra_data = body.get("extra_data", {})
    if not isinstance(extra_data, dict):
        raise TypeError(f"'{type(extra_data).__name__}' object does not support item assignment")
    if "client_id" in body:
        extra_data["client_id"] = body["client_id"]
    for secret in _SECRETS:
        extra_data.pop(secret, None)
    extra_data["create_time"] = unix_ms
    if sender.usage_source and "comfy_usage_source" not in extra_data:
        extra_data["comfy_usage_source"] = sender.usage_source
    return extra_data


def missing_in(refusal: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the node types or models whose lack is the reason of the refusal; empty for other reasons."""
    error = refusal["error"]
    if error["type"] == "missing_node_type":
        return (str(error["extra_info"].get("class_type")),)
    nodes = refusal["node_errors"].values() if isinstance(refusal["node_errors"], dict) else ()
    problems = [entry for node in nodes for entry in node["errors"] if entry["type"] == "value_not_in_list"]
    values = [str(entry["extra_info"].get("received_value")) for entry in problems]
    return tuple(sorted({value for value in values if value.endswith(MODEL_SUFFIXES)}))
