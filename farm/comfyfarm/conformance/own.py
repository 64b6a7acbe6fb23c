"""Instances of comfyfarm: one that has what the recorded servers had, and the reasons why others differ."""

from collections.abc import Iterable, Iterator
from typing import Any

from comfyfarm.conformance.score import ScenarioOutcome

RECORDED_SETTINGS: dict[str, Any] = {
    "cache": "ram",
    "open_models": False,
    "api_nodes": False,
    "timing": {"nodes": {"ImageScale": "300ms"}},
}
"""The settings of an instance that the recorded servers had."""

CAUSES = {
    'cache = "ram"': frozenset({
        "interrupt_keeps_partial_cache", "jobs_api_queries", "run_cached_after_error", "run_cached_after_free",
        "run_cached_other_ids", "run_cached_rerun", "run_execution_error_bad_image", "run_load_image_changed_file",
        "run_save_prefix_outside", "run_temp_names", "run_text_progress_binary", "sampler_denoise_half",
    }),
    "open_models = false": frozenset({"err_value_not_in_list", "models_lists"}),
    'timing.nodes = { ImageScale = "300ms" }': frozenset({
        "interrupt_keeps_partial_cache", "interrupt_no_client_id", "interrupt_running_global", "queue_clear_pending",
        "queue_delete_pending", "queue_pending_listed_in_heap_order", "queue_running_and_pending",
        "ws_reconnect_while_running",
    }),
}  # fmt: skip
"""The scenarios that need a setting to come out as recorded; those of timing need a slow enough ``ImageScale``."""


def farm_tables(version: str, *, files: bool) -> dict[str, Any]:
    """Return the configuration of a farm that has what the recorded servers had: four equal instances and ``sampling``.

    :param files: whether they write files.
    """
    alike = {"comfyui_version": version, "mode": "dynamic" if files else "static", **RECORDED_SETTINGS}
    return {
        "farm": {"seed": 25},
        "instance": [
            {**alike, "name": "recorded-{n}", "count": 4},
            {**alike, "name": "sampling", "open_models": True},     # so that a sampler can run
        ],
    }


def explanation(outcomes: Iterable[ScenarioOutcome]) -> Iterator[str]:
    """Yield a line for each setting that differences of an instance of comfyfarm may come from."""
    differing = [outcome.name for outcome in outcomes if outcome.differences]
    for setting, scenarios in CAUSES.items():
        if found := [name for name in differing if name in scenarios]:
            yield f"the recorded servers had {setting}: {', '.join(found)}"
    if others := [name for name in differing if not any(name in scenarios for scenarios in CAUSES.values())]:
        yield f"no setting is known to explain: {', '.join(others)}"
