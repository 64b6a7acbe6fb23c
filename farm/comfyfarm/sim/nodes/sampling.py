"""Samplers: how many steps they report, and what they sample."""

from __future__ import annotations

from dataclasses import replace

from comfyfarm.sim.nodes.call import NodeCall
from comfyfarm.sim.nodes.outcome import NodeOutcome
from comfyfarm.sim.nodes.table import rule
from comfyfarm.sim.values import AVLatent, BlindLatent, Latent, Sigmas


@rule("KSampler")
def _ksampler(call: NodeCall) -> NodeOutcome:
    """Reports ``steps`` whatever ``denoise`` is, but nothing at 0 (docs/fidelity.md, "Sampling")."""
    return _sampled(call, call.integer("steps", 20) if call.number("denoise", 1.0) > 0 else 0)


@rule("KSamplerAdvanced")
def _ksampler_advanced(call: NodeCall) -> NodeOutcome:
    """Runs the steps from ``start_at_step`` to ``end_at_step``."""
    steps = call.integer("steps", 20)
    start, end = call.integer("start_at_step", 0), call.integer("end_at_step", steps)
    return _sampled(call, min(end, steps) - start)


@rule("SamplerCustom", "SamplerCustomAdvanced")
def _sampler_custom(call: NodeCall) -> NodeOutcome:
    """Gives what it sampled twice: as it is, and as the model would have it without noise."""
    sigmas = call.inputs.get("sigmas")
    sampled = _sampled(call, sigmas.steps if isinstance(sigmas, Sigmas) else 20)
    return replace(sampled, values=sampled.values * 2)


@rule("TrainLoraNode", takes_lists=True)
def _train(call: NodeCall) -> NodeOutcome:
    steps = max(0, call.integer("steps", 16))
    return NodeOutcome(values=(None, None, steps), steps=steps)


def _sampled(call: NodeCall, steps: int) -> NodeOutcome:
    given = call.inputs.get("latent_image")
    value = given if isinstance(given, AVLatent | BlindLatent) else call.latent("latent_image")
    shown = value.video if isinstance(value, AVLatent) else value
    return NodeOutcome(values=(value,), steps=max(0, steps), latent=shown if isinstance(shown, Latent) else None)
