"""Which workflows do the scenarios send?  None of them needs a model file."""

from __future__ import annotations

from typing import Any

Graph = dict[str, dict[str, Any]]

_WIDE = 2300    # pixels: enlarging a picture to this takes a real server some tenths of a second


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    """One node."""
    return {"class_type": class_type, "inputs": inputs}


def empty_image(color: int, width: int = 64, height: int = 64, count: int = 1) -> dict[str, Any]:
    """Pictures of one colour."""
    return node("EmptyImage", width=width, height=height, batch_size=count, color=color)


def preview(color: int, width: int = 64, height: int = 64) -> Graph:
    """The smallest job: a picture, shown."""
    return {"1": empty_image(color, width, height), "2": node("PreviewImage", images=["1", 0])}


def save(prefix: str, color: int, width: int = 64, height: int = 64, count: int = 1) -> Graph:
    """Pictures, written."""
    saved = node("SaveImage", images=["1", 0], filename_prefix=prefix)
    return {"1": empty_image(color, width, height, count), "2": saved}


def slow(color: int, steps: int = 6) -> Graph:
    """A job of ``steps`` nodes that each take a while, from node ``"2"`` on; then a small picture is shown."""
    graph = {"1": empty_image(color, 256, 256)}
    for step in range(steps):
        graph[str(step + 2)] = _scaled(step + 1, "lanczos", _WIDE + step % 2 * 16)
    graph[str(steps + 2)] = _scaled(steps + 1, "nearest-exact", 16)
    graph[str(steps + 3)] = node("PreviewImage", images=[str(steps + 2), 0])
    return graph


def _scaled(source: int, method: str, edge: int) -> dict[str, Any]:
    return node("ImageScale", image=[str(source), 0], upscale_method=method, width=edge, height=edge, crop="disabled")
