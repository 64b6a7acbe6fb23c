"""Many files are removed by a process that nobody has to wait for."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from comfyfarm.server.files.removal import AT_ONCE, remove_files, remove_tree


@pytest.fixture
def wait_for_detached(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Wait until the processes that were started have ended: they hold the end of a pipe as their output."""
    reading, writing = os.pipe()
    run = subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda *args, **options: run(*args, **{**options, "stdout": writing}))

    def wait() -> None:
        os.close(writing)
        assert os.read(reading, 1) == b""
        os.close(reading)

    return wait


def make_files(folder: Path, count: int) -> list[Path]:
    folder.mkdir()
    paths = [folder / f"{number:05}.png" for number in range(count)]
    for path in paths:
        path.touch()
    return paths


def test_a_few_files_are_gone_at_once(tmp_path: Path) -> None:
    remove_files(make_files(tmp_path / "a", 10), [tmp_path / "a"])
    make_files(tmp_path / "b", 10)
    remove_tree(tmp_path / "b")
    assert list(tmp_path.iterdir()) == []


def test_many_files_are_removed_by_another_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wait_for_detached: Callable[[], None]
) -> None:
    """None is removed here; files of others, and folders that they are in, stay."""
    paths = make_files(tmp_path / "a", AT_ONCE + 1)
    foreign = tmp_path / "a" / "theirs.png"
    foreign.touch()
    (tmp_path / "empty").mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", lambda *_: pytest.fail("removed in the reactor"))
        remove_files(paths, [tmp_path / "empty", tmp_path / "a"])
    wait_for_detached()
    assert list(tmp_path.rglob("*")) == [tmp_path / "a", foreign]


def test_a_folder_with_many_files_is_removed_by_another_process(
    tmp_path: Path, wait_for_detached: Callable[[], None]
) -> None:
    make_files(tmp_path / "a", AT_ONCE + 1)
    remove_tree(tmp_path / "a")
    wait_for_detached()
    assert list(tmp_path.iterdir()) == []


def test_the_highest_numbers_are_removed_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A farm that writes into the folder by then counts on after them, so that no new file is removed."""
    paths = make_files(tmp_path / "a", AT_ONCE + 1)
    lists: list[bytes] = []
    monkeypatch.setattr(subprocess, "run", lambda *_, stdin, **__: lists.append(stdin.read()))
    remove_files(set(paths))
    assert lists == [b"\0".join(map(os.fsencode, paths))]


def test_files_are_removed_here_if_no_process_can_be_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "missing"))
    remove_files(make_files(tmp_path / "a", AT_ONCE + 1), [tmp_path / "a"])
    make_files(tmp_path / "b", AT_ONCE + 1)
    remove_tree(tmp_path / "b")
    assert list(tmp_path.iterdir()) == []
