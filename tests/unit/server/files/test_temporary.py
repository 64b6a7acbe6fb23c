"""The temporary folder of a farm, and what the next farm does with those that are left."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from comfyfarm.server.files.temporary import TemporaryFolder

Start = Callable[[], TemporaryFolder]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], TemporaryFolder]]:
    """Makes the folder of one more farm, under ``tmp_path``."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    made: list[TemporaryFolder] = []

    def start() -> TemporaryFolder:
        made.append(TemporaryFolder.make())
        return made[-1]

    yield start
    for temporary in made:
        temporary._lock.close()


def kill(temporary: TemporaryFolder) -> None:
    """End the farm as SIGKILL does: the system releases the lock, and nothing else happens."""
    (temporary.path / "alpha").mkdir()
    (temporary.path / "alpha" / "ComfyUI_00001_.png").write_bytes(b"picture")
    temporary._lock.close()


def test_the_folder_of_a_farm_that_was_killed_is_removed_when_the_next_one_starts(start: Start, tmp_path: Path) -> None:
    killed = start()
    kill(killed)
    alive = start()
    assert list(tmp_path.iterdir()) == [alive.path]


def test_the_folder_of_a_farm_that_runs_is_left_alone(start: Start) -> None:
    alive = start()
    start()
    assert alive.path.exists()


def test_files_that_shall_stay_do_so_even_if_the_farm_is_killed(start: Start) -> None:
    killed = start()
    killed.keep()
    kill(killed)
    start()
    assert (killed.path / "alpha" / "ComfyUI_00001_.png").exists()


def test_a_folder_that_only_has_such_a_name_is_left_alone(start: Start, tmp_path: Path) -> None:
    own = tmp_path / "comfyfarm-notes"
    own.mkdir()
    start()
    assert own.exists()


@pytest.mark.parametrize("keep", [True, False])
def test_a_farm_that_ends_leaves_its_folder_only_if_files_shall_stay(start: Start, keep: bool) -> None:
    temporary = start()
    temporary.close(keep=keep)
    temporary.close(keep=keep)
    start()
    assert temporary.path.exists() == keep
