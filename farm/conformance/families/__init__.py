"""The scenarios, a module for each family.

Names are those under which the facts were recorded.  A new scenario is a function with ``@family.scenario`` in the
module of its family, or a list of requests; ``scripts/record_conformance URL`` records what a server does.
"""

from farm.conformance.families import caching, errors, files, http, jobs, queue, running, sampling, saving, users, websocket

__all__ = ["FAMILIES"]

assert (caching, jobs, saving)      # imported so that their scenarios join their families

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
