"""The plan of a load: its workflows, its jobs and their times, and the choice of a server for each."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

from comfyfarm.cli.loading.jobs import LoadJob, Target
from comfyfarm.workflows import BUILT_IN

Workflow = dict[str, Any]

_SUBJECTS = ("a red barn", "a corn field", "an old tractor", "a wind wheel", "a scarecrow", "a row of server racks")
_LIGHTS = ("at dawn", "in the rain", "under the first snow", "by moonlight")
_TEXTS = [f"{subject} {light}" for light, subject in product(_LIGHTS, _SUBJECTS)]
_SEEDS = ("seed", "noise_seed")


class NoWorkflow(Exception):
    """A workflow cannot be had; the message says which and why, in one line."""


@dataclass(frozen=True)
class Kind:
    """One workflow of a mix.

    :ivar weight: its share of the jobs, beside the weights of the others.
    :ivar content: that of a file; ``None``: it is built in.
    """

    name: str
    weight: float = 1.0
    content: Workflow | None = None

    @classmethod
    def parse(cls, text: str) -> Kind:
        """Parse ``NAME``, ``FILE`` or one of them with ``=WEIGHT``.

        :raises NoWorkflow: if there is no such workflow.
        """
        name, equals, weight = text.rpartition("=")
        try:
            share = float(weight) if equals else 1.0
        except ValueError:
            name, share = text, 1.0
        name = name or text
        if share <= 0:
            raise NoWorkflow(f"{text}: expected a weight above 0")
        return cls(name, share, None if name in BUILT_IN else read_workflow(Path(name)))

    def make(self, job: LoadJob, checkpoint: str | None, seed: int) -> Workflow:
        """Return the workflow of a job, with a seed of its own in every sampler.

        :param checkpoint: for a built-in workflow.
        """
        if self.content is None:
            workflow = BUILT_IN[self.name](seed, job.text)
            for node in workflow.values():
                if "ckpt_name" in node["inputs"] and checkpoint is not None:
                    node["inputs"]["ckpt_name"] = checkpoint
            return workflow
        workflow = deepcopy(self.content)
        for node in workflow.values():
            inputs = node.get("inputs", {}) if isinstance(node, dict) else {}
            inputs.update({key: seed for key in _SEEDS if isinstance(inputs.get(key), int)})
        return workflow


def read_workflow(path: Path) -> Workflow:
    """Read a workflow in the form that ``POST /prompt`` takes.

    :raises NoWorkflow: if it is none.
    """
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        built_in = f"no built-in workflow is called so (there are: {', '.join(BUILT_IN)})"
        raise NoWorkflow(f"{path}: {error.strerror}, and {built_in}") from None
    except ValueError as error:
        raise NoWorkflow(f"{path}: {error}") from None
    if isinstance(content, dict) and isinstance(content.get("prompt"), dict):
        content = content["prompt"]
    if isinstance(content, dict) and "nodes" in content:
        raise NoWorkflow(f"{path}: a workflow of the page; save it with Export (API)")
    if not isinstance(content, dict) or not content:
        raise NoWorkflow(f"{path}: expected an object of nodes")
    return content


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is sent, and when.

    :ivar kinds: the mix.
    :ivar count: of jobs; ``None``: as many as come within ``for_s``.
    :ivar rate: jobs per second, over all servers; ``None``: all at once.
    :ivar is_poisson: whether the gaps between jobs are random, with their mean given by the rate.
    """

    kinds: Sequence[Kind]
    count: int | None
    for_s: float | None = None
    rate: float | None = None
    is_poisson: bool = False

    def jobs(self, chance: Random) -> list[LoadJob]:
        """Return the jobs in the order of their times."""
        jobs: list[LoadJob] = []
        for number, due_s in enumerate(self._times(chance), 1):
            if number - 1 == self.count or (self.for_s is not None and due_s >= self.for_s):
                break
            (kind,) = chance.choices(self.kinds, [kind.weight for kind in self.kinds])
            text = _TEXTS[(number - 1) % len(_TEXTS)] if kind.content is None else kind.name
            jobs.append(LoadJob(number, due_s, kind.name, text))
        return jobs

    def _times(self, chance: Random) -> Iterator[float]:
        due_s = 0.0
        while True:
            yield due_s
            if self.rate is not None:
                due_s += chance.expovariate(self.rate) if self.is_poisson else 1 / self.rate

    def kind(self, job: LoadJob) -> Kind:
        return next(kind for kind in self.kinds if kind.name == job.workflow)


Policy = Callable[[Sequence[Target], Mapping[str, int], int, Random], Target]
"""Chooses a server from all of them, the number of jobs that each has now, and the number of the job."""

POLICIES: dict[str, Policy] = {
    "round-robin": lambda targets, _open, number, _chance: targets[(number - 1) % len(targets)],
    "shortest": lambda targets, open_jobs, _number, _chance: min(targets, key=lambda target: open_jobs[target.name]),
    "random": lambda targets, _open, _number, chance: chance.choice(targets),
}
