"""Reads the files of this folder."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Literal

import msgspec

_Told = Annotated[str, msgspec.Meta(min_length=1)]
_HEAD = re.compile(r"^(\[\[?)(settings|fault|step)\b", re.MULTILINE)       # of what stages it


class UnknownIncident(Exception):
    """No incident has this id; the message says which there are."""


class Incident(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One incident, and how it is staged.

    :ivar id: ``F01`` and so on.
    :ivar what: what happens.
    :ivar sources: where it was met: projects, and the numbers of issues and pull requests.
    :ivar good_client: what a client does that is not hurt.
    :ivar own_doing: the client does it to itself; the scenario only sees to the conditions.
    :ivar conditions: what is staged, where the faults and steps do not say it; why there is no fault, where there is
        none.
    :ivar befalls: ``one``: only the first instance, unless its user says which.
    :ivar settings: the keys of an ``[[instance]]`` that it needs.
    :ivar fault: as written in a configuration.
    :ivar step: as written in a scenario of one's own.
    """

    id: str
    name: _Told
    what: _Told
    sources: Annotated[tuple[_Told, ...], msgspec.Meta(min_length=1)]
    good_client: _Told
    own_doing: bool = False
    conditions: str = ""
    befalls: Literal["all", "one"] = "all"
    settings: dict[str, Any] = {}
    fault: tuple[dict[str, Any], ...] = ()
    step: tuple[dict[str, Any], ...] = ()

    def as_own(self) -> str:
        """The incident as a scenario of one's own, to be put into a configuration and changed there."""
        _, _, staging = _text(self.id).partition("\n\n")
        staging = _HEAD.sub(r"\1scenario.\2", staging)
        on = 'on = "gpu-1"\n' if self.befalls == "one" else ""
        return f'[[scenario]]\nname = "{self.name}"\n{on}\n{staging}'.strip() + "\n"


def _text(incident_id: str) -> str:
    return files(__package__).joinpath(f"{incident_id}.toml").read_text("utf-8")


@cache
def incidents() -> Mapping[str, Incident]:
    """All incidents, by id, in their order."""
    names = sorted(each.name for each in files(__package__).iterdir() if each.name.endswith(".toml"))
    read = (msgspec.toml.decode(_text(name.removesuffix(".toml")), type=Incident) for name in names)
    return {incident.id: incident for incident in read}


def find_incident(incident_id: object) -> Incident:
    """One incident.

    :raises UnknownIncident: where there is none of that id.
    """
    known = incidents()
    if not isinstance(incident_id, str) or incident_id not in known:
        raise UnknownIncident(f"there is no incident {incident_id!r} (there are: {', '.join(known)})")
    return known[incident_id]
