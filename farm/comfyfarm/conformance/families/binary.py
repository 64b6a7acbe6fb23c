"""Texts and pictures that a job sends over the websocket (of the family *running*)."""

from __future__ import annotations

from comfyfarm.conformance.families.running import family, only_outputs
from comfyfarm.conformance.graphs import Graph, empty_image, node
from comfyfarm.conformance.visit import Session


@family.scenario
async def run_text_progress_binary(visit: Session) -> None:
    """A node that tells a text tells it to every socket; its result is cached under any id."""
    listener, other = await visit.listen(), await visit.listen()

    def sized(color: int, node_id: str, shown: str) -> Graph:
        """A graph that measures a picture."""
        measured = node("GetImageSize", image=["1", 0])
        return {"1": empty_image(color, 64, 32), node_id: measured, shown: node("PreviewAny", source=[node_id, 0])}

    job = await visit.run(sized(visit.fresh(), "2", "3"), listener)
    visit.tell(listener)
    visit.tell(other)
    await visit.ask(f"GET /history/{job}", view=only_outputs)
    color = visit.fresh()
    for node_id in ("2", "2", "7"):
        await visit.run(sized(color, node_id, "9"), listener)
    visit.tell(listener, kinds=("execution_cached",), title="GetImageSize as node 2, 2 and 7: cached whatever its id")


@family.scenario
async def run_ws_image_old_format(visit: Session) -> None:
    """Pictures over the websocket, for a client that announced nothing."""
    listener = await visit.listen()
    job = await visit.run(_sent(visit.fresh()), listener)
    visit.tell(listener)
    await visit.ask(f"GET /history/{job}")


@family.scenario
async def run_ws_image_with_metadata(visit: Session) -> None:
    """Pictures over the websocket, for a client that takes them with metadata."""
    listener = await visit.listen()
    listener.say({"type": "feature_flags", "data": {"supports_preview_metadata": True}})
    await visit.handles(listener, "feature_flags")
    await visit.run(_sent(visit.fresh()), listener)
    visit.tell(listener)


def _sent(color: int) -> Graph:
    return {"1": empty_image(color, count=2), "2": node("SaveImageWebsocket", images=["1", 0])}
