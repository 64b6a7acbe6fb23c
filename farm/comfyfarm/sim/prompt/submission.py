"""Parsing of the body of ``POST /prompt``, as in ComfyUI.

ComfyUI does not check the types in the body, so that a wrong one makes it raise; so do these functions.
"""

import json
from collections.abc import Container, Mapping
from typing import Any
from uuid import UUID

import msgspec

from comfyfarm.sim.catalogue.models import MODEL_SUFFIXES
from comfyfarm.sim.errors import PromptRejected
from comfyfarm.sim.jobs import workflow_id
from comfyfarm.sim.prompt.validation import EarlyValidation
from comfyfarm.versions import DEFAULT_BEHAVIOUR, Behaviour

_LONGEST_METADATA = 256     # characters, as JSON
SECRETS = ("auth_token_comfy_org", "api_key_comfy_org")


class PromptSource(msgspec.Struct, frozen=True):
    """The facts of a request that are not in its body.

    :ivar usage_source: the header ``Comfy-Usage-Source``.
    :ivar job: the header ``X-Comfyfarm-Job``: the logical job.
    :ivar header: the header that the farm's ``job_name`` names; ``None`` if it names none, or there is none.
    :ivar is_load: the farm sends the request itself, as background load.

    What takes long of a large body may have been done already, in steps; ``None`` if not:

    :ivar text: the text that the farm's ``job_name`` names in the body, as it was before the validation.
    :ivar prompt_hash: the hash of the prompt.
    :ivar validation: that of the prompt.
    """

    usage_source: str | None = None
    job: str | None = None
    header: str | None = None
    is_load: bool = False
    text: str | None = None
    prompt_hash: str | None = None
    validation: EarlyValidation | None = None


def read_prompt(body: Mapping[str, Any], behaviour: Behaviour = DEFAULT_BEHAVIOUR) -> dict[str, Any]:
    """Return the nodes; of an older version also what is no object, if validation refuses it.

    :raises TypeError: if the prompt is no object of objects.
    """
    prompt = body["prompt"]
    if not behaviour.fails_at_no_node:
        return _read_lenient(prompt)
    if not isinstance(prompt, dict):
        raise TypeError(f"'{type(prompt).__name__}' object has no attribute 'items'")
    for node in prompt.values():
        if not isinstance(node, dict) or not isinstance(node.get("inputs", {}), dict):
            raise TypeError(f"not a node: {node!r}")
    return prompt


def _read_lenient(prompt: Any) -> dict[str, Any]:
    """Return the nodes as ComfyUI before 0.14 looks at them: a node that is no object has no ``class_type``.

    :raises TypeError: if the prompt is no container.
    """
    if isinstance(prompt, list | str) and not prompt:
        return {}
    if not isinstance(prompt, dict):
        raise TypeError(f"{type(prompt).__name__} indices must be integers")
    for node_id, node in prompt.items():
        if not isinstance(node, dict | list | str):
            raise TypeError(f"argument of type '{type(node).__name__}' is not iterable")
        if not isinstance(node, dict):
            prompt[node_id] = {}
    return prompt


def read_prompt_id(body: Any, behaviour: Behaviour) -> str | None:
    """Return the id that the client chose, or ``None`` if the server draws one.

    :raises PromptRejected: if it is not a UUID as the server itself would write it.
    """
    if not behaviour.checks_prompt_id:
        return str(body["prompt_id"]) if behaviour.takes_prompt_id and "prompt_id" in body else None
    prompt_id = body.get("prompt_id")
    if prompt_id is None or is_canonical_uuid(prompt_id):
        return prompt_id  # type: ignore[no-any-return]
    raise PromptRejected.because(
        "invalid_prompt_id",
        "prompt_id must be a valid UUID",
        "prompt_id must be a UUID string in canonical lowercase hyphenated form; "
        "omit it to let the server generate one",
    )


def is_canonical_uuid(value: object) -> bool:
    try:
        return isinstance(value, str) and str(UUID(value)) == value
    except ValueError:
        return False


def read_targets(body: Mapping[str, Any], behaviour: Behaviour) -> Container[str] | None:
    """Return the only output nodes that shall run, or ``None`` for all.

    :raises TypeError: if the value is no container.
    """
    targets = body.get("partial_execution_targets") if behaviour.takes_targets else None
    if targets is not None and not isinstance(targets, list | dict | str):
        raise TypeError(f"argument of type '{type(targets).__name__}' is not iterable")
    return targets


def has_api_key(body: Mapping[str, Any]) -> bool:
    """Return whether a client has sent a key for ComfyUI's own API, or is logged in there."""
    extra_data = body.get("extra_data")
    return isinstance(extra_data, dict) and any(extra_data.get(secret) for secret in SECRETS)


def check_extra_data(body: Mapping[str, Any], behaviour: Behaviour) -> None:
    """Check the extra data as far as ComfyUI looks into them before it validates the prompt.

    :raises TypeError: if it raises.
    """
    extra_data = body.get("extra_data", {})
    taken = dict if behaviour.merges_workflow_metadata else dict | list | str
    if behaviour.fails_at_wrong_extra_data and not isinstance(extra_data, taken):
        raise TypeError(f"argument of type '{type(extra_data).__name__}' is not iterable")


def make_extra_data(
    body: Mapping[str, Any], sender: PromptSource, unix_ms: int, behaviour: Behaviour
) -> dict[str, Any]:
    """Return the job's extra data: the client's own keys, since 0.3.68 without its secrets, and the server's."""
    extra_data = body.get("extra_data", {})
    if not isinstance(extra_data, dict):
        raise TypeError(f"'{type(extra_data).__name__}' object does not support item assignment")
    if "client_id" in body:
        extra_data["client_id"] = body["client_id"]
    if behaviour.hides_secrets:
        for secret in SECRETS:
            extra_data.pop(secret, None)
    if behaviour.dates_jobs:
        extra_data["create_time"] = unix_ms
    if behaviour.merges_workflow_metadata:
        extra_data.pop("workflow_metadata", None)
        if (metadata := _workflow_metadata(body, extra_data)) is not None:
            extra_data["workflow_metadata"] = metadata
    if behaviour.names_usage_source and sender.usage_source and "comfy_usage_source" not in extra_data:
        extra_data["comfy_usage_source"] = sender.usage_source
    return extra_data


def _workflow_metadata(body: Mapping[str, Any], extra_data: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what the messages about the job repeat; ``None`` for nothing."""
    own, own_id = body.get("workflow_metadata"), workflow_id(extra_data)
    if isinstance(own, dict) and len(json.dumps(own)) <= _LONGEST_METADATA:
        return own
    return {"workflow_id": own_id} if isinstance(own_id, str) else None


def missing_in(refusal: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the node types or models whose lack is the reason of the refusal; empty for other reasons."""
    error = refusal["error"]
    if error["type"] == "missing_node_type":
        return (str(error["extra_info"].get("class_type")),)
    nodes = refusal["node_errors"].values() if isinstance(refusal["node_errors"], dict) else ()
    problems = [entry for node in nodes for entry in node["errors"] if entry["type"] == "value_not_in_list"]
    values = [str(entry["extra_info"].get("received_value")) for entry in problems]
    return tuple(sorted({value for value in values if value.endswith(MODEL_SUFFIXES)}))
