"""What is known of a job, or of one of its nodes, when something may go wrong there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from comfyfarm.faults.phases import PhaseFacts
from comfyfarm.sim.jobs.queue import Job


def job_facts(job: Job, node: str | None = None, step: int = 0) -> PhaseFacts:
    """The facts of a job that was taken on; of one node where that is given."""
    nodes = [job.prompt[node]] if node is not None else job.prompt.values()
    return PhaseFacts(
        client=job.client_id,
        job=job.order + 1,
        job_name=job.name,
        prompt_id=job.prompt_id,
        node=node or "",
        node_types=types_in(nodes),
        models=names_in(nodes),
        step=step,
    )


def types_in(nodes: Iterable[Any]) -> frozenset[str]:
    """The types of these nodes of a prompt, whatever a client has put there."""
    return frozenset(str(node.get("class_type")) for node in nodes if isinstance(node, dict))


def names_in(nodes: Iterable[Any]) -> frozenset[str]:
    """Every text among their inputs: the names of models are among them."""
    inputs = [node.get("inputs") for node in nodes if isinstance(node, dict)]
    return frozenset(
        value for each in inputs if isinstance(each, dict) for value in each.values() if isinstance(value, str)
    )
