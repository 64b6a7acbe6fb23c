"""Schedules: how many steps a sampler will take along them."""

from __future__ import annotations

import re

from comfyfarm.sim.nodes.call import NodeCall
from comfyfarm.sim.nodes.outcome import NodeOutcome
from comfyfarm.sim.nodes.table import rule
from comfyfarm.sim.values import Sigmas


def _schedule(*steps: int) -> NodeOutcome:
    return NodeOutcome(values=tuple(Sigmas(max(0, each)) for each in steps))


def _given(call: NodeCall) -> int:
    sigmas = call.inputs.get("sigmas")
    return sigmas.steps if isinstance(sigmas, Sigmas) else 20


@rule("BasicScheduler")
def _basic(call: NodeCall) -> NodeOutcome:
    """With ``denoise`` below 1 a longer schedule is laid out and its last ``steps`` are kept; at 0 there are none."""
    return _schedule(call.integer("steps", 20) if call.number("denoise", 1.0) > 0 else 0)


@rule(
    "BetaSamplingScheduler",
    "ExponentialScheduler",
    "Flux2Scheduler",
    "Ideogram4Scheduler",
    "KarrasScheduler",
    "LTXVScheduler",
    "LaplaceScheduler",
    "PolyexponentialScheduler",
    "VPScheduler",
)
def _whole(call: NodeCall) -> NodeOutcome:
    return _schedule(call.integer("steps", 20))


@rule("AlignYourStepsScheduler", "GITSScheduler", "OptimalStepsScheduler")
def _share(call: NodeCall) -> NodeOutcome:
    """Only the last part of the schedule is kept, as large as ``denoise`` says."""
    return _schedule(round(call.integer("steps", 20) * max(0.0, min(1.0, call.number("denoise", 1.0)))))


@rule("SDTurboScheduler")
def _turbo(call: NodeCall) -> NodeOutcome:
    """There are ten steps in all, and ``denoise`` says at which to begin."""
    return _schedule(min(call.integer("steps", 1), int(10 * call.number("denoise", 1.0))))


@rule("ManualSigmas")
def _manual(call: NodeCall) -> NodeOutcome:
    return _schedule(len(re.findall(r"[-+]?(?:[0-9]*\.)?[0-9]+", call.word("sigmas"))) - 1)


@rule("SplitSigmas")
def _split(call: NodeCall) -> NodeOutcome:
    steps, at = _given(call), max(0, call.integer("step", 0))
    return _schedule(min(steps, at), steps - at)


@rule("SplitSigmasDenoise")
def _split_denoise(call: NodeCall) -> NodeOutcome:
    """At 0 the first part is empty as well, because ``[:-0]`` is."""
    steps = _given(call)
    low = round(steps * max(0.0, min(1.0, call.number("denoise", 1.0))))
    return _schedule(steps - low if low else 0, low)


@rule("FlipSigmas", "SetFirstSigma", "ExtendIntermediateSigmas")
def _same_length(call: NodeCall) -> NodeOutcome:
    """How many steps get intermediate ones depends on the sigmas themselves, which only a model knows."""
    return _schedule(_given(call))
