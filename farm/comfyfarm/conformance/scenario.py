"""What is a scenario, and what is a family of them?"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from comfyfarm.conformance.visit import Session

Play = Callable[[Session], Awaitable[None]]


@dataclass(frozen=True)
class ConformanceScenario:
    """A short story that a server is taken through.

    :ivar name: what its recorded facts go by.
    :ivar about: what it shows, in a sentence.
    :ivar of_files: whether it is about output files, which a static instance of the farm does not write.
    """

    name: str
    family: str
    about: str
    play: Play
    of_files: bool = False


@dataclass
class Family:
    """Scenarios about the same thing.

    :ivar about: what, for people.
    """

    name: str
    about: str
    scenarios: list[ConformanceScenario] = field(default_factory=list)

    def scenario(self, play: Play) -> Play:
        """Make a function a scenario; its docstring says what it shows."""
        return self._add(play, of_files=False)

    def scenario_of_files(self, play: Play) -> Play:
        """Make a function a scenario about output files."""
        return self._add(play, of_files=True)

    def requests(self, name: str, about: str, *lines: str) -> None:
        """Make a list of ``METHOD /path`` a scenario."""

        async def play(visit: Session) -> None:
            for line in lines:
                await visit.ask(line)

        self.scenarios.append(ConformanceScenario(name, self.name, about, play))

    def _add(self, play: Play, *, of_files: bool) -> Play:
        name, about = getattr(play, "__name__", ""), (play.__doc__ or "").partition("\n")[0]
        self.scenarios.append(ConformanceScenario(name, self.name, about, play, of_files))
        return play
