"""The scenarios, a module for each family; one more module adds scenarios to the family *running*.

The recorded facts are stored by scenario name. A new scenario is a function with ``@family.scenario`` in the module of
its family, or a list of requests; ``scripts/record_conformance URL`` records its facts.
"""

from comfyfarm.conformance.families import errors, files, http, queue, running, sampling, saving, users, websocket

__all__ = ["FAMILIES", "saving"]     # importing the latter adds its scenarios

FAMILIES = tuple(module.family for module in (http, errors, running, queue, websocket, files, users, sampling))
