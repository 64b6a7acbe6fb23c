"""A run is shown to clients of the control server, in each form."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest_twisted

from comfyfarm.cli.main import main
from comfyfarm.clients.comfy_sync import SyncComfyClient
from comfyfarm.testing import TwistedFarm
from comfyfarm.testing.child import run_farm
from comfyfarm.workflows import text_to_image

MakeTwisted = Callable[..., Coroutine[Any, Any, TwistedFarm]]
TWO = {"farm": {"clock": "virtual"}, "instance": [{"name": "gpu-1"}, {"name": "gpu-2"}]}


def test_a_childs_run_is_shown_as_its_saved_log_is(tmp_path: Path) -> None:
    """Over HTTP while it lives, and by the command after that: the same page."""
    saved = tmp_path / "run.jsonl"
    with run_farm({**TWO, "farm": {"clock": "virtual", "log": str(saved)}}) as farm:
        SyncComfyClient(farm["gpu-1"].url).submit_workflow(text_to_image())
        farm.control.run_until_idle()
        ends = {lane.name: [stay.end for stay in lane.stays] for lane in farm.control.timeline().lanes}
        assert ends == {"gpu-1": ["success"], "gpu-2": []}
        assert json.loads(farm.control.timeline_as("trace"))["traceEvents"]
        assert "gpu-1 A" in farm.control.timeline_as("text")
        drawn, page = farm.control.timeline_as("svg"), farm.control.report()
        assert drawn in page
    assert main(["report", str(saved), "--svg", str(tmp_path / "run.svg"), "-o", str(tmp_path / "run.html")]) == 0
    assert (tmp_path / "run.svg").read_text("utf-8") == drawn
    assert (tmp_path / "run.html").read_text("utf-8") == page


@pytest_twisted.ensureDeferred
async def test_it_is_awaited_in_this_reactor(twisted_farm: MakeTwisted) -> None:
    """The same by ``FarmControl``."""
    farm = await twisted_farm(TWO)
    await farm.advance("1s")
    assert [lane.name for lane in (await farm.control.timeline()).lanes] == ["gpu-1", "gpu-2"]
    assert (await farm.control.timeline_as("svg")) in await farm.control.report()
