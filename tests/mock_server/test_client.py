"""What does the plain client of the fixtures tell a test?"""

from io import BytesIO
from socket import create_server

import pytest
from PIL import Image

from comfyfarm.clients import HttpStatusError
from comfyfarm.clients.comfy_sync import SyncComfyClient, ask
from comfyfarm.workflows import text_to_image


def test_get_output_files(mock_comfyui_client_dynamic: SyncComfyClient) -> None:
    """Each file of a job, in the three words that ``/view`` takes."""
    client = mock_comfyui_client_dynamic
    prompt_id = client.submit_workflow(text_to_image(prefix="barns/red", batch_size=2))
    client.wait_for_completion(prompt_id)
    files = client.get_output_files(prompt_id)
    assert [(file["subfolder"], file["type"]) for file in files] == [("barns", "output")] * 2
    assert all(file["filename"].startswith("red_") for file in files)


def test_a_job_that_has_not_ended_has_no_files(mock_comfyui_client_dynamic: SyncComfyClient) -> None:
    prompt_id = mock_comfyui_client_dynamic.submit_workflow(text_to_image(steps=10_000))
    assert mock_comfyui_client_dynamic.get_output_files(prompt_id) == []


def test_a_downloaded_picture_has_the_size_that_was_asked_for(mock_comfyui_client_dynamic: SyncComfyClient) -> None:
    """It is a real PNG."""
    client = mock_comfyui_client_dynamic
    prompt_id = client.submit_workflow(text_to_image(width=320, height=192))
    client.wait_for_completion(prompt_id)
    (file,) = client.get_output_files(prompt_id)
    with Image.open(BytesIO(client.download(file))) as picture:
        assert (picture.format, picture.size) == ("PNG", (320, 192))


def test_the_static_picture_can_be_downloaded(mock_comfyui_client: SyncComfyClient) -> None:
    prompt_id = mock_comfyui_client.submit_workflow(text_to_image())
    mock_comfyui_client.wait_for_completion(prompt_id)
    (file,) = mock_comfyui_client.get_output_files(prompt_id)
    with Image.open(BytesIO(mock_comfyui_client.download(file))) as picture:
        assert (picture.format, picture.size) == ("JPEG", (512, 768))


def test_history_of_one_and_of_all(mock_comfyui_client: SyncComfyClient) -> None:
    """All jobs in the order in which they ended, or one of them."""
    jobs = [mock_comfyui_client.submit_workflow(text_to_image(seed=seed)) for seed in range(2)]
    last = mock_comfyui_client.wait_for_completion(jobs[-1])
    assert list(mock_comfyui_client.get_history()) == jobs
    assert mock_comfyui_client.get_history(jobs[-1]) == {jobs[-1]: last}
    assert mock_comfyui_client.get_history("never-submitted") == {}


def test_a_client_id_goes_with_the_job(mock_comfyui_client: SyncComfyClient) -> None:
    """So that its messages find the websocket of that client."""
    prompt_id = mock_comfyui_client.submit_workflow(text_to_image(), client_id="me")
    assert mock_comfyui_client.wait_for_completion(prompt_id)["prompt"][3]["client_id"] == "me"


def test_interrupting_another_job_does_nothing(mock_comfyui_client: SyncComfyClient) -> None:
    prompt_id = mock_comfyui_client.submit_workflow(text_to_image())
    mock_comfyui_client.interrupt("another")
    assert mock_comfyui_client.wait_for_completion(prompt_id)["status"]["completed"] is True


def test_waiting_has_an_end(mock_comfyui_client: SyncComfyClient) -> None:
    """The error names the server, the job and the time."""
    prompt_id = mock_comfyui_client.submit_workflow(text_to_image(steps=10_000))
    with pytest.raises(TimeoutError, match=f"{mock_comfyui_client.base_url}: job {prompt_id} .* 0 s"):
        mock_comfyui_client.wait_for_completion(prompt_id, timeout_s=0)


def test_a_server_that_runs_is_healthy(mock_comfyui_client: SyncComfyClient) -> None:
    assert mock_comfyui_client.health()


def test_no_server_is_not_healthy() -> None:
    """Neither is one that takes the connection and never answers."""
    with create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert not SyncComfyClient(url).health(timeout_s=0.05)
    assert not SyncComfyClient(url).health()


def test_a_refusal_without_json_gives_its_text(mock_comfyui_url: str) -> None:
    with pytest.raises(HttpStatusError) as refused:
        ask("GET", f"{mock_comfyui_url}/view")
    assert refused.value.status == 404
    assert isinstance(refused.value.body, str)
