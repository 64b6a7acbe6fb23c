"""The set of the paths that jobs have written."""

from pathlib import Path

from comfyfarm.server.files.path_set import PathSet

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
