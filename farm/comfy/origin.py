"""Whether a request comes from a web page that is none of this server's (docs/fidelity.md, "Origin")."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

__all__ = ["is_foreign"]


def is_foreign(host: str | None, origin: str | None, site: str | None) -> bool:
    """Whether ComfyUI answers 403.

    :param site: the header ``Sec-Fetch-Site``.
    :raises ValueError: where a name is none that Python's ``urlsplit`` reads; ComfyUI raises, too.
    """
    if site == "cross-site":
        return True
    if host is None or origin is None:
        return False
    here = urlsplit("//" + host.lower())
    there = urlsplit(origin.lower())
    if not here.netloc or not there.netloc or not _is_loopback(here.hostname or ""):
        return False
    # A side without a port is compared by its name only.
    if _port(here.netloc) is None or _port(there.netloc) is None:
        return here.hostname != there.hostname
    return here.netloc != there.netloc


def _is_loopback(name: str) -> bool:
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def _port(netloc: str) -> str | None:
    _, found, port = netloc.rpartition("]")[2].partition(":")
    return port if found else None
