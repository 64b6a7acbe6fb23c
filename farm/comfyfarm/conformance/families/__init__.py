"""The scenarios, a module for each family; two more add scenarios to the family *running*.

The recorded facts are stored by scenario name. A new scenario is a function with ``@family.scenario`` in the module of
its family, or a list of requests; ``scripts/record_conformance URL`` records its facts.
"""

from comfyfarm.conformance.families import (
    caching,
    errors,
    files,
    http,
    queue,
    running,
    sampling,
    saving,
    users,
    websocket,
)

__all__ = ["FAMILIES", "caching", "saving"]     # importing the latter two adds their scenarios

FAMILIES = tuple(module.family for module in (http, errors, running, queue, websocket, files, users, sampling))
