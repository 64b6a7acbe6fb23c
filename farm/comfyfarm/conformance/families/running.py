"""What a job says while it runs, and what history says of it afterwards."""

from __future__ import annotations

from typing import Any

from comfyfarm.conformance.described import Step
from comfyfarm.conformance.graphs import Graph, empty_image, node, preview, save
from comfyfarm.conformance.scenario import Family
from comfyfarm.conformance.visit import Session

family = Family("running", "what a job says while it runs, what history says of it, which files it writes")


def only_outputs(history: dict[str, Any]) -> list[Any]:
    """What the jobs of a history showed."""
    return [entry["outputs"] for entry in history.values()]


def _inverted(color: int) -> Graph:
    """A picture is shown, and so is its inverse."""
    inverse = {"3": node("ImageInvert", image=["1", 0]), "4": node("PreviewImage", images=["3", 0])}
    return {**preview(color), **inverse}


@family.scenario
async def run_preview(visit: Session) -> None:
    """The smallest job: every message, its history, its picture."""
    listener = await visit.listen()
    job = await visit.run(preview(visit.fresh()), listener)
    visit.tell(listener)
    for path in (f"/history/{job}", "/history", "/queue", "/prompt"):
        await visit.ask(f"GET {path}")
    (picture,) = (await visit.entry(job))["outputs"]["2"]["images"]
    await visit.ask(f"GET /view?filename={picture['filename']}&type=temp&subfolder=")
    await visit.ask(f"GET /view?filename={picture['filename']}")


@family.scenario
async def run_chain(visit: Session) -> None:
    """Four nodes in a row."""
    listener = await visit.listen()
    graph = {
        "1": empty_image(visit.fresh()),
        "2": node(
            "ImageScale", image=["1", 0], upscale_method="nearest-exact", width=32, height=16, crop="disabled"
        ),
        "3": node("ImageInvert", image=["2", 0]),
        "4": node("PreviewImage", images=["3", 0]),
    }
    job = await visit.run(graph, listener)
    visit.tell(listener)
    await visit.ask(f"GET /history/{job}")


@family.scenario
async def run_partial_targets(visit: Session) -> None:
    """Only the outputs that were asked for run; a string names those whose ids it contains."""
    listener = await visit.listen()
    graph = _inverted(visit.fresh())
    job = await visit.run(graph, listener, partial_execution_targets=["4"])
    visit.tell(listener)
    await visit.ask(f"GET /history/{job}")
    job = await visit.run(graph, listener, partial_execution_targets="24")
    await visit.ask(
        f"GET /history/{job}",
        view=lambda found: [[sorted(entry["prompt"][4]), sorted(entry["outputs"])] for entry in found.values()],
    )


@family.scenario
async def run_no_client_id(visit: Session) -> None:
    """A job of nobody: its progress is told to everybody, its beginning and end to nobody."""
    listener = await visit.listen()
    job = await visit.run(preview(visit.fresh()))
    await visit.handles(listener, "status", start=1, status={"exec_info": {"queue_remaining": 0}})
    visit.tell(listener)
    await visit.ask(f"GET /history/{job}")


@family.scenario
async def run_client_id_in_extra_data(visit: Session) -> None:
    """The client id may stand in extra_data."""
    listener = await visit.listen()
    job = await visit.submit(preview(visit.fresh()), extra_data={"client_id": listener.client_id})
    await visit.until_over(job, heard_by=listener)
    visit.tell(listener)
    await visit.ask(f"GET /history/{job}")


@family.scenario
async def run_two_clients_routing(visit: Session) -> None:
    """Each client hears its own job, and of the other's only the status."""
    one, other = await visit.listen(), await visit.listen()
    await visit.run(preview(visit.fresh()), one)
    await visit.run(preview(visit.fresh()), other)
    visit.tell(one)
    visit.tell(other)


@family.scenario
async def run_usage_source_header(visit: Session) -> None:
    """Comfy-Usage-Source goes into extra_data, unless that has one."""
    for extra_data in ({}, {"comfy_usage_source": "mine"}):
        body = {"prompt": preview(visit.fresh()), "extra_data": extra_data}
        reply = await visit.ask("POST /prompt", json=body, headers={"Comfy-Usage-Source": "driver"})
        visit.learn(reply)
        job = reply.json["prompt_id"]
        await visit.until_over(job)
        await visit.ask(f"GET /history/{job}", view=lambda found: [entry["prompt"][3] for entry in found.values()])


@family.scenario
async def run_given_prompt_id(visit: Session) -> None:
    """A client may name its job; null is no name."""
    listener = await visit.listen()
    job = visit.new_id()
    await visit.run(preview(visit.fresh()), listener, prompt_id=job)
    visit.tell(listener)
    await visit.ask(f"GET /history/{job}")
    await visit.run(preview(visit.fresh()), listener, prompt_id=None)


@family.scenario
async def run_duplicate_prompt_id(visit: Session) -> None:
    """The second job of a name overwrites the first in history."""
    job = visit.new_id()
    await visit.run(preview(visit.fresh()), prompt_id=job)
    await visit.submit(save(visit.tag, visit.fresh()), prompt_id=job)
    await visit.until_idle()
    await visit.until_quiet()
    await visit.ask("GET /history")


@family.scenario
async def run_coercions(visit: Session) -> None:
    """Values are converted to the declared type before they are queued."""
    odd = {"width": "64", "height": 32.9, "batch_size": True, "color": {"__value__": 0}, "bogus": "ignored"}
    number_as_text = {"1": node("PrimitiveString", value=5), "2": node("PreviewAny", source=["1", 0])}
    for graph in ({**preview(0), "1": node("EmptyImage", **odd)}, number_as_text):
        job = await visit.run(graph)
        await visit.ask(f"GET /history/{job}")


@family.scenario
async def run_preview_any(visit: Session) -> None:
    """A text is shown, and so is a number; the jobs API counts texts."""
    listener = await visit.listen()
    text = node("PrimitiveString", value=f"hello {visit.tag}")
    shown = {"2": node("PreviewAny", source=["1", 0])}
    job = await visit.run({"1": text, **shown}, listener)
    visit.tell(listener)
    for path in (f"/history/{job}", f"/api/jobs/{job}", "/api/jobs"):
        await visit.ask(f"GET {path}")
    job = await visit.run({"1": node("PrimitiveInt", value=visit.fresh()), **shown}, listener)
    await visit.ask(f"GET /history/{job}", view=only_outputs)


@family.scenario
async def run_string_nodes(visit: Session) -> None:
    """Texts are joined and measured."""
    graph = {
        "1": node("StringConcatenate", string_a=visit.tag, string_b="b", delimiter="-"),
        "2": node("StringLength", string=["1", 0]),
        "3": node("PreviewAny", source=["2", 0]),
        "4": node("PreviewAny", source=["1", 0]),
    }
    job = await visit.run(graph)
    await visit.ask(f"GET /history/{job}")


@family.scenario
async def run_image_batch(visit: Session) -> None:
    """Two pictures become one batch; which of them is made first is left to chance."""
    listener = await visit.listen()
    graph = {
        "1": empty_image(visit.fresh()),
        "2": empty_image(visit.fresh()),
        "3": node("ImageBatch", image1=["1", 0], image2=["2", 0]),
        "4": node("SaveImage", images=["3", 0], filename_prefix=visit.tag),
    }
    job = await visit.run(graph, listener)
    visit.tell(listener, arrange=_by_node)
    await visit.ask(f"GET /history/{job}")


def _by_node(messages: list[Step]) -> dict[str, Any]:
    """What each node said, and what no node said; the progress of all of them is left out."""
    found: dict[str, list[Step]] = {}
    for message in messages:
        ((kind, data),) = message.items()
        if kind != "progress_state":
            where = str(data.get("node", "-")) if isinstance(data, dict) else "-"
            found.setdefault(where, []).append(message)
    return {"by_node": found}


@family.scenario
async def run_execution_error_bad_image(visit: Session) -> None:
    """A file that is no picture makes its node fail."""
    await visit.upload(f"{visit.tag}.png", b"this is not an image")
    listener = await visit.listen()
    graph = {"1": node("LoadImage", image=f"{visit.tag}.png"), "2": node("PreviewImage", images=["1", 0])}
    job = await visit.run(graph, listener)
    for message in listener.heard:
        if isinstance(message, dict) and message["type"] == "execution_error":
            message["data"] |= {"exception_message": "<text>", "exception_type": "<type>"}    # the decoder's own
    visit.tell(listener)
    await visit.ask(f"GET /history/{job}", view=lambda found: [_ending(entry) for entry in found.values()])


def _ending(entry: dict[str, Any]) -> list[Any]:
    status = entry["status"]
    kinds = [kind for kind, _ in status["messages"]]
    return [entry["outputs"], entry["meta"], status["status_str"], status["completed"], kinds]


@family.scenario
async def run_numeric_node_ids_and_meta(visit: Session) -> None:
    """Node ids need not be numbers; titles and unknown keys of nodes are kept."""
    listener = await visit.listen()
    shown = {**node("PreviewImage", images=["node-a", 0]), "_meta": {"title": "P"}, "is_changed": ["x"]}
    graph = {"node-a": {**empty_image(visit.fresh()), "_meta": {"title": "Empty"}}, "10": shown}
    job = await visit.run(graph, listener)
    visit.tell(listener)
    await visit.ask(f"GET /history/{job}")
