"""The body of ``POST /prompt``, taken apart as ComfyUI takes it apart.

ComfyUI reads the body without looking at its types, so that a wrong one makes it raise; here as there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from comfyfarm.sim.errors import PromptRejected

_MODELS = (".safetensors", ".ckpt", ".pt", ".pt2", ".pth", ".bin", ".pkl", ".sft", ".gguf", ".onnx")
_SECRETS = ("auth_token_comfy_org", "api_key_comfy_org")


@dataclass(frozen=True)
class PromptSource:
    """What a request says beside its body.

    :ivar usage_source: the header ``Comfy-Usage-Source``.
    :ivar job: the header ``X-Comfyfarm-Job``: the logical job.
    :ivar is_load: it is no client's: the farm sends it itself.
    """

    usage_source: str | None = None
    job: str | None = None
    is_load: bool = False


def given_number(body: Any) -> float | None:
    """The explicit priority, or ``None`` where the server's counter decides."""
    return float(body["number"]) if "number" in body else None


def require_prompt(body: Any) -> None:
    """Look for a prompt, whatever it is.

    :raises Refused: where there is none.
    """
    if "prompt" not in body:
        raise PromptRejected.because("no_prompt", "No prompt provided", "No prompt provided")


def read_prompt(body: Mapping[str, Any]) -> dict[str, Any]:
    """The nodes.

    :raises TypeError: and others, where the prompt is no object of objects.
    """
    prompt = body["prompt"]
    if not isinstance(prompt, dict):
        raise TypeError(f"'{type(prompt).__name__}' object has no attribute 'items'")
    for node in prompt.values():
        if not isinstance(node, dict) or not isinstance(node.get("inputs", {}), dict):
            raise TypeError(f"not a node: {node!r}")
    return prompt


def read_prompt_id(body: Any) -> str | None:
    """The id that the client chose, or ``None`` where the server draws one.

    :raises Refused: where it is not a UUID as the server itself would write it.
    """
    given = body.get("prompt_id")
    if given is None or _is_canonical_uuid(given):
        return given  # type: ignore[no-any-return]
    raise PromptRejected.because(
        "invalid_prompt_id",
        "prompt_id must be a valid UUID",
        "prompt_id must be a UUID string in canonical lowercase hyphenated form; "
        "omit it to let the server generate one",
    )


def _is_canonical_uuid(given: object) -> bool:
    try:
        return isinstance(given, str) and str(UUID(given)) == given
    except ValueError:
        return False


def read_targets(body: Mapping[str, Any]) -> Container[str] | None:
    """The only output nodes that shall run, or ``None`` for all.

    :raises TypeError: where nothing can be in it.
    """
    targets = body.get("partial_execution_targets")
    if targets is not None and not isinstance(targets, list | dict | str):
        raise TypeError(f"argument of type '{type(targets).__name__}' is not iterable")
    return targets


def make_extra_data(body: Mapping[str, Any], sender: PromptSource, unix_ms: int) -> dict[str, Any]:
    """What goes along with the job: the client's own keys but its secrets, and what the server adds."""
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
    """What a prompt was refused for that another instance may have: node types, models; empty for other reasons."""
    error = refusal["error"]
    if error["type"] == "missing_node_type":
        return (str(error["extra_info"].get("class_type")),)
    nodes = refusal["node_errors"].values() if isinstance(refusal["node_errors"], dict) else ()
    wrong = [each for node in nodes for each in node["errors"] if each["type"] == "value_not_in_list"]
    values = [str(each["extra_info"].get("received_value")) for each in wrong]
    return tuple(sorted({value for value in values if value.endswith(_MODELS)}))


def job_name(body: Mapping[str, Any], sender: PromptSource) -> str:
    """The logical job: what the client calls it, else a hash of its prompt."""
    extra_data = body.get("extra_data")
    named = extra_data.get("comfyfarm_job") if isinstance(extra_data, dict) else None
    if named is not None or sender.job is not None:
        return str(named if named is not None else sender.job)
    canonical = json.dumps(body.get("prompt"), sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]
