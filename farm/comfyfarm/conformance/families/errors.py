"""Prompts that the server refuses, and in which words."""

from __future__ import annotations

from typing import Any

from comfyfarm.conformance.graphs import Graph, empty_image, node, preview
from comfyfarm.conformance.scenario import Family
from comfyfarm.conformance.visit import Session

family = Family("errors", "prompts that are refused, and in which words")


async def _refused(visit: Session, *graphs: Graph, **fields: Any) -> None:
    """Post prompts that should not be taken on; should one be, wait for it, so that the next finds the queue empty."""
    for graph in graphs:
        if (await visit.post(graph, **fields)).status == 200:
            await visit.until_idle()
        await visit.ask("GET /queue")


def _shown(*sources: dict[str, Any]) -> Graph:
    """Nodes from ``"1"`` on; the last one's first output is previewed."""
    graph = {str(place): source for place, source in enumerate(sources, start=1)}
    return {**graph, str(len(sources) + 1): node("PreviewImage", images=[str(len(sources)), 0])}


def _mask(value: object) -> Graph:
    return _shown(node("SolidMask", value=value, width=8, height=8), node("MaskToImage", mask=["1", 0]))


def _scaled(**inputs: Any) -> Graph:
    scale = {"image": ["1", 0], "width": 8, "height": 8, "crop": "disabled", **inputs}
    return _shown(empty_image(0), node("ImageScale", **scale))


@family.scenario
async def err_no_prompt(visit: Session) -> None:
    """A body without a prompt."""
    await visit.ask("POST /prompt", json={})
    await visit.ask("POST /prompt", json={"client_id": "x", "number": 3})


@family.scenario
async def err_missing_class_type(visit: Session) -> None:
    """A node without a class_type is named by its title, or by its id."""
    await _refused(
        visit,
        {"1": {"inputs": {}}},
        {"7": {"inputs": {}, "_meta": {"title": "My Node"}}},
        {"7": {"inputs": {}, "_meta": {}}},
    )


@family.scenario
async def err_unknown_class_type(visit: Session) -> None:
    """A node type that the server does not have."""
    await _refused(
        visit,
        {"1": node("NoSuchNode")},
        {"3": {**node("NoSuchNode"), "_meta": {"title": "My Node"}}},
        {"1": {"class_type": None, "inputs": {}}},
        {"1": {"class_type": "NoSuchNode"}},
    )


@family.scenario
async def err_no_outputs(visit: Session) -> None:
    """A prompt that shows nothing."""
    await _refused(visit, {"1": empty_image(0)}, {})


@family.scenario
async def err_required_input_missing(visit: Session) -> None:
    """An input is missing, of the output itself and of a node before it."""
    no_batch_size = node("EmptyImage", width=64, height=64, color=0)
    await _refused(visit, {"1": node("PreviewImage")}, _shown(no_batch_size))


@family.scenario
async def err_bad_linked_input(visit: Session) -> None:
    """Links that are not two items long."""
    for link in (["1", 0, 0], [], ["1"]):
        await _refused(visit, {"1": empty_image(0), "2": node("PreviewImage", images=link)})


@family.scenario
async def err_return_type_mismatch(visit: Session) -> None:
    """A mask where a picture is wanted."""
    await _refused(visit, _shown(node("SolidMask", value=1.0, width=8, height=8)))


@family.scenario
async def err_invalid_input_type(visit: Session) -> None:
    """Values that Python does not convert to the declared type."""
    for width in ("abc", None, {}, {"a": 1}, "", "1.5"):
        await _refused(visit, _shown(node("EmptyImage", width=width, height=64, batch_size=1, color=0)))
    await _refused(visit, _mask("x"))


@family.scenario
async def err_min_max(visit: Session) -> None:
    """Numbers below and above what is declared."""
    await _refused(
        visit,
        preview(0, width=0),
        preview(0, width=99999),
        preview(0, width=-5, height=99999),
        preview(0x1000000),
        _mask(1.5),
    )


@family.scenario
async def err_value_not_in_list(visit: Session) -> None:
    """Choices that are not offered; a long list is told by its length."""
    latent = node("EmptyLatentImage", width=64, height=64, batch_size=1)
    sampling = {"seed": 0, "steps": 1, "cfg": 1.0, "sampler_name": "bogus", "scheduler": "normal", "denoise": 1.0}
    await _refused(
        visit,
        _scaled(upscale_method="bogus"),
        _scaled(upscale_method=None, crop=5),
        {
            "1": latent,
            "2": node("KSampler", latent_image=["1", 0], **sampling),
            "3": node("SaveLatent", samples=["2", 0], filename_prefix="x"),
        },
        {
            "1": node("CheckpointLoaderSimple", ckpt_name="nope.safetensors"),
            "2": node("VAEDecode", samples=["3", 0], vae=["1", 2]),
            "3": latent,
            "4": node("PreviewImage", images=["2", 0]),
        },
    )


@family.scenario
async def err_custom_validation_failed(visit: Session) -> None:
    """Pictures that are not there, which LoadImage finds out itself."""
    for name in ("no_such_file.png", "../../etc/passwd_nope", 5, ""):
        await _refused(visit, _shown(node("LoadImage", image=name)))


@family.scenario
async def err_dependency_cycle(visit: Session) -> None:
    """Nodes that feed each other, and one that feeds itself."""
    await _refused(
        visit,
        {
            "1": node("ImageInvert", image=["2", 0]),
            "2": node("ImageInvert", image=["1", 0]),
            "3": node("PreviewImage", images=["2", 0]),
        },
        {"1": node("ImageInvert", image=["1", 0]), "3": node("PreviewImage", images=["1", 0])},
    )


@family.scenario
async def partly_valid_prompt(visit: Session) -> None:
    """One output is in order and one is not: the first runs, the other is told."""
    listener = await visit.listen()
    graph = {**preview(visit.fresh()), "3": node("PreviewImage")}
    job = await visit.run(graph, listener)
    visit.tell(listener)
    await visit.ask(f"GET /history/{job}")


@family.scenario
async def err_prompt_id(visit: Session) -> None:
    """Prompt ids that are no canonical UUID."""
    wrong: tuple[object, ...] = (
        "abc",
        "",
        5,
        {},
        [],
        True,
        "A987FBC9-4BED-3078-CF07-9141BA07C9F3",
        "a987fbc94bed3078cf079141ba07c9f3",
        "{a987fbc9-4bed-3078-cf07-9141ba07c9f3}",
    )
    for prompt_id in wrong:
        await visit.post(preview(visit.fresh()), prompt_id=prompt_id)


@family.scenario
async def err_partial_targets(visit: Session) -> None:
    """Targets among which no output is."""
    targets: tuple[object, ...] = ([], ["99"], ["1"], 5)
    for target in targets:
        await _refused(visit, preview(0), partial_execution_targets=target)


@family.scenario
async def err_errors_do_not_queue_but_count(visit: Session) -> None:
    """A refused prompt uses up a number; a body that is no JSON and an explicit number do not."""
    await visit.post(preview(visit.fresh()))
    await visit.ask("POST /prompt", json={}, as_line="POST /prompt {}")
    await visit.ask("POST /prompt", data=b"x", as_line="POST /prompt x")
    await visit.post({})
    await visit.post(preview(visit.fresh()), number=7)
    await visit.post(preview(visit.fresh()))
    await visit.until_idle()
