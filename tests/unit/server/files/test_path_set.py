"""The set of the paths that jobs have written."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from comfyfarm.server.files.path_set import PathSet, _Numbers

A, B, ELSEWHERE = Path("/out/a.png"), Path("/out/b.png"), Path("/out/sub/a.png")


def test_it_has_what_was_added_and_not_discarded() -> None:
    paths = PathSet()
    for path in (A, B, ELSEWHERE, A):
        paths.add(path)
    assert (len(paths), set(paths)) == (3, {A, B, ELSEWHERE})
    paths.discard(B)
    paths.discard(Path("/nowhere/b.png"))
    assert A in paths
    assert B not in paths
    assert None not in paths
    paths -= {A}
    assert set(paths) == {ELSEWHERE}


def test_it_is_empty_once_it_is_cleared() -> None:
    paths = PathSet()
    paths.add(A)
    paths.clear()
    assert not paths
    assert A not in paths


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 12))))
def test_numbered_names_are_a_set_like_any_other(steps: list[tuple[bool, int]]) -> None:
    """In whatever order they are written and removed."""
    paths, expected = PathSet(), set[Path]()
    for is_added, number in steps:
        path = Path(f"/out/ComfyUI_{number:05}_.png")
        (paths.add if is_added else paths.discard)(path)
        (expected.add if is_added else expected.discard)(path)
        assert (set(paths), len(paths)) == (expected, len(expected))
        assert all((path in paths) == (path in expected) for path in [path, A])


def test_names_of_all_kinds_come_back_as_they_are() -> None:
    plain = ["a_0001_.png", "a_000012_.png", "a00001.png", "b.png"]
    names = [*plain, "a_00001_.png", "a_00001_x.png", "a_123456_.mp4", "_00007_", "a_00001_00002_.png"]
    paths = PathSet()
    for name in names:
        paths.add(Path("/out", name))
    assert set(paths) == {Path("/out", name) for name in names}
    assert all(Path("/out", name) in paths for name in names)
    assert Path("/out/a_00002_.png") not in paths
    assert Path("/elsewhere/a_00001_.png") not in paths


def test_many_numbered_files_take_the_memory_of_one() -> None:
    paths = PathSet()
    for number in range(1, 20_001):
        paths.add(Path(f"/out/ComfyUI_{number:05}_.png"))
    first, numbers = paths._parts.values()
    assert isinstance(numbers, _Numbers)
    assert (len(first), len(numbers._bounds)) == (1, 2)
