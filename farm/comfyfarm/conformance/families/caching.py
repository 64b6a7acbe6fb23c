"""The result cache: nodes that a job does not run again (of the family *running*)."""

from comfyfarm.conformance.families.files import png
from comfyfarm.conformance.families.running import family
from comfyfarm.conformance.scenario import empty_image, node, save
from comfyfarm.conformance.session import Session

_FREE_S = 0.3      # the worker handles /free without any message


@family.scenario
async def run_cached_rerun(session: Session) -> None:
    """A repeated job runs no node, and names the file of the first one."""
    listener = await session.listen()
    graph = save(session.tag, session.fresh())
    await session.run(graph, listener)
    await session.run_recorded(graph, listener)


@family.scenario
async def run_cached_other_ids(session: Session) -> None:
    """A graph is found in the cache under other node ids, too; meta keeps the old ids."""
    listener = await session.listen()
    color = session.fresh()
    await session.run(save(session.tag, color), listener)
    renamed = {"a": empty_image(color), "b": node("SaveImage", images=["a", 0], filename_prefix=session.tag)}
    await session.run_recorded(renamed, listener)


@family.scenario
async def run_cached_after_free(session: Session) -> None:
    """free_memory empties the result cache; unload_models does not."""
    listener = await session.listen()
    graph = save(session.tag, session.fresh())
    await session.run(graph, listener)
    for action, kinds in (("free_memory", ("execution_cached", "executed")), ("unload_models", ("execution_cached",))):
        await session.request("POST /free", json={action: True}, as_line=f"POST /free {action}")
        await session.pause(_FREE_S)
        await session.run(graph, listener)
        session.record(listener, kinds=kinds)


@family.scenario_of_files
async def run_cached_after_error(session: Session) -> None:
    """Nodes that finished before an error stay cached."""
    listener = await session.listen()
    graph = save(f"../{session.tag}", session.fresh())
    await session.run(graph, listener)
    await session.run(graph, listener)
    session.record(listener, kinds=("execution_cached", "executing"))


@family.scenario
async def run_load_image_changed_file(session: Session) -> None:
    """LoadImage stays cached until its file changes."""
    listener = await session.listen()
    graph = {"1": node("LoadImage", image=f"{session.tag}.png"), "2": node("PreviewImage", images=["1", 0])}
    await session.upload(f"{session.tag}.png", png(16, 8))
    await session.run(graph, listener)
    await session.run(graph, listener)
    await session.upload(f"{session.tag}.png", png(16, 8, (0, 9, 9)), overwrite="true")
    await session.run(graph, listener)
    session.record(listener, kinds=("execution_cached", "executing"))
