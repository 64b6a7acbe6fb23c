"""Samplers: how many steps they report, and what they sample."""

from __future__ import annotations

from farm.sim.values import Latent, Sigmas

from .table import Call, Outcome, rule


@rule("KSampler")
def _ksampler(call: Call) -> Outcome:
    """Reports ``steps`` whatever ``denoise`` is (docs/fidelity.md, "Sampling")."""
    return _sampled(call, call.integer("steps", 20), "latent_image")


@rule("KSamplerAdvanced")
def _ksampler_advanced(call: Call) -> Outcome:
    """Runs the steps from ``start_at_step`` to ``end_at_step``."""
    steps = call.integer("steps", 20)
    start, end = int(call.number("start_at_step", 0)), int(call.number("end_at_step", steps))
    return _sampled(call, max(0, min(end, steps) - start), "latent_image")


@rule("SamplerCustom", "SamplerCustomAdvanced")
def _sampler_custom(call: Call) -> Outcome:
    sigmas = call.inputs.get("sigmas")
    steps = sigmas.steps if isinstance(sigmas, Sigmas) else 20
    sampled = _sampled(call, steps, "latent_image")
    return Outcome(values=sampled.values * 2, steps=sampled.steps, latent=sampled.latent)


@rule("BasicScheduler")
def _basic_scheduler(call: Call) -> Outcome:
    """With ``denoise`` below 1 a longer schedule is laid out and its last ``steps`` are kept; at 0 there are none."""
    steps = call.integer("steps", 20) if call.number("denoise", 1.0) > 0 else 0
    return Outcome(values=(Sigmas(steps),))


@rule(
    "KarrasScheduler",
    "ExponentialScheduler",
    "PolyexponentialScheduler",
    "LaplaceScheduler",
    "VPScheduler",
    "BetaSamplingScheduler",
    "SDTurboScheduler",
    "AlignYourStepsScheduler",
    "GITSScheduler",
    "LTXVScheduler",
    "OptimalStepsScheduler",
    "Flux2Scheduler",
)
def _scheduler(call: Call) -> Outcome:
    return Outcome(values=(Sigmas(call.integer("steps", 20)),))


def _sampled(call: Call, steps: int, name: str) -> Outcome:
    given = call.inputs.get(name)
    latent = given if isinstance(given, Latent) else Latent(*call.size)
    return Outcome(values=(latent,), steps=steps, latent=latent)
