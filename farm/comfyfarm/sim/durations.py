"""How long each thing of one job takes: what the settings say, chance, and the load of the moment."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from comfyfarm.faults.pauses import Hold
from comfyfarm.sim.distributions import Distribution
from comfyfarm.sim.machine import Machine
from comfyfarm.sim.memory import ModelFile
from comfyfarm.sim.nodes import NodeOutcome
from comfyfarm.sim.values import AVLatent, Latent
from comfyfarm.sim.work_meter import WorkMeter

REFERENCE_PIXELS = 512 * 512    # a step's duration is written down for one picture of this size
_GB = 1024**3


@dataclass(eq=False)
class JobDurations:
    """One job's durations.

    The settings are read at each question, so that a change takes effect at the next step.

    :ivar chance: the job's own stream, so that no job shifts the draws of another.
    :ivar load_chance: another for its models: whether one was there already must not shift the rest.
    :ivar slowed: by faults, and how many times as long everything takes; of several the slowest counts.
    :ivar done: what durations were asked for.
    """

    machine: Machine
    chance: Random
    load_chance: Random
    slowed: dict[Hold, float] = field(default_factory=dict)
    done: WorkMeter = field(default_factory=WorkMeter)

    @classmethod
    def of_job(cls, machine: Machine, prompt_id: str) -> JobDurations:
        """The durations of one job."""
        seeds = machine.seeds.of("timing")
        return cls(machine, seeds.stream(prompt_id), seeds.of("models").stream(prompt_id))

    def node_ms(self, class_type: str) -> int:
        """A node, its steps, models and pictures apart."""
        self.done.node(class_type)
        return self._draw_ms(self.machine.settings.timing.node_span(class_type))

    def step_ms(self, outcome: NodeOutcome) -> int:
        """One sampling step, in proportion to what is sampled."""
        weight = _pixels(outcome) / REFERENCE_PIXELS
        self.done.step(weight)
        return self._draw_ms(self.machine.settings.timing.step, weight)

    def save_ms(self, files: int) -> int:
        """So many pictures written, one after another."""
        self.done.save(files)
        return sum(self._draw_ms(self.machine.settings.timing.save) for _ in range(files))

    def load_ms(self, file: ModelFile) -> int:
        """A model's way into memory."""
        per_gb = self.machine.settings.timing.load_per_gb
        return self._draw_ms(per_gb, file.size_bytes / _GB, chance=self.load_chance)

    def unload_ms(self) -> int:
        """A model's way out of memory."""
        return self._draw_ms(self.machine.settings.timing.unload, chance=self.load_chance)

    def _draw_ms(self, span: Distribution, times: float = 1.0, chance: Random | None = None) -> int:
        slowed = 1 + self.machine.settings.timing.under_load * self.machine.waiting
        slowed *= max((factor for hold, factor in self.slowed.items() if hold.active), default=1)
        return draw_ms(span, self.machine.settings.timing.jitter, chance or self.chance, times * slowed)


def draw_ms(span: Distribution, jitter: float, chance: Random, times: float = 1.0) -> int:
    """One duration, in whole milliseconds: ``times`` the span's, off by at most ``jitter`` as a share."""
    drawn_ms = span.draw_ms(chance) * times
    if jitter:
        drawn_ms *= 1 + chance.uniform(-jitter, jitter)
    return max(0, round(drawn_ms))


def _pixels(outcome: NodeOutcome) -> int:
    """What a sampler works on; the reference where that is no picture."""
    latent = outcome.latent.video if isinstance(outcome.latent, AVLatent) else outcome.latent
    if not isinstance(latent, Latent):
        return REFERENCE_PIXELS
    return latent.width * latent.height * latent.count * latent.steps
