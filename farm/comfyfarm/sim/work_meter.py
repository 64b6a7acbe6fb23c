"""What a job has come to so far, whatever machine it runs on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from comfyfarm.events import Work
from comfyfarm.sim.memory import ModelFile


@dataclass(eq=False)
class WorkMeter:
    """Adds up what one run draws durations for, so that another machine's durations can be put in their place."""

    _nodes: Counter[str] = field(default_factory=Counter)
    _steps: Counter[float] = field(default_factory=Counter)
    _saves: int = 0
    _models: dict[ModelFile, int] = field(default_factory=dict)
    _needs: list[tuple[int, ...]] = field(default_factory=list)

    def node(self, class_type: str) -> None:
        """A node ran."""
        self._nodes[class_type] += 1

    def step(self, weight: float) -> None:
        """A sampling step was taken, so many times as long as one of a picture of 512 x 512."""
        self._steps[weight] += 1

    def save(self, files: int) -> None:
        """So many pictures were written or sent."""
        self._saves += files

    def need(self, files: Sequence[ModelFile]) -> None:
        """A node needs these models in memory together."""
        together = tuple(self._models.setdefault(file, len(self._models)) for file in files)
        # The same need again changes nothing in memory; of several models it may turn their order round once.
        told = min(2, len(together))
        if together and self._needs[-told:] != [together] * told:
            self._needs.append(together)

    @property
    def total(self) -> Work:
        """All of it."""
        models = tuple((file.folder, file.name, file.size_bytes) for file in self._models)
        one_by_one = [(index,) for index in range(len(models))]
        return Work(
            nodes=dict(self._nodes),
            steps=tuple(self._steps.items()),
            saves=self._saves,
            models=models,
            needs=() if self._needs == one_by_one else tuple(self._needs),
        )
