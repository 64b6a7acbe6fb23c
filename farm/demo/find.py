"""Which servers does the demonstration send its jobs to?"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from treq.client import HTTPClient
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.error import ConnectError, ConnectionClosed, DNSLookupError
from twisted.web.client import Agent, RequestTransmissionFailed, ResponseFailed

from .jobs import Target

__all__ = ["NobodyThere", "choose_checkpoint", "find_by_control", "find_by_urls", "instance_name"]

_TIMEOUT_S = 10.0
_UNREACHABLE = (
    ConnectError,
    ConnectionClosed,
    DNSLookupError,
    DeferredTimeout,
    RequestTransmissionFailed,
    ResponseFailed,
    ValueError,  # what answers there speaks no JSON, or the URL is none
)
_CHECKPOINT = "v1-5-pruned-emaonly-fp16.safetensors"


class NobodyThere(Exception):
    """No server answers where one should; the text says where, and what to do."""


async def find_by_control(reactor: Any, control: str) -> list[Target]:
    """Every instance of the farm whose control server is at ``control``.

    :raises NobodyThere: where it, or one of its instances, does not answer.
    """
    try:
        _, farm = await _get(reactor, _with_scheme(control) + "/api/farm")
        urls = {name: instance["url"] for name, instance in farm["instances"].items()}
    except (*_UNREACHABLE, KeyError, TypeError, AttributeError) as why:
        raise NobodyThere(f"No farm answers at {control}.  Start one with ./scripts/run") from why
    if not urls:
        raise NobodyThere(f"The farm at {control} has no instances.")
    return [await _target(reactor, url, name) for name, url in urls.items()]


async def find_by_urls(reactor: Any, urls: Sequence[str]) -> list[Target]:
    """The servers at these URLs, of a farm or not.

    :raises NobodyThere: where one of them does not answer.
    """
    found = [await _target(reactor, _with_scheme(url)) for url in urls]
    names = [target.name for target in found]
    if len(set(names)) == len(names):
        return found
    return [Target(name=urlsplit(each.url).netloc, url=each.url, checkpoint=each.checkpoint) for each in found]


def instance_name(headers: Mapping[str, str], url: str) -> str:
    """What a server calls itself, or where it is."""
    return headers.get("x-comfyfarm-instance") or urlsplit(url).netloc


def choose_checkpoint(object_info: Mapping[str, Any]) -> str:
    """The usual checkpoint where it is offered, else the first; instances may differ in their models."""
    kind, *options = object_info["CheckpointLoaderSimple"]["input"]["required"]["ckpt_name"]
    offered = kind if isinstance(kind, list) else options[0]["options"]
    return _CHECKPOINT if _CHECKPOINT in offered or not offered else str(offered[0])


async def _target(reactor: Any, url: str, name: str = "") -> Target:
    try:
        headers, object_info = await _get(reactor, url + "/object_info/CheckpointLoaderSimple")
        return Target(name or instance_name(headers, url), url, choose_checkpoint(object_info))
    except (*_UNREACHABLE, LookupError, TypeError) as why:
        raise NobodyThere(f"No ComfyUI answers at {url}.  Start the farm with ./scripts/run") from why


async def _get(reactor: Any, url: str) -> tuple[dict[str, str], Any]:
    """The headers, in lower case, and the JSON of an answer."""
    asking = Deferred.fromCoroutine(_fetch(HTTPClient(Agent(reactor, connectTimeout=_TIMEOUT_S)), url))
    return await asking.addTimeout(_TIMEOUT_S, reactor)


async def _fetch(http: HTTPClient, url: str) -> tuple[dict[str, str], Any]:
    response = await http.get(url)
    headers = {name.decode().lower(): values[0].decode() for name, values in response.headers.getAllRawHeaders()}
    return headers, json.loads(await response.content())


def _with_scheme(url: str) -> str:
    return (url if "://" in url else f"http://{url}").rstrip("/")
