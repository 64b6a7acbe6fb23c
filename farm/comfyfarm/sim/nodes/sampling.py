"""Samplers, and the schedules that determine their steps."""

import re

from msgspec.structs import replace

from comfyfarm.sim.nodes.call import NodeCall, NodeOutcome, outcome
from comfyfarm.sim.nodes.table import rule
from comfyfarm.sim.values import AVLatent, BlindLatent, Latent, Sigmas


@rule("KSampler")
def _ksampler(call: NodeCall) -> NodeOutcome:
    """Reports all ``steps`` unless ``denoise`` is 0 (docs/fidelity.md, "Sampling")."""
    return _sampled(call, call.integer("steps", 20) if call.number("denoise", 1.0) > 0 else 0)


@rule("KSamplerAdvanced")
def _ksampler_advanced(call: NodeCall) -> NodeOutcome:
    steps = call.integer("steps", 20)
    start, end = call.integer("start_at_step", 0), call.integer("end_at_step", steps)
    return _sampled(call, min(end, steps) - start)


@rule("SamplerCustom", "SamplerCustomAdvanced")
def _sampler_custom(call: NodeCall) -> NodeOutcome:
    """Returns its latent twice: with and without noise."""
    sampled = _sampled(call, _steps(call))
    return replace(sampled, values=sampled.values * 2)


@rule("TrainLoraNode", takes_lists=True)
def _train(call: NodeCall) -> NodeOutcome:
    steps = max(0, call.integer("steps", 16))
    return NodeOutcome(values=(None, None, steps), steps=steps)


def _sampled(call: NodeCall, steps: int) -> NodeOutcome:
    value = call.inputs.get("latent_image")
    latent = value if isinstance(value, AVLatent | BlindLatent) else call.latent("latent_image")
    video = latent.video if isinstance(latent, AVLatent) else latent
    return NodeOutcome((latent,), steps=max(0, steps), latent=video if isinstance(video, Latent) else None)


def _schedule(*steps: int) -> NodeOutcome:
    return outcome(*(Sigmas(max(0, count)) for count in steps))


def _steps(call: NodeCall) -> int:
    sigmas = call.inputs.get("sigmas")
    return sigmas.steps if isinstance(sigmas, Sigmas) else 20


@rule("BasicScheduler")
def _basic(call: NodeCall) -> NodeOutcome:
    # Below 1, ``denoise`` lengthens the schedule, whose last ``steps`` are kept; at 0 none are.
    return _schedule(call.integer("steps", 20) if call.number("denoise", 1.0) > 0 else 0)


@rule("BetaSamplingScheduler", "ExponentialScheduler", "Flux2Scheduler", "Ideogram4Scheduler", "KarrasScheduler",
      "LTXVScheduler", "LaplaceScheduler", "PolyexponentialScheduler", "VPScheduler")
def _whole(call: NodeCall) -> NodeOutcome:
    return _schedule(call.integer("steps", 20))


@rule("AlignYourStepsScheduler", "GITSScheduler", "OptimalStepsScheduler")
def _share(call: NodeCall) -> NodeOutcome:
    """Keeps the last part of the schedule, in the proportion ``denoise``."""
    return _schedule(round(call.integer("steps", 20) * max(0.0, min(1.0, call.number("denoise", 1.0)))))


@rule("SDTurboScheduler")
def _turbo(call: NodeCall) -> NodeOutcome:
    """The schedule has ten steps and begins at the one that ``denoise`` determines."""
    return _schedule(min(call.integer("steps", 1), int(10 * call.number("denoise", 1.0))))


@rule("ManualSigmas")
def _manual(call: NodeCall) -> NodeOutcome:
    return _schedule(len(re.findall(r"[-+]?(?:[0-9]*\.)?[0-9]+", call.word("sigmas"))) - 1)


@rule("SplitSigmas")
def _split(call: NodeCall) -> NodeOutcome:
    steps, index = _steps(call), max(0, call.integer("step", 0))
    return _schedule(min(steps, index), steps - index)


@rule("SplitSigmasDenoise")
def _split_denoise(call: NodeCall) -> NodeOutcome:
    steps = _steps(call)
    low = round(steps * max(0.0, min(1.0, call.number("denoise", 1.0))))
    return _schedule(steps - low if low else 0, low)        # in ComfyUI ``[:-0]`` is empty


@rule("FlipSigmas", "SetFirstSigma", "ExtendIntermediateSigmas")
def _same_length(call: NodeCall) -> NodeOutcome:
    # ComfyUI extends only some steps, depending on the sigmas' values, which are unknown here.
    return _schedule(_steps(call))
