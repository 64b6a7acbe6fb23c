"""What becomes of a job that a user sends?"""

import pytest
import requests

from comfyfarm.clients import HttpStatusError
from comfyfarm.clients.comfy_sync import SyncComfyClient
from comfyfarm.testing.child import ServedInstance
from comfyfarm.workflows import text_to_image

A_LONG_JOB = text_to_image(steps=10_000)


def test_get_history_completed(mock_comfyui_client: SyncComfyClient) -> None:
    """A job that went well stands in history: its workflow, its pictures, and how it ended."""
    prompt_id = mock_comfyui_client.submit_workflow(text_to_image(seed=1))
    entry = mock_comfyui_client.wait_for_completion(prompt_id)
    assert entry["status"]["status_str"] == "success"
    assert entry["status"]["completed"] is True
    assert entry["prompt"][1:3] == [prompt_id, text_to_image(seed=1)]
    assert list(entry["outputs"]) == ["9"]


def test_multiple_jobs_unique_files(mock_comfyui_client_dynamic: SyncComfyClient) -> None:
    """Five jobs in dynamic mode give five files."""
    client = mock_comfyui_client_dynamic
    jobs = [client.submit_workflow(text_to_image(seed=seed, steps=1)) for seed in range(5)]
    names = []
    for prompt_id in jobs:
        client.wait_for_completion(prompt_id)
        names += [file["filename"] for file in client.get_output_files(prompt_id)]
    assert len(set(names)) == len(names) == 5


def test_the_same_workflow_twice_gives_two_files(mock_comfyui_client_dynamic: SyncComfyClient) -> None:
    """Dynamic mode promises a new file for every job, so nothing is answered from a cache."""
    client = mock_comfyui_client_dynamic
    jobs = [client.submit_workflow(text_to_image(seed=7, steps=1)) for _ in range(2)]
    for prompt_id in jobs:
        client.wait_for_completion(prompt_id)
    first, second = (client.get_output_files(prompt_id) for prompt_id in jobs)
    assert first != second


def test_a_running_job_is_in_the_queue_and_not_in_history(mock_comfyui_client: SyncComfyClient) -> None:
    """The first job runs, the second waits, and neither is history yet."""
    running, waiting = (mock_comfyui_client.submit_workflow(A_LONG_JOB) for _ in range(2))
    queue = mock_comfyui_client.get_queue()
    assert [item[1] for item in queue["queue_running"]] == [running]
    assert [item[1] for item in queue["queue_pending"]] == [waiting]
    assert mock_comfyui_client.get_history() == {}


def test_an_interrupted_job_ends_at_once(mock_comfyui_client: SyncComfyClient) -> None:
    """Its history says that it did not complete."""
    prompt_id = mock_comfyui_client.submit_workflow(A_LONG_JOB)
    mock_comfyui_client.interrupt(prompt_id)
    status = mock_comfyui_client.wait_for_completion(prompt_id)["status"]
    assert (status["status_str"], status["completed"]) == ("error", False)
    assert status["messages"][-1][0] == "execution_interrupted"


def test_a_bad_workflow_is_refused(mock_comfyui_client: SyncComfyClient) -> None:
    """The refusal says which node is wrong, as ComfyUI's does."""
    workflow = text_to_image()
    workflow["3"]["inputs"]["steps"] = 0
    with pytest.raises(HttpStatusError) as refused:
        mock_comfyui_client.submit_workflow(workflow)
    assert refused.value.status == 400
    assert refused.value.body["node_errors"]["3"]["errors"][0]["type"] == "value_smaller_than_min"


class TestTwoTestsInARow:
    """What one test does to a server, the next does not see."""

    def test_the_first_leaves_a_long_job_running(self, mock_comfyui_client: SyncComfyClient) -> None:
        mock_comfyui_client.submit_workflow(A_LONG_JOB)

    def test_the_second_finds_the_server_empty(self, mock_comfyui_client: SyncComfyClient) -> None:
        assert mock_comfyui_client.get_queue() == {"queue_running": [], "queue_pending": []}
        assert mock_comfyui_client.get_history() == {}


def test_both_modes_run_at_once(mock_comfyui_url: str, mock_comfyui_url_dynamic: str) -> None:
    """Two servers on two ports, each under its own name."""
    assert mock_comfyui_url != mock_comfyui_url_dynamic
    names = [
        requests.get(f"{url}/queue", timeout=10).headers["X-Comfyfarm-Instance"]
        for url in (mock_comfyui_url, mock_comfyui_url_dynamic)
    ]
    assert names == ["static", "dynamic"]


def test_the_configuration_says_what_runs(
    mock_comfyui_config: ServedInstance,
    mock_comfyui_config_dynamic: ServedInstance,
    mock_comfyui_server: str,
    mock_comfyui_server_dynamic: str,
) -> None:
    """URL, mode and folders in one object, and the same server behind every fixture."""
    assert (mock_comfyui_config.url, mock_comfyui_config.mode) == (mock_comfyui_server, "static")
    assert (mock_comfyui_config_dynamic.url, mock_comfyui_config_dynamic.mode) == (
        mock_comfyui_server_dynamic,
        "dynamic",
    )
    assert mock_comfyui_config.output_dir.is_dir()
    assert mock_comfyui_config.input_dir.is_dir()
