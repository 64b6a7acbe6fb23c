"""The durations of one job: drawn from the settings, stretched by load and faults, and added up as its work."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from random import Random
from typing import Any

from comfyfarm.events import Work
from comfyfarm.faults.pauses import Hold
from comfyfarm.sim.distributions import Distribution
from comfyfarm.sim.machine import Machine
from comfyfarm.sim.memory import ModelFile
from comfyfarm.sim.nodes import NodeCall, NodeOutcome
from comfyfarm.sim.settings import Timing
from comfyfarm.sim.values import AVLatent, Latent, ListValue, Mask, Picture

REFERENCE_PIXELS = 512 * 512    # a step's duration in the settings is that of one picture of this size
_GB = 1024**3
_SHOWN = (Picture, Mask, ListValue)


@dataclass(eq=False)
class WorkMeter:
    """Adds up what a job draws durations for, so that the durations of another machine can be put in their place."""

    _nodes: dict[str, int] = field(default_factory=dict)
    _steps: dict[float, int] = field(default_factory=dict)
    _pixels: dict[tuple[str, float], int] = field(default_factory=dict)
    _saves: int = 0
    _models: dict[ModelFile, int] = field(default_factory=dict)
    _needs: list[tuple[int, ...]] = field(default_factory=list)

    def node(self, class_type: str, megapixels: float) -> None:
        self._nodes[class_type] = self._nodes.get(class_type, 0) + 1
        if megapixels:
            made = class_type, megapixels
            self._pixels[made] = self._pixels.get(made, 0) + 1

    def steps(self, weight: float, count: int) -> None:
        """Count sampling steps of which each takes ``weight`` times as long as one of a picture of 512 x 512."""
        self._steps[weight] = self._steps.get(weight, 0) + count

    def save(self, files: int) -> None:
        """Count pictures that were written or sent."""
        self._saves += files

    def need(self, files: Sequence[ModelFile]) -> None:
        """Count the models that a node needs in memory together."""
        models = self._models
        together = tuple([models.setdefault(file, len(models)) for file in files])
        # A repeated need changes nothing in memory, except that of several models it may reverse the order once.
        repeats = min(2, len(together))
        if together and self._needs[-repeats:] != [together] * repeats:
            self._needs.append(together)

    @property
    def total(self) -> Work:
        models = tuple((file.folder, file.name, file.size_bytes) for file in self._models)
        one_by_one = [(index,) for index in range(len(models))]
        return Work(
            nodes=self._nodes,
            steps=tuple(self._steps.items()),
            pixels=tuple((*made, count) for made, count in self._pixels.items()),
            saves=self._saves,
            models=models,
            needs=() if self._needs == one_by_one else tuple(self._needs),
        )


@dataclass(eq=False)
class JobDurations:
    """The durations of one job, in milliseconds.

    The settings are read at each draw, so that a change takes effect at the next step.

    :ivar slowed: by hold, the factor by which a fault slows the job; of several the largest counts.
    :ivar work: what durations have been drawn for.
    """

    machine: Machine
    prompt_id: str
    slowed: dict[Hold, float] = field(default_factory=dict)
    work: WorkMeter = field(default_factory=WorkMeter)

    # The two streams are made when the first random duration is drawn: to make them takes longer than a short job.

    @cached_property
    def chance(self) -> Random:
        """The job's own random stream, so that no job shifts the draws of another."""
        return self.machine.seeds.of("timing").stream(self.prompt_id)

    @cached_property
    def load_chance(self) -> Random:
        """Another one for its models: a model that is loaded already must not shift the other draws."""
        return self.machine.seeds.of("timing").of("models").stream(self.prompt_id)

    def node_ms(self, call: NodeCall, outcome: NodeOutcome) -> int:
        """Draw the duration of a node without its steps, models and the pictures that it writes."""
        timing, megapixels = self.machine.settings.timing, _made_pixels(call, outcome) / 1e6
        self.work.node(call.class_type, megapixels)
        drawn_ms = self._draw_ms(timing, timing.node_span(call.class_type))
        if megapixels and call.class_type not in timing.nodes:
            drawn_ms += self._draw_ms(timing, timing.megapixel, megapixels)
        return drawn_ms

    def step_ms(self, weight: float) -> int:
        """Draw the duration of one sampling step of this weight; its work is counted by the caller."""
        timing = self.machine.settings.timing
        return self._draw_ms(timing, timing.step, weight)

    def save_ms(self, files: int) -> int:
        self.work.save(files)
        timing = self.machine.settings.timing
        return sum([self._draw_ms(timing, timing.save) for _ in range(files)])

    def load_ms(self, file: ModelFile) -> int:
        timing = self.machine.settings.timing
        return self._draw_ms(timing, timing.load_per_gb, file.size_bytes / _GB, is_load=True)

    def unload_ms(self) -> int:
        timing = self.machine.settings.timing
        return self._draw_ms(timing, timing.unload, is_load=True)

    def _draw_ms(
        self, timing: Timing, distribution: Distribution, times: float = 1.0, *, is_load: bool = False
    ) -> int:
        if timing.under_load or self.slowed:
            times *= self._slowdown(timing)
        if distribution.kind == "fixed" and not timing.jitter:
            return round(distribution.first * times)
        return draw_ms(distribution, timing.jitter, self.load_chance if is_load else self.chance, times)

    def _slowdown(self, timing: Timing) -> float:
        under_load = 1 + timing.under_load * self.machine.count_waiting()
        return under_load * max((factor for hold, factor in self.slowed.items() if hold.active), default=1)


def draw_ms(distribution: Distribution, jitter: float, chance: Random, times: float = 1.0) -> int:
    """Draw a duration in whole milliseconds: ``times`` a draw, changed by at most ``jitter`` as a share of it."""
    drawn_ms = distribution.draw_ms(chance) * times
    if jitter:
        drawn_ms *= 1 + chance.uniform(-jitter, jitter)
    return max(0, round(drawn_ms))


def _made_pixels(call: NodeCall, outcome: NodeOutcome) -> int:
    """Return the number of pixels that a node computes from other pictures; 0 if its steps take the time."""
    if outcome.steps:
        return 0
    outputs = [value for value in outcome.values if isinstance(value, _SHOWN)]
    given = [value for value in call.inputs.values() if isinstance(value, _SHOWN)] if outputs else []
    inputs = [picture for value in given for picture in _pictures(value)]
    if not inputs:
        return 0
    made: Sequence[Picture | Mask] = next((pictures for value in outputs if (pictures := _pictures(value))), ())
    return sum(
        picture.width * picture.height * picture.count
        for picture in made
        if not any(picture is passed for passed in inputs)
    )


def _pictures(value: Any) -> Sequence[Picture | Mask]:
    if isinstance(value, Picture | Mask):
        return (value,)
    return [item for item in value.items if isinstance(item, Picture | Mask)] if isinstance(value, ListValue) else ()


def step_weight(outcome: NodeOutcome) -> float:
    """Return the weight of a node's sampling steps, in proportion to what is sampled; 1.0 is one of 512 x 512."""
    latent = outcome.latent.video if isinstance(outcome.latent, AVLatent) else outcome.latent
    if not isinstance(latent, Latent):
        return 1.0
    return latent.width * latent.height * latent.count * latent.steps / REFERENCE_PIXELS
