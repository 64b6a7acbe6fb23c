"""What new files are called: ComfyUI's prefix rules, and three ways to be unique."""

from collections.abc import Collection
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comfyfarm.events.base import Folder
from comfyfarm.sim.files import FileContent, MemoryFiles, Place
from comfyfarm.sim.naming import Namer
from comfyfarm.sim.nodes import NodeError, Save
from comfyfarm.sim.settings import Naming
from comfyfarm.sim.values import Picture
from comfyfarm.versions import behaviour_of
from tests.support.instance_story import STARTED_UNIX_MS

PROMPT_ID = "0b1f8a1e-5c1d-4f3e-9d0e-2c3b4a596877"


def make_namer(naming: Naming = "counter", *taken: str) -> Namer:
    files = MemoryFiles({_place(name): (8, 8) for name in taken})
    return Namer(files, naming, Random(0), behaviour_of("0.25.0"))


def _place(path: str) -> Place:
    subfolder, _, name = path.rpartition("/")
    return Place("output", subfolder, name)


def write(
    namer: Namer,
    prefix: str = "barn",
    count: int = 1,
    *,
    suffix: str = ".png",
    prompt_id: str = PROMPT_ID,
    underscore: bool = True,
) -> list[str]:
    """The paths of new files in the output folder."""
    save = Save(Picture(640, 480, count), "output", prefix, suffix=suffix, underscore=underscore)
    parts = [FileContent(Picture(640, 480), {}, "")] * count
    places = list(namer.write(save, prefix, parts, prompt_id, STARTED_UNIX_MS))
    assert all(place.folder == "output" for place in places)
    return ["/".join(filter(None, (place.subfolder, place.name))) for place in places]


def test_a_counter_counts_on_over_jobs_and_batches() -> None:
    namer = make_namer()
    assert write(namer, count=2) == ["barn_00001_.png", "barn_00002_.png"]
    assert write(namer) == ["barn_00003_.png"]
    assert write(namer, "house") == ["house_00001_.png"]


def test_a_counter_begins_after_the_highest_that_is_there() -> None:
    """Gaps stay; what has no number, or another prefix, does not count."""
    there = ("barn_00004_.png", "barn_00002_.png", "barn_x_.png", "barn2_00009_.png", "barns_00008_.png", "barn.png")
    assert write(make_namer("counter", *there)) == ["barn_00005_.png"]
    assert write(make_namer("counter", "barn_00041.webp")) == ["barn_00001_.png"]
    assert write(make_namer("counter", "barn_00041_.webp")) == ["barn_00042_.png"]
    assert write(make_namer("counter", "sub/barn_00041_.png")) == ["barn_00001_.png"]


def test_sounds_have_no_underscore_after_their_counter() -> None:
    namer = make_namer("counter", "barn_00004.flac", "barn_00002_.png")
    assert write(namer, suffix=".flac", underscore=False, count=2) == ["barn_00005.flac", "barn_00006.flac"]
    assert write(namer) == ["barn_00003_.png"]


def test_a_prefix_may_be_empty_or_two_dots() -> None:
    namer = make_namer()
    assert write(namer, "", 2) == ["._00001_.png", "._00002_.png"]
    assert write(namer, "..") == [".._00001_.png"]
    assert write(namer, "a/..") == ["._00003_.png"]


def test_a_counter_beyond_five_digits_goes_on() -> None:
    assert write(make_namer("counter", "barn_99999_.png"), count=2) == ["barn_100000_.png", "barn_100001_.png"]


def test_a_name_that_somebody_took_meanwhile_is_not_overwritten() -> None:
    namer = make_namer()
    write(namer)
    assert isinstance(namer.files, MemoryFiles)
    namer.files.pictures[_place("barn_00002_.png")] = (8, 8)
    assert write(namer, count=2) == ["barn_00003_.png", "barn_00004_.png"]


def test_a_prompt_id_names_the_first_file_and_numbers_the_others() -> None:
    assert write(make_namer("prompt_id"), count=3) == [
        f"barn_{PROMPT_ID}.png",
        f"barn_{PROMPT_ID}_2.png",
        f"barn_{PROMPT_ID}_3.png",
    ]


def test_a_moment_names_the_first_file_and_numbers_the_others() -> None:
    """In milliseconds, as clients see the time."""
    namer = make_namer("timestamp")
    assert write(namer, count=2) == [f"barn_{STARTED_UNIX_MS}.png", f"barn_{STARTED_UNIX_MS}_2.png"]
    assert write(namer) == [f"barn_{STARTED_UNIX_MS}_3.png"]


@pytest.mark.parametrize("naming", ["counter", "prompt_id", "timestamp"])
def test_one_id_twice_still_gives_two_files(naming: Naming) -> None:
    """A client may repeat a prompt id."""
    namer = make_namer(naming)
    assert write(namer) != write(namer)


@pytest.mark.parametrize(
    ("prefix", "name"),
    [
        ("barn", "barn_00001_.png"),
        ("a/b/barn", "a/b/barn_00001_.png"),
        ("a//b/./barn", "a/b/barn_00001_.png"),
        ("a/../barn", "barn_00001_.png"),
        ("a/b/../../c/barn", "c/barn_00001_.png"),
        ("sub/", "sub_00001_.png"),
        ("", "._00001_.png"),
        ("a.b", "a.b_00001_.png"),
        ("..barn", "..barn_00001_.png"),
        ("...", "..._00001_.png"),
        ("%width%x%height%", "640x480_00001_.png"),
        ("%year%-%month%-%day%/%hour%.%minute%.%second%", "2023-11-14/22.13.20_00001_.png"),
        ("%year%%year%", "20232023_00001_.png"),
        ("%date:yyyy%", "%date:yyyy%_00001_.png"),
        ("%unknown%", "%unknown%_00001_.png"),
    ],
)
def test_a_prefix_is_read_as_comfyui_reads_it(prefix: str, name: str) -> None:
    """Subfolders, tokens (the clock is the one that clients see), and nothing else."""
    assert write(make_namer(), prefix) == [name]


def test_batch_numbers_count_from_zero() -> None:
    """The counter goes on over the whole batch."""
    assert write(make_namer(), "b%batch_num%", 2) == ["b0_00001_.png", "b1_00002_.png"]


class UnlistedFiles(MemoryFiles):
    """Files in a folder that cannot be listed, with the names that were tried; a name tried twice is an error."""

    tried: list[str]

    def names(self, folder: Folder, subfolder: str) -> Collection[str]:
        return ()

    def put(self, place: Place, content: FileContent) -> None:
        assert place.name not in self.tried
        self.tried.append(place.name)
        super().put(place, content)


@pytest.mark.parametrize("naming", ["counter", "prompt_id", "timestamp"])
def test_names_that_are_taken_end_no_search_and_none_is_tried_twice(naming: Naming) -> None:
    """Also if the folder cannot be listed, or its system takes two spellings for one name."""
    files = UnlistedFiles({_place(name): (8, 8) for name in write(make_namer(naming), count=3)})
    files.tried = []
    namer = Namer(files, naming, Random(0))
    assert write(namer, count=2) == files.tried[-2:]
    assert len(write(namer, count=200)) == 200
    assert len(files.tried) == 3 + 2 + 200


def test_a_batch_number_in_the_prefix_counts_on_after_the_files_that_are_there() -> None:
    """Those of another instance on the same folder, or of a run before."""
    namer = make_namer("counter", "shot_0_00001_.png", "shot_1_00007_.png", "shot_x_00009_.png")
    assert write(namer, "shot_%batch_num%", 2) == ["shot_0_00008_.png", "shot_1_00009_.png"]
    assert isinstance(namer.files, MemoryFiles)
    namer.files.pictures[_place("shot_0_00010_.png")] = (8, 8)
    assert write(namer, "shot_%batch_num%", 2) == ["shot_0_00011_.png", "shot_1_00012_.png"]


@pytest.mark.parametrize(
    ("prefix", "meant", "common"),
    [
        ("../x", "/srv/comfyui", "/srv/comfyui"),
        ("../../x", "/srv", "/srv"),
        ("a/../../x", "/srv/comfyui", "/srv/comfyui"),
        ("../output2/x", "/srv/comfyui/output2", "/srv/comfyui"),
        ("/etc/x", "/etc", "/"),
        ("/x", "/", "/"),
    ],
)
def test_a_prefix_that_leads_outside_is_an_error_of_the_node(prefix: str, meant: str, common: str) -> None:
    """In ComfyUI's four lines; nothing is written."""
    namer = make_namer()
    with pytest.raises(NodeError) as caught:
        write(namer, prefix)
    assert caught.value.exception_type == "Exception"
    assert caught.value.message == (
        "**** ERROR: Saving image outside the output folder is not allowed.\n"
        f" full_output_folder: {meant}\n"
        "         output_dir: /srv/comfyui/output\n"
        f"         commonpath: {common}"
    )
    assert isinstance(namer.files, MemoryFiles)
    assert namer.files.written == {}


def test_a_name_with_a_null_byte_is_an_error_of_the_node() -> None:
    """As Python's own ``open`` has it."""
    with pytest.raises(NodeError, match="embedded null byte") as caught:
        write(make_namer(), "a\0b")
    assert caught.value.exception_type == "ValueError"


def test_after_files_are_removed_the_counter_goes_on_unless_it_is_told_to_forget() -> None:
    """No name is ever given twice within a run."""
    namer = make_namer()
    write(namer, count=3)
    assert isinstance(namer.files, MemoryFiles)
    namer.files.written.clear()
    assert write(namer) == ["barn_00004_.png"]
    namer.files.written.clear()
    namer.forget()
    assert write(namer) == ["barn_00001_.png"]


def test_temporary_prefixes_are_kept_for_the_nodes_that_stay() -> None:
    """By id and type."""
    namer = make_namer()
    one, two = namer.temp_prefix("1", "PreviewImage", "ComfyUI"), namer.temp_prefix("2", "PreviewImage", "ComfyUI")
    assert one != two
    assert one.startswith("ComfyUI_temp_")
    assert len(one.removeprefix("ComfyUI_temp_")) == 5
    namer.keep_temp_prefixes({"1": "PreviewImage", "2": "MaskPreview"})
    assert namer.temp_prefix("1", "PreviewImage", "ComfyUI") == one
    assert namer.temp_prefix("2", "PreviewImage", "ComfyUI") != two


prefixes = st.text(st.sampled_from("ab./%_1é "), max_size=12) | st.text(max_size=8)


@given(st.lists(st.tuples(prefixes, st.integers(1, 3)), max_size=12), st.sampled_from(["counter", "prompt_id"]))
@settings(deadline=None)
def test_whatever_the_prefixes_no_name_comes_twice_and_none_leads_out(
    jobs: list[tuple[str, int]], naming: Naming
) -> None:
    namer = make_namer(naming)
    names = []
    for prefix, count in jobs:
        try:
            names += write(namer, prefix, count)
        except NodeError:
            continue
    assert len(names) == len(set(names))
    assert not any(name.startswith("/") or ".." in name.split("/") for name in names)
    assert all(one != two for one, two in pairwise(sorted(names)))
