"""What a job need not run, because an earlier one did (of the family *running*)."""

from __future__ import annotations

from io import BytesIO

from PIL import Image

from comfyfarm.conformance.families.running import family
from comfyfarm.conformance.graphs import empty_image, node, save
from comfyfarm.conformance.visit import Session

_FREED_S = 0.3      # /free is handled by the worker, which nothing tells of


@family.scenario
async def run_cached_rerun(visit: Session) -> None:
    """The same job again runs nothing, and names the old file."""
    listener = await visit.listen()
    graph = save(visit.tag, visit.fresh())
    await visit.run(graph, listener)
    job = await visit.run(graph, listener)
    visit.tell(listener)
    await visit.ask(f"GET /history/{job}")


@family.scenario
async def run_cached_other_ids(visit: Session) -> None:
    """So does the same graph under other node ids; meta keeps the old ones."""
    listener = await visit.listen()
    color = visit.fresh()
    await visit.run(save(visit.tag, color), listener)
    renamed = {"a": empty_image(color), "b": node("SaveImage", images=["a", 0], filename_prefix=visit.tag)}
    job = await visit.run(renamed, listener)
    visit.tell(listener)
    await visit.ask(f"GET /history/{job}")


@family.scenario
async def run_cached_after_free(visit: Session) -> None:
    """free_memory empties the cache, unload_models does not."""
    listener = await visit.listen()
    graph = save(visit.tag, visit.fresh())
    await visit.run(graph, listener)
    for what, kinds in (("free_memory", ("execution_cached", "executed")), ("unload_models", ("execution_cached",))):
        await visit.ask("POST /free", json={what: True}, as_line=f"POST /free {what}")
        await visit.pause(_FREED_S)
        await visit.run(graph, listener)
        visit.tell(listener, kinds=kinds)


@family.scenario_of_files
async def run_cached_after_error(visit: Session) -> None:
    """The nodes that finished before an error stay cached."""
    listener = await visit.listen()
    graph = save(f"../{visit.tag}", visit.fresh())
    await visit.run(graph, listener)
    await visit.run(graph, listener)
    visit.tell(listener, kinds=("execution_cached", "executing"))


@family.scenario
async def run_load_image_changed_file(visit: Session) -> None:
    """LoadImage is cached as long as its file is the same."""
    listener = await visit.listen()
    graph = {"1": node("LoadImage", image=f"{visit.tag}.png"), "2": node("PreviewImage", images=["1", 0])}
    await visit.upload(f"{visit.tag}.png", _png((255, 0, 0)))
    await visit.run(graph, listener)
    await visit.run(graph, listener)
    await visit.upload(f"{visit.tag}.png", _png((0, 9, 9)), overwrite="true")
    await visit.run(graph, listener)
    visit.tell(listener, kinds=("execution_cached", "executing"))


def _png(color: tuple[int, int, int]) -> bytes:
    file = BytesIO()
    Image.new("RGB", (16, 8), color).save(file, "PNG")
    return file.getvalue()
