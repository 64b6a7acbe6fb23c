"""The node types of each version."""

import zlib
from importlib.resources import files
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfyfarm.config.recorded import recorded, system_stats
from comfyfarm.config.recorded.catalogues import entries_of
from comfyfarm.config.recorded.patches import difference, patched
from comfyfarm.versions import RECORDED

COUNTS = {
    "0.3.40": 328, "0.3.64": 383, "0.8.0": 446, "0.18.1": 476,
    "0.25.0": 557, "0.27.0": 567, "0.28.0": 577, "0.33.0": 604,
}   # fmt: skip
BETWEEN = {"0.26.0": 560, "0.29.0": 588, "0.30.0": 592, "0.31.0": 597, "0.32.0": 602, "0.39.0": 604, "0.20.0": 476}

values = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.text("ab", max_size=2) | st.sampled_from([0.0, 1.0]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=1), inner, max_size=3),
    max_leaves=8,
)
tables = st.dictionaries(st.text("abcd", max_size=1), values, max_size=4)


@given(tables, tables)
def test_a_difference_makes_the_new_of_the_old(old: dict[str, object], new: dict[str, object]) -> None:
    """With the types of its values, and in its order."""
    patch = difference(old, new)
    assert patch is not None
    assert repr(patched(old, patch)) == repr(new)


def test_what_is_the_same_has_no_difference() -> None:
    assert difference({"a": [1, {"b": 2}]}, {"a": [1, {"b": 2}]}) == {}


@pytest.mark.parametrize(("version", "count"), [*COUNTS.items(), *BETWEEN.items()])
def test_a_version_has_its_node_types(version: str, count: int) -> None:
    assert len(recorded(version).object_info) == count


def test_nodes_change_from_version_to_version() -> None:
    """Outputs, categories, keys; also in a version between two recorded ones."""
    assert [entries_of(version)["SaveImage"]["output"] for version in ("0.25.0", "0.26.0", "0.27.0")] == [
        [], ["IMAGE"], ["IMAGE"],
    ]   # fmt: skip
    assert entries_of("0.18.1")["EmptyImage"].keys() < entries_of("0.25.0")["EmptyImage"].keys()
    assert "search_aliases" not in recorded("0.8.0").object_info["EmptyImage"]
    assert "StringFormat" not in recorded("0.18.1").node_types
    for older, newer in pairwise(RECORDED[3:]):
        assert entries_of(older).keys() < entries_of(newer).keys()


def test_folders_come_with_their_version() -> None:
    counts = [len(recorded(version).model_folders) for version in RECORDED]
    assert counts == [18, 20, 21, 21, 26, 26, 26, 27]
    assert list(recorded("0.33.0").model_folders)[16] == "datasets"


def test_a_loader_offers_what_its_version_offers() -> None:
    """Besides the files of its folder."""
    offered = [recorded(version).model_choices["VAELoader", "vae_name"].after for version in ("0.3.40", "0.3.64")]
    assert offered == [(), ("pixel_space",)]


@pytest.mark.parametrize(
    ("version", "frontend", "packages"),
    [("0.3.40", None, 0), ("0.8.0", "1.35.9", 0), ("0.25.0", "1.45.15", 5), ("0.31.5", "1.48.7", 5)],
)
def test_a_server_tells_the_packages_of_its_version(version: str, frontend: str | None, packages: int) -> None:
    system = system_stats(version)["system"]
    assert system["comfyui_version"] == version
    assert system.get("required_frontend_version") == frontend
    assert len(system.get("comfy_package_versions", ())) == packages


def test_the_catalogues_are_small() -> None:
    """A wheel has all of them in less than the room of one."""
    folder = files("comfyfarm.config.recorded").joinpath("versions")
    size_bytes = sum(len(zlib.compress(file.read_bytes())) for file in folder.iterdir())
    assert size_bytes < 64 * 1024
