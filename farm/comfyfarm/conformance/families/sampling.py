"""A sampler reports its steps.

These scenarios need a checkpoint, and are skipped if the server has none.
"""

from typing import Any

from comfyfarm.clients.websocket import Message
from comfyfarm.conformance.progress import Expected, broken_rules
from comfyfarm.conformance.scenario import Family, node
from comfyfarm.conformance.session import Graph, NotPossible, Session
from comfyfarm.conformance.socket_recorder import SocketRecorder

family = Family("sampling")

_SAMPLER = "5"
_WIDTH, _HEIGHT = 768, 384
_PREVIEW = 512, 256     # at most 512 pixels on the longer side


async def _graph(session: Session, steps: int, denoise: float = 1.0, count: int = 1) -> Graph:
    """Return a text-to-image workflow with the server's first checkpoint."""
    sampling = {"steps": steps, "cfg": 7.0, "sampler_name": "euler", "scheduler": "normal", "denoise": denoise}
    links = {"model": ["1", 0], "positive": ["2", 0], "negative": ["3", 0], "latent_image": ["4", 0]}
    return {
        "1": node("CheckpointLoaderSimple", ckpt_name=await _checkpoint(session)),
        "2": node("CLIPTextEncode", text=session.tag, clip=["1", 1]),
        "3": node("CLIPTextEncode", text="", clip=["1", 1]),
        "4": node("EmptyLatentImage", width=_WIDTH, height=_HEIGHT, batch_size=count),
        _SAMPLER: node("KSampler", seed=session.fresh(), **sampling, **links),
        "6": node("VAEDecode", samples=[_SAMPLER, 0], vae=["1", 2]),
        "7": node("PreviewImage", images=["6", 0]),
    }


async def _checkpoint(session: Session) -> str:
    entry = await session.peek("/object_info/CheckpointLoaderSimple")
    names = entry["CheckpointLoaderSimple"]["input"]["required"]["ckpt_name"][0]
    if not names:
        raise NotPossible("the server has no checkpoint")
    return str(names[0])


async def _check(
    session: Session, listener: SocketRecorder, graph: Graph, expected: Expected, **extra_data: Any
) -> list[Message]:
    """Run a job, note the rules that its messages break, and return the messages."""
    start = len(listener.received)
    await session.run(graph, listener, record=False, extra_data=extra_data)
    messages = listener.received[start:]
    broken = broken_rules(messages, expected, has_states=session.behaviour.has_progress_state)
    session.note(f"{expected.steps} steps", broken_rules=broken)
    return messages


def _require_preview_method(session: Session) -> None:
    if not session.behaviour.takes_preview_method:
        raise NotPossible("a job of this version cannot ask for previews")


@family.scenario
async def sampler_progress(session: Session) -> None:
    """Without previews, the first and the last step are reported, and others at most every 100 ms."""
    listener = await session.listen()
    await _check(session, listener, await _graph(session, 4), Expected(_SAMPLER, 4))
    await _check(session, listener, await _graph(session, 40), Expected(_SAMPLER, 40))


@family.scenario
async def sampler_denoise_half(session: Session) -> None:
    """Half the denoising takes as many steps; the nodes before the sampler are cached."""
    listener = await session.listen()
    await _check(session, listener, await _graph(session, 4), Expected(_SAMPLER, 4))
    messages = await _check(session, listener, await _graph(session, 4, denoise=0.5), Expected(_SAMPLER, 4))
    cached = [message for message in messages if isinstance(message, dict) and message["type"] == "execution_cached"]
    session.note("a new seed", cached=sorted(cached[0]["data"]["nodes"]))


@family.scenario
async def sampler_previews(session: Session) -> None:
    """With previews, every step is reported, and the picture is sent last."""
    _require_preview_method(session)
    listener = await session.listen()
    expected = Expected(_SAMPLER, 3, previews=1, size=_PREVIEW)
    await _check(session, listener, await _graph(session, 3), expected, preview_method="latent2rgb")


@family.scenario
async def sampler_previews_with_metadata(session: Session) -> None:
    """With preview metadata, the picture is sent before the progress."""
    _require_preview_method(session)
    listener = await session.listen()
    listener.send_json({"type": "feature_flags", "data": {"supports_preview_metadata": True}})
    await session.wait_for_message(listener, "feature_flags")
    expected = Expected(_SAMPLER, 3, previews=4, size=_PREVIEW)
    await _check(session, listener, await _graph(session, 3), expected, preview_method="latent2rgb")


@family.scenario
async def sampler_batch(session: Session) -> None:
    """A batch takes as many steps as one picture, and all of its pictures are previewed."""
    listener = await session.listen()
    messages = await _check(session, listener, await _graph(session, 2, count=2), Expected(_SAMPLER, 2))
    executed = [message["data"] for message in messages if isinstance(message, dict) and message["type"] == "executed"]
    session.note("pictures shown", count=sum(len(data["output"]["images"]) for data in executed))
