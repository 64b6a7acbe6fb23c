"""The jobs of ``comfyfarm load``: what a message means, where a picture goes, what adds up."""

from pathlib import Path
from typing import Any

import pytest

from comfyfarm.cli.loading.jobs import LoadJob, choose_checkpoint, failure, on_message, pictures, saved_path
from comfyfarm.cli.loading.show import as_facts, counts, row

OUT = Path("out")
STATIC = "../input/kernie_512x768.jpg"


def picture(filename: str, subfolder: str = "") -> dict[str, str]:
    return {"filename": filename, "subfolder": subfolder, "type": "output"}


def new_job(number: int = 1, target: str = "alpha", **facts: Any) -> LoadJob:
    return LoadJob(number, 0.0, "text-to-image", "a barn", target, **facts)


def ended_job(number: int, target: str, *files: tuple[str, str], error: str | None = None) -> LoadJob:
    return new_job(
        number, target, submitted_s=1.0, started_s=1.5, ended_s=3.75, fetched_s=4.0, saved=list(files), error=error
    )


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
    job = new_job(submitted_s=1.0)
    jobs = {job.prompt_id: job}
    told = {"prompt_id": job.prompt_id}
    assert on_message(jobs, {"type": "execution_start", "data": told}, 2.0) is job
    assert on_message(jobs, {"type": "progress", "data": {**told, "value": 5, "max": 20}}, 3.0) is job
    assert (job.step, job.steps, job.is_over) == (5, 20, False)
    assert on_message(jobs, {"type": "execution_success", "data": told}, 4.5) is job
    assert (job.started_s, job.ended_s, job.is_over) == (2.0, 4.5, True)


def test_a_message_that_comes_after_the_end_was_known_changes_no_time() -> None:
    """A client that is behind with its messages would measure itself."""
    job = new_job(submitted_s=1.0, ended_s=2.0)
    late = {"type": "execution_start", "data": {"prompt_id": job.prompt_id}}
    assert on_message({job.prompt_id: job}, late, 3.0) is None
    assert (job.started_s, job.ended_s) == (None, 2.0)


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
    job = new_job(prompt_id="ours")
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
    assert row(new_job(5, "beta"))[3:] == ("?", "?", "none")


def test_pictures_are_counted_by_instance_and_name_and_by_content() -> None:
    """Two instances may give one name to two pictures, and a static one gives one picture again and again."""
    jobs = [
        ended_job(1, "alpha", (STATIC, "kernie")),
        ended_job(2, "beta", ("ComfyUI_00001_.png", "b1")),
        ended_job(3, "gamma", ("ComfyUI_00001_.png", "c1")),
        ended_job(4, "alpha", (STATIC, "kernie")),
        ended_job(5, "beta", error="interrupted"),
    ]
    assert counts(jobs, 12.34) == [
        "5 jobs on 3 instances in 12.3 s, 1 not delivered",
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
    assert choose_checkpoint({"KSampler": {}}) is None
    assert choose_checkpoint({"CheckpointLoaderSimple": {"input": {"required": required}}}) == chosen


def test_a_machine_gets_figures_and_every_job() -> None:
    """Percentiles lie between the values; of one value all are the same."""
    slow = new_job(3, "beta", submitted_s=0.0, started_s=1.0, ended_s=11.0, fetched_s=12.0)
    facts = as_facts([ended_job(1, "alpha", ("a.png", "1")), ended_job(2, "beta", error="interrupted"), slow], 20.0)
    assert (facts["jobs"], facts["delivered"], facts["reasons"]) == (3, 2, {"interrupted": 1})
    assert facts["figures"]["in_all"] == pytest.approx(
        {"jobs": 3, "mean": 6.0, "p50": 3.0, "p90": 10.2, "p95": 11.1, "p99": 11.82, "max": 12.0}
    )
    assert facts["figures"]["in_all:alpha"]["p99"] == facts["figures"]["in_all:alpha"]["max"] == 3.0
    assert facts["results"][0]["pictures"] == ["a.png"]
    assert (facts["results"][2]["waited_s"], facts["results"][2]["ran_s"]) == (1.0, 10.0)
