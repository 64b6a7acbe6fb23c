"""The scenarios, a module for each family.

Names are those under which the facts were recorded.  A new scenario is a function with ``@family.scenario`` in the
module of its family, or a list of requests; ``scripts/record_conformance URL`` records what a server does.
"""

from __future__ import annotations

from comfyfarm.conformance.families import (
    binary,
    caching,
    errors,
    files,
    http,
    jobs,
    queue,
    running,
    sampling,
    saving,
    users,
    websocket,
)

__all__ = ["FAMILIES", "binary", "caching", "jobs", "saving"]     # the last four are imported to join their families

FAMILIES = (
    http.family,
    errors.family,
    running.family,
    queue.family,
    websocket.family,
    files.family,
    users.family,
    sampling.family,
)
