"""What each version of ComfyUI does, from one table."""

from dataclasses import fields
from itertools import pairwise

import pytest

from comfyfarm.versions import (
    DEFAULT,
    NEWEST_READ,
    RECORDED,
    Behaviour,
    advice,
    behaviour_of,
    is_since,
    newest_recorded,
    number_of,
)


@pytest.mark.parametrize(
    ("version", "base"),
    [
        ("0.25.0", "0.25.0"),
        ("0.3.75", "0.3.64"),
        ("0.26.1", "0.25.0"),
        ("v0.27.4-dirty", "0.27.0"),
        ("0.28", "0.28.0"),
        ("1.0.0", "0.33.0"),
        ("nightly", "0.33.0"),
        ("0.3.1", "0.3.40"),
    ],
)
def test_a_version_is_based_on_the_newest_recorded_that_is_not_newer(version: str, base: str) -> None:
    assert newest_recorded(version) == base


def test_versions_are_compared_as_numbers() -> None:
    assert is_since("0.18.1", "0.8.0")
    assert not is_since("0.3.9", "0.3.40")
    assert all(is_since(newer, older) for older, newer in pairwise(RECORDED))


@pytest.mark.parametrize(
    ("name", "since", "until"),
    [
        ("cancels_jobs", "0.26.0", None),
        ("has_progress_state", "0.3.45", None),
        ("counts_texts", "0.16.0", "0.28.0"),
        ("keeps_all_cached_outputs", "0.0.1", "0.3.68"),
        ("keeps_unheard_outputs", "0.28.0", None),
        ("describes_files", "0.39.0", None),
    ],
)
def test_a_change_comes_and_goes_with_its_versions(name: str, since: str, until: str | None) -> None:
    """It is there from the first on, and not in the last any more."""
    major, minor, patch = number_of(since) or (0, 0, 0)
    before = f"{major}.{minor}.{patch - 1}" if patch else f"{major}.{minor - 1}.999"
    assert getattr(behaviour_of(since), name)
    assert patch == 1 or not getattr(behaviour_of(before), name)
    assert getattr(behaviour_of("99.0.0"), name) is (until is None)
    if until is not None:
        assert not getattr(behaviour_of(until), name)


def test_every_change_lies_within_what_is_known() -> None:
    """Each version that the table names can be compared, and none is newer than the newest that was read."""
    for change in fields(Behaviour):
        for version in (change.metadata["since"], change.metadata["until"]):
            assert version in ("", "0") or (number_of(version) and is_since(NEWEST_READ, version)), change.name


def test_a_version_without_a_number_does_what_the_default_does() -> None:
    assert behaviour_of("nightly") == behaviour_of(DEFAULT)


def test_only_versions_that_were_not_recorded_are_remarked_on() -> None:
    """With what they behave like."""
    assert [advice(version) for version in RECORDED] == [None] * len(RECORDED)
    assert "behaves like 0.25.0 with the changes since" in (advice("0.26.1") or "")
    assert "behaves like 0.33.0 with the changes since" in (advice("0.39.0") or "")
    assert "behaves like 0.39.0, as far as read" in (advice("0.45.2") or "")
    assert "behaves like 0.33.0" in (advice("nightly") or "")


@pytest.mark.parametrize("version", ["0.33", "v0.33.0", "0.25"])
def test_a_recorded_version_needs_no_advice_however_it_is_written(version: str) -> None:
    assert advice(version) is None
