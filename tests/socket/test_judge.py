"""The truth on real sockets: farms of other processes are asked, and their saved logs are judged to the same bytes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted

from comfyfarm.analysis.event_query import happened, request
from comfyfarm.clients.comfy_sync import SyncComfyClient, ask
from comfyfarm.clients.errors import HttpStatusError
from comfyfarm.testing import TwistedFarm
from comfyfarm.testing.child import run_farm
from comfyfarm.workflows import text_to_image

Start = Callable[[Any], Coroutine[Any, Any, TwistedFarm]]

INSTANCES = [{"name": "gpu-{n}", "count": 2, "mode": "dynamic"}]


def job(name: str) -> dict[str, Any]:
    return {"prompt": text_to_image(), "extra_data": {"comfyfarm_job": name}}


def test_a_farm_in_another_process_is_judged_and_so_is_its_log(tmp_path: Path) -> None:
    """``comfyfarm judge --json`` gives, byte for byte, what the control server gave at the end."""
    log = tmp_path / "run.jsonl"
    with run_farm({"farm": {"clock": "virtual", "log": str(log)}, "instance": INSTANCES}) as farm:
        ids = [str(ask("POST", f"{farm[name].url}/prompt", job("j1")), "utf-8") for name in ("gpu-1", "gpu-2")]
        assert len(set(ids)) == 2
        farm.run_until_idle()
        client = SyncComfyClient(farm["gpu-1"].url)
        (prompt_id,) = client.get_history()
        (file,) = client.get_output_files(prompt_id)
        stamp = farm.delivered("j2", prompt_id=prompt_id, picture=client.download(file))
        assert stamp is not None
        assert stamp.job == "j1"
        assert [each.status for each in farm.log.requests(route="/prompt", instance="gpu-2")] == [200]
        assert farm.log.in_order(request(route="/prompt"), happened("finished"), request(route="/view"))
        assert {each.finding for each in farm.verdict().findings} >= {"ran_twice", "misattributed"}
        assert farm.placement(fresh=5).misplacements.fresh_ms == 5000
        with pytest.raises(HttpStatusError, match="patience: unknown key"):
            farm.verdict(patience=1)
        live = ask("GET", f"{farm.control_url}/api/verdict"), ask("GET", f"{farm.control_url}/api/placement")
    for form, told in zip(("--json", "--placement-json"), live, strict=True):
        command = [sys.executable, "-m", "comfyfarm.cli.main", "judge", str(log), form]
        judged = subprocess.run(command, capture_output=True, check=False)
        assert (judged.returncode, judged.stdout, judged.stderr) == (1, told, b"")


@pytest_twisted.ensureDeferred
async def test_a_farm_in_this_reactor_is_judged_directly_and_by_its_control_server(twisted_farm: Start) -> None:
    """Both say the same; draining and the journal are asked for over HTTP."""
    farm = await twisted_farm({"farm": {"clock": "virtual"}, "instance": INSTANCES})
    client = farm["gpu-1"].client
    assert (await farm.control.drain("gpu-1")).draining
    await farm.advance(0.051)
    prompt_id = await client.submit(text_to_image())
    await farm.run_until_idle()
    (picture,) = (await client.history(prompt_id))[prompt_id]["outputs"]["9"]["images"]
    said = await farm.control.delivered("j1", instance="gpu-1", picture=await client.download(**picture))
    assert said.stamp is not None
    assert said.stamp.prompt_id == prompt_id
    assert farm.log.count(happened("delivered", seq=said.seq, stamp_prompt_id=prompt_id)) == 1
    assert await farm.control.verdict() == farm.verdict()
    assert await farm.control.placement() == farm.placement()
    assert {each.finding for each in farm.verdict().findings} >= {"sent_to_draining", "misattributed"}
    assert (await farm.control.journal(route="/prompt")).by_route == {"POST /prompt": 1}
    assert len(await farm.control.events(kind="submitted")) == 1
