"""What an instance keeps for ComfyUI's own page: the log, folders, files."""

import os
from collections.abc import Callable
from typing import Any

from comfyfarm.events import WorkerDied
from comfyfarm.testing import MemoryFarm
from comfyfarm.workflows import text_to_image

Start = Callable[[Any], MemoryFarm]

ONE = {"instance": [{"name": "gpu", "mode": "dynamic"}]}


def run(farm: MemoryFarm, prompt: Any = None) -> None:
    farm["gpu"].ask("POST", "/prompt", json={"prompt": prompt or text_to_image()})
    farm.advance(60)


def lines(farm: MemoryFarm) -> list[str]:
    return [entry["m"] for entry in farm["gpu"].ask("GET", "/internal/logs/raw").json()["entries"]]


def test_the_log_tells_what_a_server_prints(memory_farm: Start) -> None:
    """Its start, and each job's beginning and end, at simulated times."""
    farm = memory_farm(ONE)
    assert "ComfyUI version: 0.33.0\n" in lines(farm)
    assert lines(farm)[-1].startswith("To see the GUI go to: http://127.0.0.1:")
    run(farm)
    assert lines(farm)[-2] == "got prompt\n"
    assert lines(farm)[-1].startswith("Prompt executed in 0.")
    assert lines(farm)[-1].endswith(" seconds\n")
    text = farm["gpu"].ask("GET", "/internal/logs").json()
    assert text.count("\n") == len(lines(farm))
    assert " - got prompt\n" in text


def test_the_log_tells_of_refused_and_failed_jobs(memory_farm: Start) -> None:
    """The error's text, and that the job is over."""
    farm = memory_farm(ONE)
    run(farm, {"1": {"class_type": "NoSuchNode", "inputs": {}}})
    assert lines(farm)[-2:] == ["got prompt\n", "invalid prompt: missing_node_type\n"]
    run(farm, text_to_image(prefix="../out"))
    assert any(line.startswith("!!! Exception during processing !!! ") for line in lines(farm))
    assert any(line.startswith("Traceback (most recent call last):\n") for line in lines(farm))


def test_the_log_tells_of_a_worker_that_died(memory_farm: Start) -> None:
    """The job shows as running for ever, and the server answers."""
    farm = memory_farm(ONE)
    prompt = text_to_image()
    (saver,) = (node for node in prompt.values() if node["class_type"] == "SaveImage")
    saver["inputs"]["caption"] = ["404", 0]
    listener = farm["gpu"].listen("me")
    farm["gpu"].ask("POST", "/prompt", json={"prompt": prompt, "client_id": "me"})
    farm.advance(60)
    assert lines(farm)[-1] == "comfy_execution.graph.NodeNotFoundError: Node 404 not found\n"
    assert [event.node for event in farm.farm.log.of(WorkerDied)] == ["404"]
    assert [kind for kind in listener.types() if kind != "status"] == ["execution_start", "execution_cached"]
    queue = farm["gpu"].ask("GET", "/queue").json()
    assert (len(queue["queue_running"]), queue["queue_pending"]) == (1, [])


def test_the_log_tells_of_an_interrupt(memory_farm: Start) -> None:
    """In ComfyUI's words."""
    farm = memory_farm(ONE)
    farm["gpu"].ask("POST", "/prompt", json={"prompt": text_to_image()})
    farm.advance(0.01)
    farm["gpu"].ask("POST", "/interrupt")
    farm.advance(10)
    assert lines(farm)[-2] == "Processing interrupted\n"


def test_the_log_keeps_three_hundred_lines(memory_farm: Start) -> None:
    """The last ones."""
    farm = memory_farm({"instance": [{"name": "gpu"}]})
    for _ in range(160):
        run(farm)
    assert len(lines(farm)) == 300
    assert lines(farm)[0] == "got prompt\n"


def test_a_subscriber_hears_each_new_line(memory_farm: Start) -> None:
    """Until it takes that back."""
    farm = memory_farm(ONE)
    ours, other = farm["gpu"].listen("ours"), farm["gpu"].listen("other")
    reply = farm["gpu"].ask("PATCH", "/internal/logs/subscribe", json={"clientId": "ours", "enabled": True})
    assert (reply.status, reply.body) == (200, b"")
    run(farm)
    heard = [message["data"] for message in ours.heard if message["type"] == "logs"]
    assert [data["entries"][0]["m"][:15] for data in heard] == ["got prompt\n", "Prompt executed"]
    assert heard[0]["size"] is None
    assert "logs" not in other.types()
    assert ours.types()[1:3] == ["logs", "status"]
    farm["gpu"].ask("PATCH", "/internal/logs/subscribe", json={"clientId": "ours", "enabled": False})
    run(farm)
    assert ours.types().count("logs") == 2


def test_a_subscriber_that_is_not_there_is_forgotten(memory_farm: Start) -> None:
    """At the next line; an id that no client can have is taken without a word, and reaches nobody."""
    farm = memory_farm(ONE)
    for client_id in ("later", None, 5):
        body = {"clientId": client_id, "enabled": True}
        assert farm["gpu"].ask("PATCH", "/internal/logs/subscribe", json=body).status == 200
    run(farm)
    later = farm["gpu"].listen("later")
    run(farm)
    assert "logs" not in later.types()


def test_a_subscription_must_be_whole(memory_farm: Start) -> None:
    """ComfyUI fails on anything else."""
    gpu = memory_farm(ONE)["gpu"]
    bodies: list[Any] = [{"clientId": "x"}, {"enabled": True}, [], None, {"clientId": [], "enabled": True}]
    for body in bodies:
        assert gpu.ask("PATCH", "/internal/logs/subscribe", json=body).status == 500
    assert gpu.ask("PATCH", "/internal/logs/subscribe").status == 500


def test_files_are_listed_newest_first(memory_farm: Start) -> None:
    """By folder; hidden ones and directories are not shown."""
    farm = memory_farm(ONE)
    folder = farm["gpu"].backend.disk.output_dir
    (folder / "sub").mkdir()
    for number, name in enumerate(("old.png", ".hidden", "new.png")):
        (folder / name).write_bytes(b"")
        os.utime(folder / name, (number, number))
    assert farm["gpu"].ask("GET", "/internal/files/output").json() == ["new.png [output]", "old.png [output]"]
    assert "example.png [input]" in farm["gpu"].ask("GET", "/internal/files/input").json()
    bogus = farm["gpu"].ask("GET", "/internal/files/bogus")
    assert (bogus.status, bogus.json()) == (400, {"error": "Invalid directory type"})
    for name in ("old.png", ".hidden", "new.png"):
        (folder / name).unlink()
    (folder / "sub").rmdir()


def test_every_kind_of_model_has_its_folders(memory_farm: Start) -> None:
    """Where the files would be; ComfyUI reads some kinds from two folders."""
    paths = memory_farm(ONE)["gpu"].ask("GET", "/internal/folder_paths").json()
    assert [path.rpartition("/")[2] for path in paths["text_encoders"]] == ["text_encoders", "clip"]
    assert len(paths["checkpoints"]) == 1


def test_what_is_not_there_is_not_sought_among_the_pages_files(memory_farm: Start) -> None:
    """These routes are an application of their own, and know no ``/api``."""
    gpu = memory_farm(ONE)["gpu"]
    for path in ("/internal", "/internal/", "/internal/nope", "/internal/files/a/b"):
        reply = gpu.ask("GET", path)
        assert (reply.status, reply.body) == (404, b"404: Not Found")
    assert gpu.ask("POST", "/internal/nope").status == 404
    assert gpu.ask("GET", "/internal/logs/subscribe").headers["allow"] == "PATCH"
    assert gpu.ask("PATCH", "/internal/logs").headers["allow"] == "GET,HEAD"
    assert gpu.ask("GET", "/api/internal/logs").headers["content-type"] == "application/octet-stream"
    assert gpu.ask("HEAD", "/internal/logs").status == 200
