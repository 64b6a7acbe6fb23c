"""The size of a job in the log."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from comfyfarm.events.saved_log import read_events
from comfyfarm.testing import MemoryFarm
from comfyfarm.workflows import text_to_image

Start = Callable[[Any], MemoryFarm]
JOBS = 10
CLIENT = "d3b07384-d113-4ec5-a5f3-edc891cf6d8e"


def do_job(farm: MemoryFarm, number: int) -> None:
    """Have a job done over HTTP, followed over a websocket, and its picture fetched and delivered."""
    order = f"order-{number}"
    body = {
        "prompt": text_to_image(number, prefix=order, steps=20),
        "prompt_id": f"8f14e45f-ceea-467f-a83c-{number:012}",
        "client_id": CLIENT,
        "extra_data": {"comfyfarm_job": order},
    }
    farm["gpu"].ask("POST", "/prompt", json=body)
    farm.advance("10s")
    farm["gpu"].ask("GET", f"/history/{body['prompt_id']}")
    file = f"{order}_00001_.png"
    picture = farm["gpu"].ask("GET", f"/view?filename={file}").body
    farm.delivered(order, prompt_id=str(body["prompt_id"]), instance="gpu", file=file, picture=picture)


@pytest.mark.parametrize("listens", [True, False])
@pytest.mark.parametrize("mode", ["dynamic", "static"])
def test_a_job_of_twenty_steps_needs_less_than_four_kilobytes(
    memory_farm: Start, tmp_path: Path, mode: str, *, listens: bool
) -> None:
    path = tmp_path / "run.jsonl"
    farm = memory_farm({"farm": {"log": str(path)}, "instance": [{"name": "gpu", "mode": mode}]})
    if listens:
        farm["gpu"].listen(CLIENT)
    farm.farm.flush_log()
    before = path.stat().st_size
    for number in range(JOBS):
        do_job(farm, number)
    farm.farm.flush_log()
    assert (path.stat().st_size - before) / JOBS < 4000
    with path.open("rb") as file:
        saved = list(read_events(file, lambda text, _seq: pytest.fail(text)))
    assert saved[1:] == list(farm.farm.log.events)[1:]
