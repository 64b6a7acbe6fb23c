"""The messages of a running job, and its history entry."""

from typing import Any

from comfyfarm.conformance.describe import Step
from comfyfarm.conformance.scenario import Family, empty_image, node, preview, save
from comfyfarm.conformance.session import Graph, Session

family = Family("running")


def only_outputs(history: dict[str, Any]) -> list[Any]:
    return [entry["outputs"] for entry in history.values()]


@family.scenario
async def run_preview(session: Session) -> None:
    """The smallest job sends its messages, gets a history entry, and writes a picture."""
    job = await session.run_recorded(preview(session.fresh()), await session.listen())
    await session.get("/history", "/queue", "/prompt")
    (picture,) = (await session.history_entry(job))["outputs"]["2"]["images"]
    await session.get(f"/view?filename={picture['filename']}&type=temp&subfolder=")
    await session.get(f"/view?filename={picture['filename']}")


@family.scenario
async def run_chain(session: Session) -> None:
    """Four nodes run in a row."""
    graph = {
        "1": empty_image(session.fresh()),
        "2": node("ImageScale", image=["1", 0], upscale_method="nearest-exact", width=32, height=16, crop="disabled"),
        "3": node("ImageInvert", image=["2", 0]),
        "4": node("PreviewImage", images=["3", 0]),
    }
    await session.run_recorded(graph, await session.listen())


@family.scenario
async def run_partial_targets(session: Session) -> None:
    """Only the requested outputs run; a string selects the outputs whose ids it contains."""
    listener = await session.listen()
    inverse = {"3": node("ImageInvert", image=["1", 0]), "4": node("PreviewImage", images=["3", 0])}
    graph = {**preview(session.fresh()), **inverse}
    await session.run_recorded(graph, listener, partial_execution_targets=["4"])
    job = await session.run(graph, listener, partial_execution_targets="24")
    await session.get(
        f"/history/{job}",
        view=lambda found: [[sorted(entry["prompt"][4]), sorted(entry["outputs"])] for entry in found.values()],
    )


@family.scenario
async def run_no_client_id(session: Session) -> None:
    """The progress of a job without a client id is sent to every client, its start and end to none."""
    listener = await session.listen()
    job = await session.run(preview(session.fresh()))
    await session.wait_for_message(listener, "status", start=1, status={"exec_info": {"queue_remaining": 0}})
    session.record(listener)
    await session.get(f"/history/{job}")


@family.scenario
async def run_client_id_in_extra_data(session: Session) -> None:
    """The client id may be in extra_data."""
    listener = await session.listen()
    job = await session.submit(preview(session.fresh()), extra_data={"client_id": listener.client_id})
    await session.until_done(job, listener=listener)
    session.record(listener)
    await session.get(f"/history/{job}")


@family.scenario
async def run_two_clients_routing(session: Session) -> None:
    """Each client receives the messages of its own job, and only the status of another's."""
    one, other = await session.listen(), await session.listen()
    await session.run(preview(session.fresh()), one)
    await session.run(preview(session.fresh()), other)
    session.record(one)
    session.record(other)


@family.scenario
async def run_usage_source_header(session: Session) -> None:
    """The header Comfy-Usage-Source is copied to extra_data unless that has a value."""
    for extra_data in ({}, {"comfy_usage_source": "mine"}):
        body = {"prompt": preview(session.fresh()), "extra_data": extra_data}
        reply = await session.request("POST /prompt", json=body, headers={"Comfy-Usage-Source": "driver"})
        session.register_job(reply)
        job = reply.json["prompt_id"]
        await session.until_done(job)
        await session.get(f"/history/{job}", view=lambda history: [entry["prompt"][3] for entry in history.values()])


@family.scenario
async def run_given_prompt_id(session: Session) -> None:
    """A client may choose the id of its job; null counts as no id."""
    listener = await session.listen()
    await session.run_recorded(preview(session.fresh()), listener, prompt_id=session.new_id())
    await session.run(preview(session.fresh()), listener, prompt_id=None)


@family.scenario
async def run_duplicate_prompt_id(session: Session) -> None:
    """A second job with the same id replaces the first in history."""
    job = session.new_id()
    await session.run(preview(session.fresh()), prompt_id=job)
    await session.submit(save(session.tag, session.fresh()), prompt_id=job)
    await session.until_idle()
    await session.until_quiet()
    await session.get("/history")


@family.scenario
async def run_coercions(session: Session) -> None:
    """Values are converted to the declared type before the job is queued."""
    odd = {"width": "64", "height": 32.9, "batch_size": True, "color": {"__value__": 0}, "bogus": "ignored"}
    number_as_text = {"1": node("PrimitiveString", value=5), "2": node("PreviewAny", source=["1", 0])}
    for graph in ({**preview(0), "1": node("EmptyImage", **odd)}, number_as_text):
        await session.run_recorded(graph)


@family.scenario
async def run_preview_any(session: Session) -> None:
    """A text and a number are previewed; the jobs API counts texts."""
    listener = await session.listen()
    text = node("PrimitiveString", value=f"hello {session.tag}")
    previews = {"2": node("PreviewAny", source=["1", 0])}
    job = await session.run_recorded({"1": text, **previews}, listener)
    await session.get(f"/api/jobs/{job}", "/api/jobs")
    job = await session.run({"1": node("PrimitiveInt", value=session.fresh()), **previews}, listener)
    await session.get(f"/history/{job}", view=only_outputs)


@family.scenario
async def run_string_nodes(session: Session) -> None:
    """String nodes join texts and return their length."""
    graph = {
        "1": node("StringConcatenate", string_a=session.tag, string_b="b", delimiter="-"),
        "2": node("StringLength", string=["1", 0]),
        "3": node("PreviewAny", source=["2", 0]),
        "4": node("PreviewAny", source=["1", 0]),
    }
    await session.run_recorded(graph)


@family.scenario
async def run_image_batch(session: Session) -> None:
    """Two pictures are joined into one batch; either may be made first."""
    listener = await session.listen()
    graph = {
        "1": empty_image(session.fresh()),
        "2": empty_image(session.fresh()),
        "3": node("ImageBatch", image1=["1", 0], image2=["2", 0]),
        "4": node("SaveImage", images=["3", 0], filename_prefix=session.tag),
    }
    job = await session.run(graph, listener)
    session.record(listener, arrange=_by_node)
    await session.get(f"/history/{job}")


def _by_node(messages: list[Step]) -> dict[str, Any]:
    """Group the messages by node, without ``progress_state``; ``-`` stands for no node."""
    found: dict[str, list[Step]] = {}
    for message in messages:
        ((kind, data),) = message.items()
        if kind != "progress_state":
            node_id = str(data.get("node", "-")) if isinstance(data, dict) else "-"
            found.setdefault(node_id, []).append(message)
    return {"by_node": found}


@family.scenario
async def run_execution_error_bad_image(session: Session) -> None:
    """LoadImage fails if its file is not a picture."""
    await session.upload(f"{session.tag}.png", b"this is not an image")
    listener = await session.listen()
    graph = {"1": node("LoadImage", image=f"{session.tag}.png"), "2": node("PreviewImage", images=["1", 0])}
    job = await session.run(graph, listener)
    for message in listener.received:
        if isinstance(message, dict) and message["type"] == "execution_error":
            message["data"] |= {"exception_message": "<text>", "exception_type": "<type>"}    # the decoder's
    session.record(listener)
    await session.get(f"/history/{job}", view=lambda history: [_ending(entry) for entry in history.values()])


def _ending(entry: dict[str, Any]) -> list[Any]:
    status = entry["status"]
    kinds = [kind for kind, _ in status["messages"]]
    return [entry["outputs"], entry["meta"], status["status_str"], status["completed"], kinds]


@family.scenario
async def run_numeric_node_ids_and_meta(session: Session) -> None:
    """Node ids need not be numbers; titles and unknown keys of nodes are kept."""
    shown = {**node("PreviewImage", images=["node-a", 0]), "_meta": {"title": "P"}, "is_changed": ["x"]}
    graph = {"node-a": {**empty_image(session.fresh()), "_meta": {"title": "Empty"}}, "10": shown}
    await session.run_recorded(graph, await session.listen())


@family.scenario
async def run_text_progress_binary(session: Session) -> None:
    """A node's text is sent to every websocket; the node's result is cached whatever its id."""
    listener, other = await session.listen(), await session.listen()

    def sized(color: int, node_id: str, preview_id: str) -> Graph:
        measured = node("GetImageSize", image=["1", 0])
        return {"1": empty_image(color, 64, 32), node_id: measured, preview_id: node("PreviewAny", source=[node_id, 0])}

    job = await session.run(sized(session.fresh(), "2", "3"), listener)
    session.record(listener)
    session.record(other)
    await session.get(f"/history/{job}", view=only_outputs)
    color = session.fresh()
    for node_id in ("2", "2", "7"):
        await session.run(sized(color, node_id, "9"), listener)
    title = "GetImageSize as node 2, 2 and 7: cached whatever its id"
    session.record(listener, kinds=("execution_cached",), title=title)


@family.scenario
async def run_ws_image_old_format(session: Session) -> None:
    """A client without feature flags receives pictures in the old binary format."""
    await session.run_recorded(_websocket_images(session.fresh()), await session.listen())


@family.scenario
async def run_ws_image_with_metadata(session: Session) -> None:
    """A client with supports_preview_metadata receives pictures with metadata."""
    if not session.behaviour.has_features:
        session.note("there are no feature flags")
        return
    listener = await session.listen()
    listener.send_json({"type": "feature_flags", "data": {"supports_preview_metadata": True}})
    await session.wait_for_message(listener, "feature_flags")
    await session.run(_websocket_images(session.fresh()), listener)
    session.record(listener)


def _websocket_images(color: int) -> Graph:
    return {"1": empty_image(color, count=2), "2": node("SaveImageWebsocket", images=["1", 0])}
