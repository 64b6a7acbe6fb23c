"""Scenarios, their families, and the workflows that they send."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from comfyfarm.conformance.session import Graph, Session

Play = Callable[[Session], Awaitable[None]]

_WIDE = 2300    # pixels: enlarging a picture to this takes a real server some tenths of a second


@dataclass(frozen=True)
class ConformanceScenario:
    """Something that clients do with a server, whose outcome was recorded.

    :ivar name: the key of its recorded facts.
    :ivar about: what it shows, in one sentence.
    :ivar of_files: if true, it is about output files, which a static instance of the farm does not write.
    """

    name: str
    family: str
    about: str
    play: Play
    of_files: bool = False


@dataclass
class Family:
    """Scenarios about the same subject; their facts are recorded in one file."""

    name: str
    scenarios: list[ConformanceScenario] = field(default_factory=list)

    def scenario(self, play: Play, *, of_files: bool = False) -> Play:
        """Add the decorated function as a scenario; the first line of its docstring says what it shows."""
        self.add(getattr(play, "__name__", ""), (play.__doc__ or "").partition("\n")[0], play, of_files=of_files)
        return play

    def scenario_of_files(self, play: Play) -> Play:
        """Add the decorated function as a scenario about output files."""
        return self.scenario(play, of_files=True)

    def requests(self, name: str, about: str, *lines: str) -> None:
        """Add a scenario that sends each ``METHOD /path`` in turn."""

        async def play(session: Session) -> None:
            for line in lines:
                await session.request(line)

        self.add(name, about, play)

    def add(self, name: str, about: str, play: Play, *, of_files: bool = False) -> None:
        self.scenarios.append(ConformanceScenario(name, self.name, about, play, of_files))


# Workflows; none of them needs a model file.


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def empty_image(color: int, width: int = 64, height: int = 64, count: int = 1) -> dict[str, Any]:
    """Return a node that makes ``count`` pictures of one colour."""
    return node("EmptyImage", width=width, height=height, batch_size=count, color=color)


def preview(color: int, width: int = 64, height: int = 64) -> Graph:
    """Return the smallest workflow: one picture, previewed."""
    return {"1": empty_image(color, width, height), "2": node("PreviewImage", images=["1", 0])}


def save(prefix: str, color: int, width: int = 64, height: int = 64, count: int = 1) -> Graph:
    """Return a workflow that saves ``count`` pictures."""
    saved = node("SaveImage", images=["1", 0], filename_prefix=prefix)
    return {"1": empty_image(color, width, height, count), "2": saved}


def slow(color: int, steps: int = 6) -> Graph:
    """Return a workflow of ``steps`` slow nodes, from node ``"2"`` on, that then previews a small picture."""
    graph = {"1": empty_image(color, 256, 256)}
    for step in range(steps):
        graph[str(step + 2)] = _scaled(step + 1, "lanczos", _WIDE + step % 2 * 16)
    graph[str(steps + 2)] = _scaled(steps + 1, "nearest-exact", 16)
    graph[str(steps + 3)] = node("PreviewImage", images=[str(steps + 2), 0])
    return graph


def _scaled(source: int, method: str, edge: int) -> dict[str, Any]:
    return node("ImageScale", image=[str(source), 0], upscale_method=method, width=edge, height=edge, crop="disabled")
