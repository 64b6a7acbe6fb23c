"""The demonstration's decisions: who gets which job, what a message means, where a picture goes, what adds up."""

from pathlib import Path
from typing import Any

import pytest

from examples.demo.jobs import Job, Target, choose_checkpoint, failure, on_message, pictures, plan, saved_path
from examples.demo.show import counts, row

OUT = Path("out")
STATIC = "../input/kernie_512x768.jpg"


def picture(filename: str, subfolder: str = "") -> dict[str, str]:
    return {"filename": filename, "subfolder": subfolder, "type": "output"}


def ended_job(number: int, target: str, *files: tuple[str, str], error: str | None = None) -> Job:
    job = Job(number=number, target=target, text="a barn", submitted_s=1.0, started_s=1.5, ended_s=3.75)
    job.saved, job.error = list(files), error
    return job


def test_jobs_go_round_robin_and_all_differ() -> None:
    """24 jobs over three instances: eight each, no seed, text or prompt id twice."""
    jobs = plan([Target(name, f"http://{name}", "x.safetensors") for name in ("alpha", "beta", "gamma")], 24)
    assert [job.target for job in jobs[:4]] == ["alpha", "beta", "gamma", "alpha"]
    assert [job.number for job in jobs] == list(range(1, 25))
    for different in ("seed", "text", "prompt_id"):
        assert len({getattr(job, different) for job in jobs}) == 24


@pytest.mark.parametrize(
    ("named", "kept"),
    [
        (picture(STATIC), "alpha/kernie_512x768.jpg"),
        (picture("ComfyUI_00001_.png"), "alpha/ComfyUI_00001_.png"),
        (picture("ComfyUI_00001_.png", "2026/may"), "alpha/2026/may/ComfyUI_00001_.png"),
        (picture("x.png", "../../etc"), "alpha/etc/x.png"),
        (picture("/etc/passwd"), "alpha/passwd"),
        (picture("..\\..\\x.png", "C:\\temp"), "alpha/C_/temp/x.png"),
        (picture(".."), "alpha/unnamed"),
        (picture(""), "alpha/unnamed"),
        (picture(" . "), "alpha/unnamed"),
        (picture("a\0b.png"), "alpha/a_b.png"),
    ],
)
def test_a_picture_stays_in_the_folder_of_its_instance(named: dict[str, str], kept: str) -> None:
    """Whatever a server calls a file, it is kept below OUTPUT/INSTANCE."""
    assert saved_path(OUT, "alpha", named) == OUT / kept


@pytest.mark.parametrize(
    ("name", "folder"), [("127.0.0.1:8188", "127.0.0.1_8188"), ("../beta", "beta"), ("a/b", "a_b"), ("..", "unnamed")]
)
def test_the_name_of_an_instance_is_one_folder(name: str, folder: str) -> None:
    """A name may come from a header, so it is not to be trusted either."""
    assert saved_path(OUT, name, picture("x.png")) == OUT / folder / "x.png"


def test_messages_move_the_job_that_they_name() -> None:
    """Start, progress and end are noted with the time at which they came."""
    job = Job(number=1, target="alpha", text="a barn", submitted_s=1.0)
    jobs = {job.prompt_id: job}
    told = {"prompt_id": job.prompt_id}
    assert on_message(jobs, {"type": "execution_start", "data": told}, 2.0) is job
    assert on_message(jobs, {"type": "progress", "data": {**told, "value": 5, "max": 20}}, 3.0) is job
    assert (job.step, job.steps, job.over) == (5, 20, False)
    assert on_message(jobs, {"type": "execution_success", "data": told}, 4.5) is job
    assert (job.started_s, job.ended_s, job.over) == (2.0, 4.5, True)


@pytest.mark.parametrize(
    "message",
    [
        b"\0\0\0\1",
        {"type": "status", "data": {"status": {"exec_info": {"queue_remaining": 1}}}},
        {"type": "execution_start", "data": {"prompt_id": "somebody else's"}},
        {"type": "executed", "data": {"prompt_id": "ours"}},
    ],
)
def test_other_messages_move_nothing(message: dict[str, Any] | bytes) -> None:
    """Previews, the queue's length and other people's jobs are let pass."""
    job = Job(number=1, target="alpha", text="a barn", prompt_id="ours")
    assert on_message({"ours": job}, message, 2.0) is None
    assert job.started_s is None


def test_what_history_says_of_a_job() -> None:
    """Pictures of all output nodes, in order, by the three words that /view takes; texts have none."""
    images = [{**picture("a.png"), "more": 1}, picture("b.png")]
    outputs = {"9": {"images": images}, "10": {"text": ["hello"]}, "11": {"images": [picture("c.png")]}}
    entry: dict[str, Any] = {"outputs": outputs, "status": {"status_str": "success", "messages": []}}
    assert pictures(entry) == [picture("a.png"), picture("b.png"), picture("c.png")]
    assert failure(entry) is None


@pytest.mark.parametrize(
    ("messages", "why"),
    [
        (
            [
                ["execution_start", {}],
                ["execution_error", {"exception_type": "RuntimeError", "exception_message": "x\n"}],
            ],
            "RuntimeError: x",
        ),
        ([["execution_interrupted", {}]], "interrupted"),
        ([], "failed"),
    ],
)
def test_why_a_job_failed(messages: list[Any], why: str) -> None:
    """The reason is ComfyUI's own."""
    assert failure({"outputs": {}, "status": {"status_str": "error", "messages": messages}}) == why


def test_a_row_says_who_ran_what_and_how_long() -> None:
    """Waiting and running are told apart; a failed job shows why in place of its picture."""
    assert row(ended_job(3, "beta", ("a.png", "1"), ("b.png", "2"))) == (
        "3", "beta", "a barn", "0.50 s", "2.25 s", "a.png, b.png",
    )  # fmt: skip
    assert row(ended_job(4, "beta", error="interrupted"))[-1] == "interrupted"
    assert row(Job(number=5, target="beta", text="a barn"))[3:] == ("?", "?", "none")


def test_pictures_are_counted_by_instance_and_name_and_by_content() -> None:
    """Two instances may give one name to two pictures, and a static one gives one picture again and again."""
    jobs = [
        ended_job(1, "alpha", (STATIC, "kernie")),
        ended_job(2, "beta", ("ComfyUI_00001_.png", "b1")),
        ended_job(3, "gamma", ("ComfyUI_00001_.png", "c1")),
        ended_job(4, "alpha", (STATIC, "kernie")),
        ended_job(5, "beta", error="interrupted"),
    ]
    assert counts(jobs) == [
        "5 jobs on 3 instances, 1 failed",
        "4 pictures: 3 different by instance and name, 3 by SHA-256",
        f"alpha is static: 2 times {STATIC}",
    ]


@pytest.mark.parametrize(
    ("ckpt_name", "chosen"),
    [
        ([["sdxl.safetensors", "v1-5-pruned-emaonly-fp16.safetensors"], {}], "v1-5-pruned-emaonly-fp16.safetensors"),
        ([["sdxl.safetensors", "flux.safetensors"]], "sdxl.safetensors"),
        (["COMBO", {"options": ["sdxl.safetensors"]}], "sdxl.safetensors"),
        ([[], {}], "v1-5-pruned-emaonly-fp16.safetensors"),
    ],
)
def test_a_checkpoint_is_chosen_that_the_server_has(ckpt_name: list[Any], chosen: str) -> None:
    """Instances differ in their models; a job asks for one that is there."""
    required = {"ckpt_name": ckpt_name}
    assert choose_checkpoint({"CheckpointLoaderSimple": {"input": {"required": required}}}) == chosen
