"""Which files does a server write, and when do they go?"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from comfyfarm.clients.comfy_sync import SyncComfyClient
from comfyfarm.testing.child import RunningFarm, ServedInstance, run_farm
from comfyfarm.workflows import text_to_image


def run(client: SyncComfyClient, **wish: Any) -> list[dict[str, str]]:
    """Run one job to its end, and give its files."""
    prompt_id = client.submit_workflow(text_to_image(steps=1, **wish))
    client.wait_for_completion(prompt_id)
    return client.get_output_files(prompt_id)


def number(file: dict[str, str]) -> int:
    """The counter in a name: ``PREFIX_00001_.png``."""
    found = re.search(r"_(\d{5})_\.png$", file["filename"])
    assert found, file
    return int(found[1])


def written(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


def test_unique_output_files_per_job(
    mock_comfyui_config_dynamic: ServedInstance,
    mock_comfyui_client_dynamic: SyncComfyClient,
) -> None:
    """Two jobs write two files, each with bytes of its own, and both stay."""
    before = written(mock_comfyui_config_dynamic.output_dir)
    files = [run(mock_comfyui_client_dynamic, seed=seed)[0] for seed in range(2)]
    new = written(mock_comfyui_config_dynamic.output_dir) - before
    assert {path.name for path in new} == {file["filename"] for file in files}
    assert len({path.read_bytes() for path in new}) == 2


def test_output_file_naming_pattern(mock_comfyui_client_dynamic: SyncComfyClient) -> None:
    """ComfyUI's own: the prefix, five digits, an underscore at the end."""
    (file,) = run(mock_comfyui_client_dynamic, prefix="landscape")
    assert re.fullmatch(r"landscape_\d{5}_\.png", file["filename"])
    assert file["type"] == "output"


def test_filename_counter_increments(mock_comfyui_client_dynamic: SyncComfyClient) -> None:
    """By one from job to job, and from picture to picture within a batch."""
    files = run(mock_comfyui_client_dynamic, prefix="count")
    files += run(mock_comfyui_client_dynamic, prefix="count", batch_size=2)
    files += run(mock_comfyui_client_dynamic, prefix="count")
    first = number(files[0])
    assert [number(file) for file in files] == list(range(first, first + 4))


class TestCountersOverTheTestsOfASession:
    """The fixture empties the server before each test, but a name is never given twice."""

    numbers: list[int] = []  # noqa: RUF012  (meant to outlive a test)

    @pytest.mark.parametrize("_", range(2))
    def test_the_counter_goes_on(self, mock_comfyui_client_dynamic: SyncComfyClient, _: int) -> None:
        assert mock_comfyui_client_dynamic.get_history() == {}
        (file,) = run(mock_comfyui_client_dynamic, prefix="session")
        self.numbers.append(number(file))
        assert self.numbers == list(range(self.numbers[0], self.numbers[0] + len(self.numbers)))


def test_static_stays_static(mock_comfyui_config: ServedInstance, mock_comfyui_client: SyncComfyClient) -> None:
    """Whatever is asked for, the answer is the same path, the file is there, and nothing is written."""
    before = written(mock_comfyui_config.output_dir.parent)
    answers = [run(mock_comfyui_client, seed=seed, prefix=f"p{seed}", batch_size=seed + 1) for seed in range(3)]
    assert answers == [answers[0]] * 3
    (file,) = answers[0]
    assert file == {"filename": "../input/kernie_512x768.jpg", "subfolder": "", "type": "output"}
    assert (mock_comfyui_config.output_dir / file["filename"]).is_file()
    assert written(mock_comfyui_config.output_dir.parent) == before


def test_other_ways_to_name_a_file(comfy_farm: Callable[..., RunningFarm]) -> None:
    """By prompt id or by time; a second picture of the same job gets a name of its own."""
    farm = comfy_farm("""
        [[instance]]
        name = "by-id"
        mode = "dynamic"
        naming = "prompt_id"
        [[instance]]
        name = "by-time"
        mode = "dynamic"
        naming = "timestamp"
    """)
    client = SyncComfyClient(farm["by-id"].url)
    prompt_id = client.submit_workflow(text_to_image(batch_size=2))
    client.wait_for_completion(prompt_id)
    names = [file["filename"] for file in client.get_output_files(prompt_id)]
    assert names[0] == f"ComfyUI_{prompt_id}.png"
    assert len(set(names)) == 2
    names = [file["filename"] for file in run(SyncComfyClient(farm["by-time"].url), batch_size=2)]
    assert all(re.fullmatch(r"ComfyUI_\d.*\.png", name) for name in names)
    assert len(set(names)) == 2


def test_a_reset_keeps_the_files_unless_told_otherwise() -> None:
    """And when the farm ends, it removes what it wrote."""
    with run_farm({"instance": [{"name": "one", "mode": "dynamic"}]}) as farm:
        output, client = farm["one"].output_dir, SyncComfyClient(farm["one"].url)
        run(client)
        farm.reset()
        assert [path.name for path in written(output)] == ["ComfyUI_00001_.png"]
        assert client.get_history() == {}
        farm.reset(files=True)
        assert written(output) == set()
        run(client)
        assert written(output)
    assert not output.exists()


def test_a_folder_of_the_user_keeps_what_the_user_had_in_it(tmp_path: Path) -> None:
    """Only the farm's own files are removed, and a name that was there is not given again."""
    mine = tmp_path / "ComfyUI_00004_.png"
    mine.write_bytes(b"mine")
    with run_farm({"instance": [{"name": "one", "mode": "dynamic", "output_dir": tmp_path}]}) as farm:
        (file,) = run(SyncComfyClient(farm.url))
        assert number(file) == 5
        assert len(written(tmp_path)) == 2
    assert written(tmp_path) == {mine}
    assert mine.read_bytes() == b"mine"
