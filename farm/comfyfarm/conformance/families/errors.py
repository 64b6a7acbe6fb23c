"""Prompts that the server refuses, and its error messages."""

from typing import Any

from comfyfarm.conformance.scenario import Family, empty_image, node, preview
from comfyfarm.conformance.session import Graph, Session

family = Family("errors")


async def _post_refused(session: Session, *graphs: Graph, **fields: Any) -> None:
    """Post prompts that should be refused, and record the queue after each."""
    for graph in graphs:
        if (await session.post(graph, **fields)).status == 200:     # the next one must find the queue empty
            await session.until_idle()
        await session.get("/queue")


def _refused(name: str, about: str, *graphs: Graph) -> None:
    """Add a scenario of prompts that should be refused."""
    family.add(name, about, lambda session: _post_refused(session, *graphs))


def _previewed(*sources: dict[str, Any]) -> Graph:
    """Return the nodes with ids from ``"1"`` on, and a preview of the last one's first output."""
    graph = {str(number): source for number, source in enumerate(sources, start=1)}
    return {**graph, str(len(sources) + 1): node("PreviewImage", images=[str(len(sources)), 0])}


def _mask(value: object) -> Graph:
    return _previewed(node("SolidMask", value=value, width=8, height=8), node("MaskToImage", mask=["1", 0]))


def _scaled(**inputs: Any) -> Graph:
    scale = {"image": ["1", 0], "width": 8, "height": 8, "crop": "disabled", **inputs}
    return _previewed(empty_image(0), node("ImageScale", **scale))


@family.scenario
async def err_no_prompt(session: Session) -> None:
    """A body without a prompt is refused."""
    await session.request("POST /prompt", json={})
    await session.request("POST /prompt", json={"client_id": "x", "number": 3})


_refused(
    "err_missing_class_type",
    "A node without a class_type is refused, and named by its title or its id.",
    {"1": {"inputs": {}}},
    {"7": {"inputs": {}, "_meta": {"title": "My Node"}}},
    {"7": {"inputs": {}, "_meta": {}}},
)
_refused(
    "err_unknown_class_type",
    "An unknown node type is refused.",
    {"1": node("NoSuchNode")},
    {"3": {**node("NoSuchNode"), "_meta": {"title": "My Node"}}},
    {"1": {"class_type": None, "inputs": {}}},
    {"1": {"class_type": "NoSuchNode"}},
)
_refused("err_no_outputs", "A prompt without an output node is refused.", {"1": empty_image(0)}, {})
_refused(
    "err_required_input_missing",
    "A missing input is an error, at the output node and at a node before it.",
    {"1": node("PreviewImage")},
    _previewed(node("EmptyImage", width=64, height=64, color=0)),
)
_refused(
    "err_bad_linked_input",
    "A link that is not two items long is an error.",
    *({"1": empty_image(0), "2": node("PreviewImage", images=link)} for link in (["1", 0, 0], [], ["1"])),
)
_refused(
    "err_return_type_mismatch",
    "A mask is an error at an input that takes pictures.",
    _previewed(node("SolidMask", value=1.0, width=8, height=8)),
)
_refused(
    "err_invalid_input_type",
    "A value that Python cannot convert to the declared type is an error.",
    *(
        _previewed(node("EmptyImage", width=width, height=64, batch_size=1, color=0))
        for width in ("abc", None, {}, {"a": 1}, "", "1.5")
    ),
    _mask("x"),
)
_refused(
    "err_min_max",
    "A number below or above the declared bounds is an error.",
    preview(0, width=0),
    preview(0, width=99999),
    preview(0, width=-5, height=99999),
    preview(0x1000000),
    _mask(1.5),
)

_LATENT = node("EmptyLatentImage", width=64, height=64, batch_size=1)
_SAMPLING = {"seed": 0, "steps": 1, "cfg": 1.0, "sampler_name": "bogus", "scheduler": "normal", "denoise": 1.0}
_refused(
    "err_value_not_in_list",
    "A value that is not among the choices is an error; of a long list, the error gives only the length.",
    _scaled(upscale_method="bogus"),
    _scaled(upscale_method=None, crop=5),
    {
        "1": _LATENT,
        "2": node("KSampler", latent_image=["1", 0], **_SAMPLING),
        "3": node("SaveLatent", samples=["2", 0], filename_prefix="x"),
    },
    {
        "1": node("CheckpointLoaderSimple", ckpt_name="nope.safetensors"),
        "2": node("VAEDecode", samples=["3", 0], vae=["1", 2]),
        "3": _LATENT,
        "4": node("PreviewImage", images=["2", 0]),
    },
)
_refused(
    "err_custom_validation_failed",
    "LoadImage's own validation refuses pictures that do not exist.",
    *(_previewed(node("LoadImage", image=name)) for name in ("no_such_file.png", "../../etc/passwd_nope", 5, "")),
)
_refused(
    "err_dependency_cycle",
    "A cycle of two nodes is an error, and so is a node that feeds itself.",
    {
        "1": node("ImageInvert", image=["2", 0]),
        "2": node("ImageInvert", image=["1", 0]),
        "3": node("PreviewImage", images=["2", 0]),
    },
    {"1": node("ImageInvert", image=["1", 0]), "3": node("PreviewImage", images=["1", 0])},
)


@family.scenario
async def partly_valid_prompt(session: Session) -> None:
    """If one output is valid and one is not, the valid one runs and the reply has the errors of the other."""
    await session.run_recorded({**preview(session.fresh()), "3": node("PreviewImage")}, await session.listen())


@family.scenario
async def err_prompt_id(session: Session) -> None:
    """A prompt id that is not a canonical UUID is refused."""
    invalid_ids: tuple[object, ...] = (
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
    for prompt_id in invalid_ids:
        await session.post(preview(session.fresh()), prompt_id=prompt_id)


@family.scenario
async def err_partial_targets(session: Session) -> None:
    """Partial execution targets without any output node are refused."""
    for target in ([], ["99"], ["1"], 5):
        await _post_refused(session, preview(0), partial_execution_targets=target)


@family.scenario
async def err_errors_do_not_queue_but_count(session: Session) -> None:
    """A refused prompt uses up a number; a body that is not JSON and an explicit number do not."""
    await session.post(preview(session.fresh()))
    await session.request("POST /prompt", json={}, as_line="POST /prompt {}")
    await session.request("POST /prompt", data=b"x", as_line="POST /prompt x")
    await session.post({})
    await session.post(preview(session.fresh()), number=7)
    await session.post(preview(session.fresh()))
    await session.until_idle()
