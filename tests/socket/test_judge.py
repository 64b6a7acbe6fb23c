"""The truth on real sockets: farms of other processes are asked, and their saved logs are judged to the same bytes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_twisted

from comfyfarm.analysis.event_query import happened, request
from comfyfarm.analysis.verdict import Verdict
from comfyfarm.clients import HttpStatusError
from comfyfarm.clients.comfy_sync import SyncComfyClient, ask
from comfyfarm.testing import TwistedFarm
from comfyfarm.testing.child import FarmDied, run_farm
from comfyfarm.workflows import text_to_image

Start = Callable[[Any], Coroutine[Any, Any, TwistedFarm]]

INSTANCES = [{"name": "gpu-{n}", "count": 2, "mode": "dynamic"}]


def job(name: str) -> dict[str, Any]:
    return {"prompt": text_to_image(), "extra_data": {"comfyfarm_job": name}}


def judge(log: Path, form: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "comfyfarm.cli.main", "judge", str(log), form]
    return subprocess.run(command, capture_output=True, check=False)


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
        judged = judge(log, form)
        assert (judged.returncode, judged.stdout, judged.stderr) == (1, told, b"")


def test_what_a_killed_farm_has_told_is_in_its_log_which_is_judged_as_torn(tmp_path: Path) -> None:
    """The kill comes right after the answer, long before the log's next flush by time."""
    log = tmp_path / "run.jsonl"
    farm = run_farm({"farm": {"clock": "virtual", "log": str(log)}, "instance": INSTANCES})
    for number in range(20):
        ask("POST", f"{farm['gpu-1'].url}/prompt", job(f"j{number}"))
    farm.run_until_idle()
    told = ask("GET", f"{farm.control_url}/api/log")
    farm._child.kill()
    farm._child.wait()
    with pytest.raises(FarmDied):
        farm.stop()
    assert log.read_bytes() == told
    judged = judge(log, "--json")
    verdict = msgspec.json.decode(judged.stdout, type=Verdict)
    assert (judged.returncode, verdict.verdict, verdict.succeeded) == (3, "unknown", 20)
    (finding,) = [finding for finding in verdict.findings if finding.finding == "log_incomplete"]
    assert "the log has no end: the farm was killed, or still runs" in finding.says


@pytest_twisted.ensureDeferred
async def test_a_farm_in_this_reactor_is_judged_directly_and_by_its_control_server(twisted_farm: Start) -> None:
    """Both say the same; draining and the journal are asked for over HTTP."""
    farm = await twisted_farm({"farm": {"clock": "virtual"}, "instance": INSTANCES})
    client = farm["gpu-1"].client
    assert (await farm.control.drain("gpu-1")).draining
    await farm.advance(0.051)
    prompt_id = await client.submit(text_to_image(), extra_data={"comfyfarm_job": "j2"})
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
