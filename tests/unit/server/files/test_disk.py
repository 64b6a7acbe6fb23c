"""The folders of an instance on the disk."""

import os
import subprocess
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from comfyfarm.server.files import atomic
from comfyfarm.server.files.disk import Disk, Outside
from comfyfarm.server.files.removal import AT_ONCE
from comfyfarm.server.media.pictures import ImageRenderer
from comfyfarm.server.time.turns import at_once
from comfyfarm.sim.files import FileContent, Place
from comfyfarm.sim.values import Picture

PICTURE = FileContent(Picture(8, 4), {"prompt": "{}"}, "{}")


def png(width: int = 8, height: int = 8, colour: str = "red") -> bytes:
    file = BytesIO()
    Image.new("RGB", (width, height), colour).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "farm" / "alpha"


@pytest.fixture
def disk(root: Path) -> Disk:
    return Disk(root / "input", root / "output", root / "temp", ImageRenderer(png()))


def everything(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_the_folders_are_there_from_the_start(disk: Disk, root: Path) -> None:
    """A client may join output with ../input/NAME, which the system resolves only through folders that exist."""
    assert everything(root) == ["input", "output", "temp"]


def test_a_put_picture_is_a_real_file_and_known_to_all_questions(disk: Disk, root: Path) -> None:
    """Name, existence, size and digest."""
    place = Place("output", "sub/deep", "a_00001_.png")
    disk.put(place, PICTURE)
    with Image.open(root / "output/sub/deep/a_00001_.png") as image:
        assert image.size == (8, 4)
    assert list(disk.names("output", "sub/deep")) == ["a_00001_.png"]
    assert disk.exists(place)
    assert disk.size(place) == (8, 4)
    assert len(disk.digest(place) or "") == 64


def test_what_is_not_there_is_none(disk: Disk) -> None:
    """No name, no digest, no size, no error; also where the place is outside or impossible."""
    for place in (
        Place("output", "", "no.png"),
        Place("output", "..", "input"),
        Place("input", "../../..", "etc/passwd"),
        Place("input", "", "/etc/passwd"),
        Place("temp", "", "a\0b"),
        Place("temp", "", "n" * 300),
        Place("temp", "", "\udfff"),
        Place("output", "", ""),
    ):
        assert (disk.exists(place), disk.digest(place), disk.size(place)) == (False, None, None)
        assert list(disk.names(place.folder, place.subfolder + "/none")) == []


def test_a_taken_name_is_not_overwritten(disk: Disk, root: Path) -> None:
    """Neither ours nor a foreign one."""
    disk.put(Place("output", "", "a.png"), PICTURE)
    (root / "output/b.png").write_bytes(b"theirs")
    (root / "output/c.png").symlink_to("nowhere")
    before = (root / "output/a.png").read_bytes()
    for name in ("a.png", "b.png", "c.png"):
        with pytest.raises(FileExistsError):
            disk.put(Place("output", "", name), FileContent(Picture(1, 1), {}, ""))
    assert (root / "output/a.png").read_bytes() == before
    assert (root / "output/b.png").read_bytes() == b"theirs"


def test_a_name_that_is_taken_while_we_render_is_not_overwritten(
    disk: Disk, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another program may write into the same folder."""
    def render(*_: object) -> bytes:
        (root / "output/a.png").write_bytes(b"theirs")
        return b"ours"
    monkeypatch.setattr(disk.renderer, "render", render)
    with pytest.raises(FileExistsError):
        disk.put(Place("output", "", "a.png"), PICTURE)
    assert everything(root / "output") == ["a.png"]
    assert (root / "output/a.png").read_bytes() == b"theirs"
    disk.remove_all()
    assert everything(root / "output") == ["a.png"]


def test_without_hard_links_a_file_is_still_whole_and_new(
    disk: Disk, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some file systems have none."""
    def no_link(*_: object) -> None:
        raise PermissionError
    monkeypatch.setattr("pathlib.Path.hardlink_to", no_link)
    disk.put(Place("output", "", "a.png"), PICTURE)
    (root / "output/b.png").write_bytes(b"theirs")
    with pytest.raises(FileExistsError):
        atomic._link(root / "output/a.png", root / "output/b.png")
    assert everything(root / "output") == ["a.png", "b.png"]


def test_nobody_sees_a_file_before_it_is_whole(disk: Disk, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it is written it has another name, which no list shows and no question knows."""
    seen = []
    name = atomic._link
    def look(draft: Path, path: Path) -> None:
        seen.append((list(disk.names("output", "")), everything(root / "output"), draft.stat().st_size))
        assert not disk.exists(Place("output", "", draft.name))
        name(draft, path)
    monkeypatch.setattr(atomic, "_link", look)
    disk.put(Place("output", "", "a.png"), PICTURE)
    (names, (draft,), size), = seen
    assert names == []
    assert draft.startswith(".")
    assert size == (root / "output/a.png").stat().st_size
    assert everything(root / "output") == ["a.png"]


def test_a_full_disk_leaves_nothing_behind(disk: Disk, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a file is worse than none."""
    def full(_descriptor: int, _content: bytes) -> int:
        raise OSError(28, "No space left on device")
    monkeypatch.setattr("os.write", full)
    with pytest.raises(OSError, match="No space"):
        disk.put(Place("output", "", "a.png"), PICTURE)
    assert everything(root / "output") == []


def test_too_long_a_name_is_refused_by_its_own_name(disk: Disk, root: Path) -> None:
    """Not by that of the draft, which no client knows."""
    place = Place("output", "", f"{'a' * 300}.png")
    with pytest.raises(OSError, match="too long") as raised:
        disk.put(place, PICTURE)
    assert (raised.value.filename, raised.value.filename2) == (str(root / "output" / place.name), None)


def test_a_directory_in_the_way_is_an_error_of_its_own(disk: Disk, root: Path) -> None:
    """Not a taken name: a job that looks for the next free one would look for ever."""
    (root / "output/a.png").mkdir()
    (root / "output/b").write_bytes(b"")
    with pytest.raises(IsADirectoryError):
        disk.put(Place("output", "", "a.png"), PICTURE)
    with pytest.raises(NotADirectoryError):
        disk.put(Place("output", "b", "a.png"), PICTURE)
    assert list(disk.names("output", "")) == ["b"]


@pytest.mark.parametrize(
    ("subfolder", "name"),
    [
        ("..", "x"), ("", "../x"), ("", "/etc/passwd"), ("/etc", "passwd"), ("a/../..", "x"), ("../output2", "x"),
        ("", "a\0"),
    ],
)
def test_a_way_out_of_the_folder_is_refused(disk: Disk, root: Path, subfolder: str, name: str) -> None:
    """Nothing is written, neither there nor here."""
    with pytest.raises(Outside):
        disk.path("output", subfolder, name)
    with pytest.raises(Outside):
        disk.put(Place("output", subfolder, name), PICTURE)
    assert everything(root) == ["input", "output", "temp"]


@pytest.mark.parametrize(
    ("subfolder", "name"), [("../output", "x"), ("a/..", "x"), (".", "./x"), ("a", "../x"), ("", "x")]
)
def test_a_way_that_ends_inside_is_taken(disk: Disk, root: Path, subfolder: str, name: str) -> None:
    """As ComfyUI compares where a path ends, not how it goes."""
    assert disk.path("output", subfolder, name) == root / "output/x"


def test_relative_folders_stay_where_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A later change of directory does not move them."""
    monkeypatch.chdir(tmp_path)
    disk = Disk(Path("in"), Path("out"), Path("temp"), ImageRenderer(png()))
    monkeypatch.chdir("/")
    assert disk.path("output", "", "a") == tmp_path / "out/a"


def test_digest_and_size_follow_the_file(disk: Disk, root: Path) -> None:
    """They are remembered only as long as it stays as it is."""
    path, place = root / "input/a.png", Place("input", "", "a.png")
    path.write_bytes(png(8, 8))
    first = disk.digest(place), disk.size(place)
    path.write_bytes(png(16, 8))
    os.utime(path, ns=(1, 1))
    second = disk.digest(place), disk.size(place)
    assert (first[1], second[1]) == ((8, 8), (16, 8))
    assert first[0] != second[0]
    path.write_bytes(b"no picture")
    assert disk.size(place) is None


def test_an_unchanged_file_is_read_once(disk: Disk, root: Path) -> None:
    """Its digest is asked for every job."""
    (root / "input/a.png").write_bytes(b"x")
    answers = iter(["the digest"])
    disk._digests.compute = lambda _: next(answers)
    assert {disk.digest(Place("input", "", "a.png")) for _ in range(5)} == {"the digest"}


def test_a_job_shows_the_pixels_of_the_uploaded_file(disk: Disk, root: Path) -> None:
    """Found by the digest that the simulation was told; when the file has changed since, it is the input picture."""
    path = root / "input/green.png"
    disk.upload(path, png(4, 4, "lime"))
    source = disk.digest(Place("input", "", "green.png"))
    assert source is not None
    disk.put(Place("output", "", "a.png"), FileContent(Picture(8, 8, source=source), {}, ""))
    with Image.open(root / "output/a.png") as image:
        assert image.getpixel((0, 0)) == (0, 255, 0)
    disk.upload(path, png(5, 5, "blue"))
    assert disk.content_of(source) is None


def test_at_the_end_only_what_we_brought_is_gone(disk: Disk, root: Path, tmp_path: Path) -> None:
    """Files and directories of others stay, even in a directory that we made."""
    (root / "output/theirs").mkdir()
    (root / "output/theirs/keep.png").write_bytes(b"keep")
    disk.put(Place("output", "theirs", "a.png"), PICTURE)
    disk.put(Place("output", "ours/deep", "a.png"), PICTURE)
    disk.put(Place("output", "shared", "a.png"), PICTURE)
    disk.put(Place("temp", "", "t.png"), PICTURE)
    disk.upload(root / "input/up.png", b"up")
    disk.provide("kernie.jpg", b"own")
    (root / "output/shared/keep.txt").write_bytes(b"keep")
    disk.remove_all()
    assert everything(tmp_path) == [
        "farm", "farm/alpha", "farm/alpha/output", "farm/alpha/output/shared", "farm/alpha/output/shared/keep.txt",
        "farm/alpha/output/theirs", "farm/alpha/output/theirs/keep.png",
    ]


def test_where_all_was_ours_nothing_is_left(disk: Disk, tmp_path: Path) -> None:
    """Not even the folders, though they come back when they are needed."""
    disk.put(Place("output", "a/b", "a.png"), PICTURE)
    disk.remove_all()
    assert everything(tmp_path) == []
    disk.put(Place("output", "", "a.png"), PICTURE)
    assert disk.exists(Place("output", "", "a.png"))


def test_a_given_folder_stays_though_it_is_empty(tmp_path: Path) -> None:
    """We did not make it."""
    for name in ("input", "output", "temp"):
        (tmp_path / name).mkdir()
    disk = Disk(tmp_path / "input", tmp_path / "output", tmp_path / "temp", ImageRenderer(png()))
    disk.put(Place("output", "sub", "a.png"), PICTURE)
    disk.remove_all()
    assert everything(tmp_path) == ["input", "output", "temp"]


def test_a_reset_takes_the_uploads_and_leaves_the_outputs(disk: Disk, root: Path) -> None:
    """And with files=true the outputs too; the instance's own picture and the folders stay."""
    disk.provide("kernie.jpg", b"own")
    disk.make_directory("input", "sub")
    disk.upload(root / "input/sub/up.png", b"up")
    disk.upload(root / "output/up.png", b"up")
    disk.put(Place("output", "", "a.png"), PICTURE)
    at_once(disk.remove_uploads())
    assert everything(root) == ["input", "input/kernie.jpg", "output", "output/a.png", "temp"]
    at_once(disk.remove_outputs())
    assert everything(root) == ["input", "input/kernie.jpg", "output", "temp"]


def test_an_emptied_temp_keeps_what_others_put_there(disk: Disk, root: Path) -> None:
    """ComfyUI would clear it; but a folder that was given to us is not ours."""
    disk.put(Place("temp", "", "a.png"), PICTURE)
    disk.upload(root / "temp/up.png", b"up")
    disk.put(Place("output", "", "a.png"), PICTURE)
    (root / "temp/theirs.png").write_bytes(b"keep")
    at_once(disk.empty_temp())
    assert everything(root) == ["input", "output", "output/a.png", "temp", "temp/theirs.png"]


def test_an_upload_over_a_foreign_file_is_not_removed(disk: Disk, root: Path) -> None:
    """There was a file of that name before us, so there is one after us."""
    (root / "input/theirs.png").write_bytes(b"old")
    disk.upload(root / "input/theirs.png", b"new")
    disk.remove_all()
    assert (root / "input/theirs.png").read_bytes() == b"new"


def test_an_upload_over_an_upload_or_an_output_is_still_ours(disk: Disk, root: Path) -> None:
    """It came from us in the first place."""
    disk.put(Place("output", "", "a.png"), PICTURE)
    disk.upload(root / "output/a.png", b"1")
    disk.upload(root / "input/b.png", b"1")
    disk.upload(root / "input/b.png", b"2")
    at_once(disk.remove_uploads())
    assert everything(root) == ["input", "output", "temp"]


def test_the_own_picture_may_stand_there_already_but_no_other_of_its_name(disk: Disk, root: Path) -> None:
    """A file that is there already is the user's, and stays."""
    (root / "input/cat.jpg").write_bytes(b"own")
    disk.provide("cat.jpg", b"own")
    with pytest.raises(FileExistsError):
        disk.provide("cat.jpg", b"other")
    disk.remove_all()
    assert (root / "input/cat.jpg").read_bytes() == b"own"


# What faults do.


A = Place("output", "", "a.png")


def test_a_hidden_file_is_nowhere_until_it_is_revealed(disk: Disk, root: Path) -> None:
    """Its name is taken meanwhile, also where its subfolder went with it."""
    for place in (A, Place("output", "sub", "b.png")):
        disk.put(place, PICTURE)
        content = disk.path(place.folder, place.subfolder, place.name).read_bytes()
        assert disk.hide(place)
        assert (everything(root / "output"), disk.exists(place)) == ([], False)
        assert list(disk.names("output", place.subfolder)) == [place.name]
        with pytest.raises(FileExistsError):
            disk.put(place, PICTURE)
        assert disk.reveal(place)
        assert disk.path(place.folder, place.subfolder, place.name).read_bytes() == content
        assert not disk.reveal(place)
        assert disk.remove(place)
    disk.remove_all()
    assert not root.exists()


def test_a_hidden_file_does_not_come_back_over_another(disk: Disk, root: Path) -> None:
    """Somebody took its name; that file is theirs, and stays."""
    disk.put(A, PICTURE)
    disk.hide(A)
    (root / "output/a.png").write_bytes(b"theirs")
    assert not disk.reveal(A)
    disk.remove_all()
    assert (root / "output/a.png").read_bytes() == b"theirs"


def test_a_hidden_file_is_forgotten_with_the_others(disk: Disk, root: Path) -> None:
    """By a reset with files, at a new start for what is in temp, and at the end."""
    temp = Place("temp", "", "t.png")
    for place, forget in ((A, disk.remove_outputs), (temp, disk.empty_temp), (A, disk.remove_all)):
        disk.put(place, PICTURE)
        disk.hide(place)
        at_once(forget() or ())
        assert not disk.reveal(place)
    assert not root.exists()


def test_a_cut_file_is_shorter_and_still_ours(disk: Disk, root: Path) -> None:
    """Its digest is that of what is left."""
    disk.put(A, PICTURE)
    before = (disk.length(A), disk.digest(A))
    assert disk.cut(A, 10)
    assert disk.length(A) == 10
    assert disk.digest(A) not in (None, before[1])
    disk.remove_all()
    assert not root.exists()


def test_what_is_not_ours_is_neither_hidden_nor_cut_nor_removed_nor_overwritten(disk: Disk, root: Path) -> None:
    """A user's file, a client's upload, none at all, and a place outside."""
    theirs = root / "output/a.png"
    theirs.write_bytes(b"theirs")
    uploaded = Place("input", "", "up.png")
    disk.upload(disk.path("input", "", "up.png"), b"uploaded")
    for place in (A, uploaded, Place("output", "", "none.png"), Place("output", "../..", "x.png")):
        assert (disk.hide(place), disk.cut(place, 1), disk.remove(place), disk.reveal(place)) == (False,) * 4
    with pytest.raises(FileExistsError):
        disk.replace(A, PICTURE)
    with pytest.raises(FileExistsError):
        disk.replace(Place("output", "", "none.png"), PICTURE)
    assert (theirs.read_bytes(), disk.length(uploaded)) == (b"theirs", 8)


def test_what_another_instance_wrote_into_a_shared_folder_is_overwritten(disk: Disk, root: Path) -> None:
    """As by two processes that count alike; both clean up after themselves, in any order."""
    other = Disk(root / "input", root / "output", root / "temp", ImageRenderer(png()))
    disk.put(A, PICTURE)
    other.replace(A, FileContent(Picture(3, 2), {}, ""))
    assert disk.size(A) == (3, 2)
    disk.remove_all()
    other.remove_all()
    assert everything(root.parent) == []


# Names that lead to files.


def test_a_name_leads_to_what_the_system_finds_there(disk: Disk, root: Path) -> None:
    """Absolute or with dots, into any folder of the instance, and nowhere else."""
    for folder, name in (("input", "cat.png"), ("output", "sub/dog.png")):
        (root / folder / name).parent.mkdir(exist_ok=True)
        (root / folder / name).write_bytes(png())
    (root / "secret.png").write_bytes(png())
    cat, dog = Place("input", "", "cat.png"), Place("output", "sub", "dog.png")
    for name in ("cat.png", "./cat.png", f"{root}/input/cat.png", "../temp/../input/cat.png"):
        assert disk.find("input", name) == disk.find("input", name, confined=True) == cat
    assert disk.find("input", "../../alpha/input/cat.png", confined=True) == cat
    for name in ("../output/sub/dog.png", f"{root}/output/sub//dog.png", "../output/sub/./dog.png"):
        assert disk.find("input", name) == dog
        assert disk.find("input", name, confined=True) is None
        assert disk.find("output", name, confined=True) == dog
    for name in ("no.png", "cat.png/", "cat.png/.", "no/../cat.png", "cat.png/../cat.png", "../secret.png", "..", "/"):
        assert disk.find("input", name) is None
    for name in (f"{root}/secret.png", "/etc/hostname", "a\0b", "\ud800", "a" * 300, "a/" * 5000):
        assert disk.find("input", name) is disk.find("input", name, confined=True) is None


def test_a_name_may_lead_to_a_folder(disk: Disk, root: Path) -> None:
    (root / "input" / "sub").mkdir()
    for name, path in (("", ""), (".", ""), ("sub", "sub"), ("sub/", "sub"), (f"{root}/input/sub", "sub")):
        place = disk.find("input", name, confined=True)
        assert place is not None
        assert (place.folder, place.path, disk.is_folder(place), disk.exists(place)) == ("input", path, True, False)
    hidden = Place("input", "", ".hidden.png")
    (root / "input" / ".hidden.png").write_bytes(png())
    assert disk.find("input", ".hidden.png") == hidden
    assert not disk.is_folder(hidden)


def test_a_link_out_of_the_folder_is_followed_unless_names_are_confined(disk: Disk, root: Path, tmp_path: Path) -> None:
    """The user of the farm has made it."""
    (tmp_path / "mine.png").write_bytes(png())
    (root / "input" / "link.png").symlink_to(tmp_path / "mine.png")
    (root / "input" / "round.png").symlink_to(root / "input" / "round.png")
    assert disk.find("input", "link.png") == Place("input", "", "link.png")
    assert disk.find("input", "link.png", confined=True) is None
    assert disk.find("input", "round.png") is None


def test_the_end_and_an_emptied_temp_do_not_wait_for_many_files(
    disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are removed by another process, whose list has all of them; what was uploaded is gone at once."""
    lists: list[list[bytes]] = []
    monkeypatch.setattr(subprocess, "run", lambda *_, stdin, **__: lists.append(stdin.read().split(b"\0")))
    for number in range(AT_ONCE + 1):
        path = disk.temp_dir / f"{number:05}.png"
        path.touch()
        disk._owned.written.add(path)
    disk.upload(disk.temp_dir / "mine.png", b"")
    at_once(disk.empty_temp())
    assert [len(paths) for paths in lists] == [AT_ONCE + 1]
    assert not (disk.temp_dir / "mine.png").exists()
    disk._owned.written |= {disk.output_dir / f"{number:05}.png" for number in range(AT_ONCE + 1)}
    disk.remove_all()
    folders = {os.fsencode(folder) for folder in (disk.temp_dir, disk.output_dir, disk.input_dir)}
    assert set(lists[1][AT_ONCE + 1 :][:3]) == folders
    assert lists[1][-1] == os.fsencode(tmp_path / "farm")
