"""The files that the farm wrote, and their removal in turns of the reactor."""

from pathlib import Path

from comfyfarm.server.files.owned_files import OwnedFiles


def test_a_file_that_a_client_writes_anew_while_the_old_ones_are_removed_stays(tmp_path: Path) -> None:
    """It is the farm's all the same: the end removes it."""
    owned, paths = OwnedFiles([tmp_path]), [tmp_path / f"x_{number:05}_.png" for number in range(1, 500)]
    for path in paths:
        path.touch()
        owned.written.add(path)
    steps = owned.remove_written()
    next(steps)
    assert (paths[0].exists(), paths[-1].exists()) == (False, True)
    owned.upload(paths[-1], b"new")
    for _ in steps:
        pass
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"new"]
    owned.remove_all()
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_the_user_is_never_removed(tmp_path: Path) -> None:
    """Not even if a client writes over it."""
    own = tmp_path / "mine.png"
    own.write_bytes(b"mine")
    owned = OwnedFiles([tmp_path])
    owned.upload(own, b"new")
    owned.remove_all()
    assert own.read_bytes() == b"new"
