"""Unequal machines, from outside."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from comfyfarm.events import Finished, Interrupted, ModelLoaded, ModelUnloaded, Progressed
from comfyfarm.testing import MemoryFarm
from comfyfarm.workflows import text_to_image

Start = Callable[[Any], MemoryFarm]

CHECKPOINTS = ["sdxl.safetensors:7GB", "flux.safetensors:12GB", "sd15.safetensors:4GB", "huge.safetensors:40GB"]


def gpu(**keys: Any) -> dict[str, Any]:
    """One dynamic instance with 16 GB, whose models take a second per gigabyte."""
    timing = {"load_per_gb": "1s", "unload": "100ms", **keys.pop("timing", {})}
    return {"name": "gpu", "vram": "16GB", "models": {"checkpoints": CHECKPOINTS}, "timing": timing, **keys}


def workflow(checkpoint: str, **options: Any) -> dict[str, Any]:
    prompt = text_to_image(**options)
    prompt["4"]["inputs"]["ckpt_name"] = checkpoint
    return prompt


def post(farm: MemoryFarm, prompt: dict[str, Any], name: str = "gpu") -> str:
    return str(farm[name].ask("POST", "/prompt", json={"prompt": prompt}).json()["prompt_id"])


def run(farm: MemoryFarm, prompt: dict[str, Any], name: str = "gpu") -> int:
    """Run one job to its end, and say how long it took, in simulated milliseconds."""
    prompt_id = post(farm, prompt, name)
    farm.advance(600)
    messages = dict(farm[name].ask("GET", f"/history/{prompt_id}").json()[prompt_id]["status"]["messages"])
    ends = [data["timestamp"] for kind, data in messages.items() if kind not in ("execution_start", "execution_cached")]
    return int(ends[0] - messages["execution_start"]["timestamp"])


def test_the_first_job_pays_for_its_model_and_the_next_does_not(memory_farm: Start) -> None:
    """Cold against warm: 7 GB at a second each."""
    farm = memory_farm({"instance": [gpu()]})
    cold = run(farm, workflow("sdxl.safetensors", seed=1))
    warm = run(farm, workflow("sdxl.safetensors", seed=2))
    assert cold - warm == 7000
    assert warm == 20 * 15 + 7 * 3 + 10


def test_a_model_that_is_warm_costs_nothing(memory_farm: Start) -> None:
    """It is there from the start."""
    farm = memory_farm({"instance": [gpu(warm=["sdxl.safetensors"])]})
    assert run(farm, workflow("sdxl.safetensors")) == 331


def test_models_go_in_the_order_in_which_they_were_used(memory_farm: Start) -> None:
    """SDXL was used again after SD 1.5, so SD 1.5 makes room for FLUX first."""
    farm = memory_farm({"instance": [gpu()]})
    for checkpoint in ("sdxl", "sd15", "sdxl", "flux"):
        run(farm, workflow(f"{checkpoint}.safetensors"))
    moves = [
        (event.name.removesuffix(".safetensors"), isinstance(event, ModelLoaded))
        for event in farm.farm.log.events
        if isinstance(event, ModelLoaded | ModelUnloaded)
    ]
    assert moves == [("sdxl", True), ("sd15", True), ("sd15", False), ("sdxl", False), ("flux", True)]


def test_system_stats_show_the_memory_that_is_left(memory_farm: Start) -> None:
    """Loading takes it, and /free gives it back."""
    farm = memory_farm({"instance": [gpu()]})

    def free_gb() -> float:
        device = farm["gpu"].ask("GET", "/system_stats").json()["devices"][0]
        assert (device["type"], device["vram_total"]) == ("cuda", 16 * 1024**3)
        return float(device["vram_free"] / 1024**3)

    assert free_gb() == 16
    run(farm, workflow("sdxl.safetensors"))
    assert free_gb() == 9
    farm["gpu"].ask("POST", "/free", json={"unload_models": True})
    assert free_gb() == 16
    assert run(farm, workflow("sdxl.safetensors", seed=2)) == 7331


def test_models_are_freed_only_when_the_running_job_is_done(memory_farm: Start) -> None:
    """As ComfyUI's worker does."""
    farm = memory_farm({"instance": [gpu()]})
    post(farm, workflow("sdxl.safetensors"))
    farm.advance(7.1)
    farm["gpu"].ask("POST", "/free", json={"unload_models": True})
    assert not list(farm.farm.log.of(ModelUnloaded))
    farm.advance(1)
    assert [event.reason for event in farm.farm.log.of(ModelUnloaded)] == ["asked"]


def test_a_model_larger_than_the_memory_fails_as_comfyui_words_it(memory_farm: Start) -> None:
    """All models are unloaded, and the next job runs."""
    farm = memory_farm({"instance": [gpu(warm=["sdxl.safetensors"])]})
    listener = farm["gpu"].listen("me")
    body = {"prompt": workflow("huge.safetensors"), "client_id": "me"}
    farm["gpu"].ask("POST", "/prompt", json=body)
    farm.advance(60)
    error = next(message["data"] for message in listener.heard if message["type"] == "execution_error")
    assert error["exception_type"] == "torch.OutOfMemoryError"
    assert error["exception_message"] == (
        "Allocation on device \nThis error means you ran out of memory on your GPU.\n\n"
        "TIPS: If the workflow worked before you might have accidentally set the batch_size to a large number."
    )
    assert (error["node_id"], error["node_type"]) == ("4", "CheckpointLoaderSimple")
    assert [event.reason for event in farm.farm.log.of(ModelUnloaded)] == ["room"]
    assert run(farm, workflow("sdxl.safetensors")) == 7331


def test_a_slow_and_a_fast_gpu_finish_in_the_computed_order(memory_farm: Start) -> None:
    """Two jobs on the slow one take as long as five on the fast one."""
    instances = [{"name": name, "timing": {"step": step, "node": "0ms", "save": "0ms"}} for name, step in
                 (("slow", "50ms"), ("fast", "20ms"))]
    farm = memory_farm({"instance": instances})
    for name, jobs in (("slow", 2), ("fast", 5)):
        for seed in range(jobs):
            post(farm, text_to_image(seed), name)
    farm.advance(10)
    ends = [(event.at_ms, event.instance) for event in farm.farm.log.of(Finished)]
    assert ends == [
        (400, "fast"), (800, "fast"), (1000, "slow"), (1200, "fast"), (1600, "fast"), (2000, "slow"), (2000, "fast"),
    ]  # fmt: skip


@pytest.mark.parametrize(("size", "batch", "steps_ms"), [(512, 1, 300), (1024, 1, 1200), (512, 3, 900)])
def test_a_step_takes_as_long_as_its_pictures_are_large(
    memory_farm: Start, size: int, batch: int, steps_ms: int
) -> None:
    """In proportion to 512 x 512."""
    farm = memory_farm({"instance": [{"name": "gpu", "timing": {"node": "0ms", "save": "0ms"}}]})
    assert run(farm, text_to_image(width=size, height=size, batch_size=batch)) == steps_ms


def test_a_workflow_without_models_can_be_seen_waiting_and_cancelled(memory_farm: Start) -> None:
    """Eight times to 2,500 x 2,500: some seconds, as on a real server without a GPU."""
    prompt: dict[str, Any] = {
        "0": {"class_type": "EmptyImage", "inputs": {"width": 512, "height": 512, "batch_size": 1, "color": 0}}
    }
    for index in range(8):
        inputs = {"image": [str(index), 0], "upscale_method": "lanczos", "width": 2500, "height": 2500 + index}
        prompt[str(index + 1)] = {"class_type": "ImageScale", "inputs": inputs | {"crop": "disabled"}}
    prompt["9"] = {"class_type": "PreviewImage", "inputs": {"images": ["8", 0]}}
    farm = memory_farm({"instance": [{"name": "gpu"}]})
    assert 1000 < run(farm, prompt) < 3000
    post(farm, prompt)
    farm.advance(1)
    assert len(farm["gpu"].ask("GET", "/queue").json()["queue_running"]) == 1
    farm["gpu"].ask("POST", "/interrupt")
    farm.advance(1)
    assert farm.farm.log.of(Interrupted)


def test_waiting_jobs_slow_the_running_one(memory_farm: Start) -> None:
    """At 10 % each: the first job's first step began before the others came, the second runs beside one."""
    farm = memory_farm({"instance": [{"name": "gpu", "timing": {"node": "0ms", "save": "0ms", "under_load": 0.1}}]})
    for seed in range(3):
        post(farm, text_to_image(seed))
    farm.advance(10)
    assert [event.at_ms for event in farm.farm.log.of(Finished)] == [15 + 19 * 18, 357 + 20 * 16, 677 + 20 * 15]


def test_a_model_that_is_there_already_does_not_shift_the_other_times(memory_farm: Start) -> None:
    """Cold and warm differ by the load alone, also where chance has its part in both."""
    spans = []
    for warm in ([], ["sdxl.safetensors"]):
        farm = memory_farm({"instance": [gpu(warm=warm, timing={"load_per_gb": "1s", "jitter": 0.3})]})
        run(farm, workflow("sdxl.safetensors"))
        events = [event for event in farm.farm.log.events if isinstance(event, Finished | Progressed)]
        spans.append([after.at_ms - before.at_ms for before, after in pairwise(events)])
    cold, warm_spans = spans
    assert cold == warm_spans
    assert len(set(cold)) > 5


def test_jitter_varies_the_jobs_but_not_the_next_run(memory_farm: Start) -> None:
    """The same seed gives the same times; another gives others."""

    def ends(seed: int) -> list[int]:
        farm = memory_farm({"farm": {"seed": seed}, "instance": [{"name": "gpu", "timing": {"jitter": 0.2}}]})
        for number in range(5):
            post(farm, text_to_image(number))
        farm.advance(10)
        return [event.at_ms for event in farm.farm.log.of(Finished)]

    first = ends(1)
    spans = [after - before for before, after in zip([0, *first], first, strict=False)]
    assert len(set(spans)) > 1
    assert all(0.8 * 331 <= span <= 1.2 * 331 + 28 for span in spans)
    assert ends(1) == first
    assert ends(2) != first


def test_an_instance_that_boots_refuses_connections_until_it_listens(memory_farm: Start) -> None:
    """Its port is known at once; the others do not wait for it."""
    farm = memory_farm({"instance": [{"name": "slow", "timing": {"boot": "8s"}}, {"name": "quick"}]})
    with pytest.raises(ConnectionRefusedError):
        farm["slow"].ask("GET", "/queue")
    assert farm.control("GET", "/api/instances/slow").json()["state"] == "booting"
    assert farm["quick"].ask("GET", "/queue").status == 200
    farm.advance(7.999)
    with pytest.raises(ConnectionRefusedError):
        farm["slow"].ask("GET", "/queue")
    farm.advance(0.001)
    assert farm["slow"].ask("GET", "/queue").status == 200


def test_an_upload_is_answered_when_its_time_has_passed(memory_farm: Start) -> None:
    """Two seconds of simulated time."""
    farm = memory_farm({"instance": [{"name": "gpu", "timing": {"upload": "2s"}}]})
    form = (
        b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\nbytes\r\n--x--\r\n'
    )
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    asking = farm.wire.begin(farm["gpu"].backend.site, "POST", "/upload/image", form, headers)
    farm.advance(1.9)
    assert asking.reply() is None
    farm.advance(0.1)
    assert asking.end().json()["name"] == "a.png"
