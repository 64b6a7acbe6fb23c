"""How a sampler reports its steps.

A server without a checkpoint cannot be asked; the scenarios then do not count.
"""

from __future__ import annotations

from typing import Any

from comfyfarm.clients.websocket import Message
from comfyfarm.conformance.graphs import Graph, node
from comfyfarm.conformance.listening import SocketRecorder
from comfyfarm.conformance.progress import Expected, broken_rules
from comfyfarm.conformance.scenario import Family
from comfyfarm.conformance.visit import NotPossible, Session

family = Family("sampling", "how a sampler reports its steps")

_SAMPLER = "5"
_WIDTH, _HEIGHT = 768, 384
_PREVIEW = 512, 256     # at most 512 pixels on the longer side


async def _graph(visit: Session, steps: int, denoise: float = 1.0, count: int = 1) -> Graph:
    """Text to image with a checkpoint that the server has."""
    sampling = {"steps": steps, "cfg": 7.0, "sampler_name": "euler", "scheduler": "normal", "denoise": denoise}
    links = {"model": ["1", 0], "positive": ["2", 0], "negative": ["3", 0], "latent_image": ["4", 0]}
    return {
        "1": node("CheckpointLoaderSimple", ckpt_name=await _checkpoint(visit)),
        "2": node("CLIPTextEncode", text=visit.tag, clip=["1", 1]),
        "3": node("CLIPTextEncode", text="", clip=["1", 1]),
        "4": node("EmptyLatentImage", width=_WIDTH, height=_HEIGHT, batch_size=count),
        _SAMPLER: node("KSampler", seed=visit.fresh(), **sampling, **links),
        "6": node("VAEDecode", samples=[_SAMPLER, 0], vae=["1", 2]),
        "7": node("PreviewImage", images=["6", 0]),
    }


async def _checkpoint(visit: Session) -> str:
    entry = (await visit.peek("GET /object_info/CheckpointLoaderSimple")).json
    names = entry["CheckpointLoaderSimple"]["input"]["required"]["ckpt_name"][0]
    if not names:
        raise NotPossible("the server has no checkpoint")
    return str(names[0])


async def _judge(
    visit: Session, listener: SocketRecorder, graph: Graph, expected: Expected, **extra_data: Any
) -> list[Message]:
    """Run the job, and note which rules it broke; gives what it said."""
    heard = len(listener.heard)
    await visit.run(graph, listener, quietly=True, extra_data=extra_data)
    told = listener.heard[heard:]
    visit.note(f"{expected.steps} steps", broken_rules=broken_rules(told, expected))
    return told


@family.scenario
async def sampler_progress(visit: Session) -> None:
    """Without pictures: the first step, the last, and of the others as many as 100 ms apart."""
    listener = await visit.listen()
    await _judge(visit, listener, await _graph(visit, 4), Expected(_SAMPLER, 4))
    await _judge(visit, listener, await _graph(visit, 40), Expected(_SAMPLER, 40))


@family.scenario
async def sampler_denoise_half(visit: Session) -> None:
    """Half the denoising takes as many steps; what stands before the sampler is cached from the job before."""
    listener = await visit.listen()
    await _judge(visit, listener, await _graph(visit, 4), Expected(_SAMPLER, 4))
    told = await _judge(visit, listener, await _graph(visit, 4, denoise=0.5), Expected(_SAMPLER, 4))
    cached = [message for message in told if isinstance(message, dict) and message["type"] == "execution_cached"]
    visit.note("a new seed", cached=sorted(cached[0]["data"]["nodes"]))


@family.scenario
async def sampler_previews(visit: Session) -> None:
    """With pictures every step is told; the picture comes last."""
    listener = await visit.listen()
    expected = Expected(_SAMPLER, 3, previews=1, size=_PREVIEW)
    await _judge(visit, listener, await _graph(visit, 3), expected, preview_method="latent2rgb")


@family.scenario
async def sampler_previews_with_metadata(visit: Session) -> None:
    """For a client that takes them with metadata, the picture comes before the progress."""
    listener = await visit.listen()
    listener.say({"type": "feature_flags", "data": {"supports_preview_metadata": True}})
    await visit.handles(listener, "feature_flags")
    expected = Expected(_SAMPLER, 3, previews=4, size=_PREVIEW)
    await _judge(visit, listener, await _graph(visit, 3), expected, preview_method="latent2rgb")


@family.scenario
async def sampler_batch(visit: Session) -> None:
    """A batch is sampled at once: as many steps as for one picture, and as many pictures shown as it has."""
    listener = await visit.listen()
    told = await _judge(visit, listener, await _graph(visit, 2, count=2), Expected(_SAMPLER, 2))
    shown = [message["data"] for message in told if isinstance(message, dict) and message["type"] == "executed"]
    visit.note("pictures shown", count=sum(len(each["output"]["images"]) for each in shown))
