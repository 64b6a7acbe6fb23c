"""The incidents of this folder, a TOML file each."""

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Literal

import msgspec

_Text = Annotated[str, msgspec.Meta(min_length=1)]
_TABLE_HEAD = re.compile(r"^(\[\[?)(settings|fault|step)\b", re.MULTILINE)


class UnknownIncident(Exception):
    """No incident has this id; the message lists the known ones."""


class Incident(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One incident, and the scenario that reproduces it.

    :ivar id: ``F01`` and so on.
    :ivar what: what happens.
    :ivar sources: where it was met: projects, and the numbers of issues and pull requests.
    :ivar good_client: what a client does that is not harmed.
    :ivar own_doing: the client causes it; the scenario only creates the conditions.
    :ivar conditions: what the scenario creates apart from its faults and steps, or why it needs no fault.
    :ivar befalls: ``one``: it is on the first instance, unless the scenario has ``on``.
    :ivar settings: the keys of an ``[[instance]]`` that it needs.
    :ivar fault: tables as in a scenario.
    :ivar step: tables as in a scenario.
    """

    id: str
    name: _Text
    what: _Text
    sources: Annotated[tuple[_Text, ...], msgspec.Meta(min_length=1)]
    good_client: _Text
    own_doing: bool = False
    conditions: str = ""
    befalls: Literal["all", "one"] = "all"
    settings: dict[str, Any] = {}
    fault: tuple[dict[str, Any], ...] = ()
    step: tuple[dict[str, Any], ...] = ()

    def as_own(self) -> str:
        """Return the TOML of a scenario that does the same, to be copied into a configuration and changed there."""
        _, _, staging = _file_text(self.id).partition("\n\n")
        staging = _TABLE_HEAD.sub(r"\1scenario.\2", staging)
        on = 'on = "gpu-1"\n' if self.befalls == "one" else ""
        return f'[[scenario]]\nname = "{self.name}"\n{on}\n{staging}'.strip() + "\n"


def _file_text(incident_id: str) -> str:
    return files(__package__).joinpath(f"{incident_id}.toml").read_text("utf-8")


@cache
def incidents() -> Mapping[str, Incident]:
    """Return all incidents by id, in the order of their ids."""
    names = sorted(file.name for file in files(__package__).iterdir() if file.name.endswith(".toml"))
    parsed = (msgspec.toml.decode(_file_text(name.removesuffix(".toml")), type=Incident) for name in names)
    return {incident.id: incident for incident in parsed}


def find_incident(incident_id: object) -> Incident:
    """Return an incident by its id.

    :raises UnknownIncident: if there is none.
    """
    known = incidents()
    if not isinstance(incident_id, str) or incident_id not in known:
        raise UnknownIncident(f"there is no incident {incident_id!r} (there are: {', '.join(known)})")
    return known[incident_id]
