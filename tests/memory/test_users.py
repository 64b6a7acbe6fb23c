"""Users, their settings and their files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from comfyfarm.testing import MemoryFarm, MemoryInstance, as_config

Start = Callable[[Any], MemoryFarm]

ONE = {"instance": [{"name": "gpu"}]}
SEVERAL = {"instance": [{"name": "gpu", "multi_user": True}]}
TEXT = "text/plain; charset=utf-8"


def put(gpu: MemoryInstance, name: str, content: bytes, query: str = "") -> Any:
    reply = gpu.ask("POST", f"/userdata/{name}{query}", data=content)
    assert reply.status == 200
    return reply.json()


def test_settings_are_kept_one_by_one_and_merged(memory_farm: Start) -> None:
    """What was never set is null; a whole object is laid over what is there."""
    gpu = memory_farm(ONE)["gpu"]
    assert gpu.ask("GET", "/settings/a").json() is None
    assert gpu.ask("POST", "/settings/a", json={"deep": [1, None]}).body == b""
    gpu.ask("POST", "/api/settings", json={"b": 2, "c/d": 3})
    assert gpu.ask("GET", "/settings").json() == {"a": {"deep": [1, None]}, "b": 2, "c/d": 3}
    assert gpu.ask("GET", "/settings/c%2Fd").json() == 3


def test_settings_that_are_no_object_change_nothing(memory_farm: Start) -> None:
    """ComfyUI fails on a list and on what is no JSON."""
    gpu = memory_farm(ONE)["gpu"]
    gpu.ask("POST", "/settings/a", json=1)
    assert gpu.ask("POST", "/settings", json=[1]).status == 500
    assert gpu.ask("POST", "/settings/a", data=b"zzz").status == 500
    assert gpu.ask("GET", "/settings").json() == {"a": 1}


def test_settings_are_a_file_of_the_user(memory_farm: Start) -> None:
    """As on a real server; a broken one counts as none."""
    gpu = memory_farm(ONE)["gpu"]
    gpu.ask("POST", "/settings/a", json=1)
    assert gpu.ask("GET", "/userdata/comfy.settings.json").json() == {"a": 1}
    put(gpu, "comfy.settings.json", b"{")
    assert gpu.ask("GET", "/settings").json() == {}


def test_a_single_user_is_migrated_once_something_was_kept(memory_farm: Start) -> None:
    """That is how the page knows that the server has the user's settings."""
    gpu = memory_farm(ONE)["gpu"]
    assert gpu.ask("GET", "/users").json() == {"storage": "server", "migrated": False}
    gpu.ask("POST", "/settings", json={})
    assert gpu.ask("GET", "/users").json() == {"storage": "server", "migrated": True}


def test_several_users_are_kept_apart(memory_farm: Start) -> None:
    """By the header, which must name a known one."""
    gpu = memory_farm(SEVERAL)["gpu"]
    ann, bob = (gpu.ask("POST", "/users", json={"username": name}).json() for name in ("Ann B.", "bob"))
    assert ann.startswith("Ann-B_")
    assert gpu.ask("GET", "/users").json() == {"storage": "server", "users": {ann: "Ann B.", bob: "bob"}}
    gpu.ask("POST", "/settings/a", json=1, headers={"comfy-user": ann})
    assert gpu.ask("GET", "/settings", headers={"comfy-user": ann}).json() == {"a": 1}
    assert gpu.ask("GET", "/settings", headers={"comfy-user": bob}).json() == {}


@pytest.mark.parametrize("headers", [{}, {"comfy-user": "nobody"}, {"comfy-user": "../default"}])
def test_an_unknown_user_has_no_settings(memory_farm: Start, headers: dict[str, str]) -> None:
    """And may be told so: 401 where all settings are read, a 500 elsewhere."""
    gpu = memory_farm(SEVERAL)["gpu"]
    reply = gpu.ask("GET", "/settings", headers=headers)
    assert (reply.status, reply.body) == (401, b"")
    assert gpu.ask("GET", "/settings/a", headers=headers).status == 500
    assert gpu.ask("POST", "/settings", json={}, headers=headers).status == 500
    assert gpu.ask("GET", "/userdata?dir=x", headers=headers).status == 500


def test_a_single_user_needs_no_header(memory_farm: Start) -> None:
    """And a wrong one does no harm."""
    gpu = memory_farm(ONE)["gpu"]
    gpu.ask("POST", "/settings/a", json=1, headers={"comfy-user": "nobody"})
    assert gpu.ask("GET", "/settings/a").json() == 1


def test_a_user_needs_a_name_of_its_own(memory_farm: Start) -> None:
    """ComfyUI says what is wrong with it."""
    gpu = memory_farm(SEVERAL)["gpu"]
    gpu.ask("POST", "/users", json={"username": "ann"})
    again, empty = (gpu.ask("POST", "/users", json={"username": name}) for name in ("ann", " "))
    assert (again.status, again.json()) == (400, {"error": "Duplicate username."})
    assert (empty.status, empty.json()) == (400, {"error": "username not provided"})
    assert gpu.ask("POST", "/users", json=[]).status == 500


def test_a_file_goes_in_and_out(memory_farm: Start) -> None:
    """Byte for byte, with its type, and in parts."""
    gpu = memory_farm(ONE)["gpu"]
    assert put(gpu, "flows%2Fa.json", b'{"x": 1}') == "flows/a.json"
    whole = gpu.ask("GET", "/userdata/flows%2Fa.json")
    assert (whole.body, whole.headers["content-type"]) == (b'{"x": 1}', "application/json")
    assert whole.headers["content-disposition"] == "attachment"
    part = gpu.ask("GET", "/userdata/flows%2Fa.json", headers={"Range": "bytes=0-1"})
    assert (part.status, part.body) == (206, b'{"')


def test_a_file_bears_simulated_time(memory_farm: Start) -> None:
    """In milliseconds in the old list, in seconds in the new one."""
    farm = memory_farm(ONE)
    farm.advance(90)
    info = put(farm["gpu"], "a.txt", b"22", "?full_info=true")
    assert info == {"path": "a.txt", "size": 2, "modified": 1_700_000_090_000, "created": 1_700_000_090_000}
    (entry,) = farm["gpu"].ask("GET", "/v2/userdata").json()
    assert entry == {"name": "a.txt", "path": "a.txt", "type": "file", "size": 2, "modified": 1_700_000_090.0}


def test_a_file_is_overwritten_unless_that_is_forbidden(memory_farm: Start) -> None:
    """Moving follows the same rule."""
    gpu = memory_farm(ONE)["gpu"]
    put(gpu, "a", b"1")
    put(gpu, "a", b"2")
    put(gpu, "b", b"3")
    kept = gpu.ask("POST", "/userdata/a?overwrite=false", data=b"4")
    moved = gpu.ask("POST", "/userdata/b/move/a?overwrite=false")
    assert (kept.status, kept.body, kept.headers["content-type"]) == (409, b"File already exists", TEXT)
    assert moved.status == 409
    assert gpu.ask("GET", "/userdata/a").body == b"2"
    assert gpu.ask("POST", "/userdata/b/move/new%2Fc").json() == "new/c"
    assert gpu.ask("GET", "/userdata/b").status == 404
    assert gpu.ask("GET", "/userdata/new%2Fc").body == b"3"


def test_files_are_removed_one_by_one(memory_farm: Start) -> None:
    """A directory is not."""
    gpu = memory_farm(ONE)["gpu"]
    put(gpu, "d%2Fa", b"1")
    assert [gpu.ask("DELETE", "/userdata/d%2Fa").status for _ in range(2)] == [204, 404]
    assert gpu.ask("DELETE", "/userdata/d").status == 500


def test_a_directory_is_listed_in_all_its_forms(memory_farm: Start) -> None:
    """Without what is hidden; the new list has everything, directories first."""
    gpu = memory_farm(ONE)["gpu"]
    for name in ("d%2Fb.json", "d%2F.index.json", "d%2Fs%2Fa.txt"):
        put(gpu, name, b"1")
    assert gpu.ask("GET", "/userdata?dir=d").json() == ["b.json"]
    assert gpu.ask("GET", "/userdata?dir=d&recurse=true").json() == ["b.json", "s/a.txt"]
    split = gpu.ask("GET", "/userdata?dir=d&recurse=TRUE&split=true").json()
    assert split == [["b.json", "b.json"], ["s/a.txt", "s", "a.txt"]]
    assert [each["path"] for each in gpu.ask("GET", "/userdata?dir=d&full_info=true").json()] == ["b.json"]
    names = [each["path"] for each in gpu.ask("GET", "/v2/userdata?path=d").json()]
    assert names == ["d/s", "d/.index.json", "d/s/a.txt", "d/b.json"]


def test_what_is_no_directory_is_said_to_be_none(memory_farm: Start) -> None:
    """Each list in its own words."""
    gpu = memory_farm(ONE)["gpu"]
    put(gpu, "a", b"1")
    replies = [gpu.ask("GET", f"/userdata{query}") for query in ("", "?dir=", "?dir=no", "?dir=/etc", "?dir=../..")]
    told = [(reply.status, reply.body.decode()) for reply in replies]
    assert told[:3] == [(400, "Directory not provided")] * 2 + [(404, "Directory not found")]
    assert told[3:] == [(403, "Invalid directory")] * 2
    replies = [gpu.ask("GET", f"/v2/userdata?path={path}") for path in ("a", "no", "../..")]
    assert [(reply.status, reply.body.decode()) for reply in replies] == [
        (400, "Requested path is not a directory"),
        (404, "Requested path not found"),
        (400, "Invalid path requested"),
    ]


def test_nothing_leaves_the_users_folder(memory_farm: Start, tmp_path: Path) -> None:
    """However the way out is written."""
    farm = memory_farm({"farm": {"data_dir": str(tmp_path)}, **ONE})
    gpu = farm["gpu"]
    put(gpu, "a", b"1")
    for way in ("..%2Fx", "..%2F..%2F..%2Fx", "%2Fetc%2Fpasswd", "d%2F..%2F..%2Fx", "..%2Fdefault2%2Fx"):
        assert gpu.ask("GET", f"/userdata/{way}").status == 403
        assert gpu.ask("POST", f"/userdata/{way}", data=b"1").status == 403
        assert gpu.ask("DELETE", f"/userdata/{way}").status == 403
        assert gpu.ask("POST", f"/userdata/a/move/{way}").status == 403
    assert gpu.ask("GET", "/userdata/..%252Fx").status == 404
    files = [path.name for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(files) == ["a", "example.png", "kernie_512x768.jpg"]


def test_impossible_names_are_answered_for(memory_farm: Start) -> None:
    """As ComfyUI does, and nothing breaks."""
    gpu = memory_farm(ONE)["gpu"]
    put(gpu, "a", b"1")
    assert gpu.ask("POST", f"/userdata/{'x' * 300}", data=b"1").status == 400
    assert gpu.ask("POST", "/userdata/a%2Fb", data=b"1").status in (400, 500)
    assert gpu.ask("POST", "/userdata/x%00y", data=b"1").status == 500
    assert gpu.ask("GET", "/userdata/x%00y").status == 404
    assert gpu.ask("GET", "/userdata/.").status == 403
    for path in ("/userdata/LONG", "/userdata?dir=LONG", "/v2/userdata?path=LONG", "/userdata?dir=x%00y"):
        assert gpu.ask("GET", path.replace("LONG", "x" * 300)).status == 404


def test_a_name_too_long_for_a_folder_keeps_nothing(memory_farm: Start) -> None:
    """ComfyUI fails when it makes the folder, not when it takes the user in."""
    gpu = memory_farm(SEVERAL)["gpu"]
    user = gpu.ask("POST", "/users", json={"username": "x" * 300}).json()
    assert gpu.ask("POST", "/settings/a", json=1, headers={"comfy-user": user}).status == 500
    assert gpu.ask("GET", "/settings/a", headers={"comfy-user": user}).json() is None


def test_files_may_lie_deeper_than_python_calls_itself(memory_farm: Start) -> None:
    """Made in two steps, as a real server would not make them in one; they are listed, and removed at the end."""
    farm = memory_farm(ONE)
    gpu = farm["gpu"]
    assert gpu.ask("POST", f"/userdata/{'a%2F' * 1200}x.json", data=b"{}").status == 500
    for depth in (500, 990):
        put(gpu, f"{'a%2F' * depth}x.json", b"{}")
    names = gpu.ask("GET", "/userdata?dir=a&recurse=true").json()
    assert [name.count("/") for name in names] == [989, 499]
    assert len(gpu.ask("GET", "/v2/userdata?path=a").json()) == 989 + 2
    folder = gpu.backend.storage.users._make_directory()
    farm.stop()
    assert not folder.exists()


def test_users_files_stay_over_a_reset_and_go_with_the_farm(tmp_path: Path) -> None:
    """And nothing of the user's own folder is touched."""
    mine = tmp_path / "gpu" / "user" / "mine.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    farm = MemoryFarm.start(as_config({"farm": {"data_dir": str(tmp_path)}, **ONE}))
    put(farm["gpu"], "a", b"1")
    farm.control("POST", "/api/reset", json={"files": True})
    assert farm["gpu"].ask("GET", "/userdata/a").body == b"1"
    farm.stop()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [mine]
