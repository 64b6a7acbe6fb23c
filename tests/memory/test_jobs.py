"""A job from outside, in time that the test moves."""

from collections.abc import Callable
from typing import Any

from comfyfarm.testing import MemoryFarm
from comfyfarm.workflows import text_to_image

Start = Callable[[Any], MemoryFarm]

DYNAMIC = {"instance": [{"name": "gpu", "mode": "dynamic"}]}


def test_a_job_runs_in_virtual_time(memory_farm: Start) -> None:
    """Nothing happens before its moment; then the client hears it all and finds the history."""
    farm = memory_farm(DYNAMIC)
    listener = farm["gpu"].listen("me")
    body = {"prompt": text_to_image(), "client_id": "me"}
    prompt_id = farm["gpu"].ask("POST", "/prompt", json=body).json()["prompt_id"]
    assert farm["gpu"].ask("GET", f"/history/{prompt_id}").json() == {}
    farm.advance(1)
    entry = farm["gpu"].ask("GET", f"/history/{prompt_id}").json()[prompt_id]
    assert entry["status"]["status_str"] == "success"
    assert listener.heard[-1] == {"type": "executing", "data": {"node": None, "prompt_id": prompt_id}}
    assert listener.types().index("execution_start") < listener.types().index("executed")
