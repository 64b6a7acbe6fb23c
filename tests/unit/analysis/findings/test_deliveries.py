"""Findings about what was delivered: whole pictures, whose they are, and names that no prompt bore."""

from __future__ import annotations

from typing import Any

import pytest

from comfyfarm.analysis.findings import Finding
from tests.support.judging import found, only, sentence, verdict_of
from tests.support.logs import (
    Piece,
    crashed,
    delivered,
    farm,
    fetched,
    file_cut,
    ran,
    ready,
    rejected,
    submitted,
    taken,
    written,
)

HASH, OTHER_HASH = "0123456789abcdef", "fedcba9876543210"


def run(job: str = "j", on: str = "a", *, file: str = "x.png", **more: Any) -> list[Piece]:
    """A run with one file of 5,000 bytes."""
    return [ran(job, on=on, at=0, until=2_000, file=file, file_bytes=5_000, **more)]


def picture(job: str = "j", of: str = "j@a", *, at: int = 4_000, content: str = "picture", **more: Any) -> Piece:
    """A delivery of a picture with its stamp."""
    size = {"picture": 5_000, "empty": 0}.get(content, 1_234)
    return delivered(job, at=at, stamp_prompt_id=of, content=content, size_bytes=size, **more)


# Whole pictures.


def test_half_of_a_picture_is_a_broken_delivery() -> None:
    finding = only(farm("a"), run(), picture(content="cut", on="a"))
    assert (finding.finding, finding.severity, finding.job, finding.instance) == ("broken_delivery", "error", "j", "a")
    assert finding.says == "What was delivered as j at 4 s is cut: 1,234 of the 5,000 bytes of x.png from a."
    assert found(farm("a"), run(), picture(on="a")) == []


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("empty", "is empty."),
        ("HTML", "is no picture but HTML of 1,234 bytes."),
        ("JSON", "is no picture but JSON of 1,234 bytes."),
        ("text", "is no picture but text of 1,234 bytes."),
        ("data", "is no picture but data of 1,234 bytes."),
        ("damaged", "is damaged: a picture of 1,234 bytes that cannot be decoded."),
        ("cut", "is cut: the first 1,234 bytes of a picture."),
    ],
)
def test_whatever_is_no_picture_is_a_broken_delivery(content: str, says: str) -> None:
    pieces = farm("a"), ran("j", on="a", at=0, until=2_000)
    size_bytes = 0 if content == "empty" else 1_234
    what = delivered("j", at=4_000, content=content, size_bytes=size_bytes)
    assert sentence(*pieces, what) == f"What was delivered as j at 4 s {says}"


def test_a_stamp_alone_or_a_prompt_id_alone_is_not_broken() -> None:
    assert found(farm("a"), run(), delivered("j", at=4_000, stamp_job="j", stamp_prompt_id="j@a")) == []
    assert found(farm("a"), run(), delivered("j", at=4_000, prompt_id="j@a")) == []


def test_a_picture_that_the_software_encoded_again_is_whole() -> None:
    assert found(farm("a"), run(), delivered("j", at=4_000, content="picture", size_bytes=99, digest="d")) == []


def test_a_broken_delivery_names_the_request_that_broke() -> None:
    for status, damage, what in (
        (200, "cut", "was only a part of it"),
        (200, "changed", "was not that file"),
        (502, "", "was 502"),
        (0, "", "never came"),
    ):
        view = fetched("x.png", on="a", at=3_000, status=status, damage=damage, size_bytes=1_234)
        (finding,) = [each for each in findings(run(), view, picture(content="cut")) if each.severity == "error"]
        assert finding.says.endswith(f"from a; the answer of a to GET /view for x.png at 3 s {what}.")
        assert len(finding.events) == 2


def findings(*pieces: Piece) -> tuple[Finding, ...]:
    return verdict_of(farm("a"), *pieces).findings


def test_a_file_that_was_cut_on_the_disk_is_named_as_the_cause() -> None:
    cut = file_cut("j", on="a", at=2_500, name="x.png", size_bytes=1_234)
    pieces = farm("a"), run(), cut, fetched("x.png", on="a", at=3_000), picture(content="cut")
    assert sentence(*pieces).endswith("GET /view for x.png at 3 s was the file as a fault had cut it on the disk.")


def test_a_broken_delivery_that_is_followed_by_a_whole_one_is_a_warning() -> None:
    finding = only(farm("a"), run(), picture(content="cut"), picture(at=5_000))
    assert (finding.finding, finding.severity) == ("broken_delivery", "warning")
    assert finding.says.endswith("; a whole picture of it was delivered at 5 s.")


def test_half_of_the_one_picture_of_a_static_instance_is_cut() -> None:
    pieces = farm("a"), ready("a", at=0, picture="aa", picture_bytes=9_000), ran("j", on="a", at=0, until=2_000)
    half = delivered("j", at=4_000, content="cut", size_bytes=100, digest="x")
    assert sentence(*pieces, half).endswith("is cut: 100 of the 9,000 bytes of the picture of a.")


def test_a_file_that_is_no_picture_is_whole_with_all_its_bytes() -> None:
    film = farm("a"), run(file="x.mp4")
    for content, size_bytes in (("data", 5_000), ("data", 6_000), ("text", 5_000), ("JSON", 5_000)):
        whole = delivered("j", at=4_000, stamp_prompt_id="j@a", content=content, size_bytes=size_bytes)
        assert found(*film, whole) == []
    assert sentence(*film, picture(content="data")).endswith("is cut: 1,234 of the 5,000 bytes of x.mp4 from a.")
    assert found(*film, delivered("j", at=4_000, content="data", size_bytes=100)) == []
    page = delivered("j", at=4_000, content="HTML", size_bytes=100)
    assert found(*film, page) == [("broken_delivery", "j", "")]


# Twice.


def test_the_pictures_of_a_batch_may_be_delivered_without_names() -> None:
    batch = [picture(at=4_000 + number, digest=f"d{number}") for number in range(3)]
    assert found(farm("a"), run(), batch, may_forget=False) == []
    again = picture(at=5_000, digest="d1")
    assert found(farm("a"), run(), batch, again, may_forget=False) == [("delivered_twice", "j", "")]


# Whose it is.


def test_a_file_of_the_same_name_from_another_instance_is_named_with_its_place() -> None:
    pieces = farm("a", "b"), run("j", "a"), run("k", "b"), picture("k", "k@b", at=3_000)
    finding = only(*pieces, picture("j", "k@b", file="x.png", stamp_job="k"))
    assert (finding.finding, finding.job) == ("misattributed", "j")
    assert finding.says == (
        "What was delivered as j at 4 s is k's, as the picture's stamp says: x.png from b, not the file of the same "
        "name from a."
    )


def test_the_picture_of_another_static_instance_is_misattributed_by_its_bytes() -> None:
    pictures = ready("a", at=0, picture="aa", picture_bytes=9), ready("b", at=0, picture="bb", picture_bytes=9)
    pieces = farm("a", "b"), pictures, ran("j", on="a", at=0, until=2_000), ran("k", on="b", at=0, until=2_000)
    own = delivered("k", at=3_000, content="picture", size_bytes=9, digest="bb")
    other = delivered("j", at=4_000, content="picture", size_bytes=9, digest="bb")
    finding = only(*pieces, own, other)
    assert (finding.finding, finding.job) == ("misattributed", "j")
    assert finding.says == (
        "What was delivered as j at 4 s is the picture of b, as its bytes say; j was sent to a only."
    )
    assert found(*pieces, own, delivered("j", at=4_000, content="picture", size_bytes=9, digest="cc")) == []


# Names that no prompt bore.


def test_a_name_that_no_prompt_bore_is_bound_by_the_stamp() -> None:
    pieces = farm("a"), run(HASH, prompt_id="p1"), run(HASH, prompt_id="p2")
    first, second = picture("order-1", "p1", stamp_job=HASH), picture("order-2", "p2", stamp_job=HASH)
    assert [each for each in verdict_of(*pieces, first, second).findings if each.severity != "note"] == []


def test_a_name_that_no_prompt_bore_is_bound_by_a_prompt_id() -> None:
    assert found(farm("a"), run(HASH), delivered("order-1", at=4_000, prompt_id=f"{HASH}@a")) == []


def test_a_name_is_not_bound_to_a_prompt_of_another_name() -> None:
    pieces = farm("a"), run("k"), picture("k", "k@a", at=3_000)
    assert found(*pieces, picture("order-1", "k@a", stamp_job="k")) == [("misattributed", "order-1", "")]


def test_one_picture_under_two_names_is_misattributed() -> None:
    pieces = farm("a"), run(HASH, prompt_id="p1"), picture("order-1", "p1", stamp_job=HASH)
    finding = only(*pieces, picture("order-2", "p1", at=5_000, stamp_job=HASH))
    assert (finding.finding, finding.job) == ("misattributed", "order-2")
    assert finding.says == (
        "What was delivered as order-2 at 5 s is the picture of prompt p1 on a, which was delivered as order-1 at "
        "4 s: it can be only one's."
    )


@pytest.mark.parametrize(
    ("claim", "says"), [({"prompt_id": "p1"}, "and not of prompt p1 on a"), ({"on": "a"}, "and not from a")]
)
def test_a_picture_from_elsewhere_than_reported_is_misattributed(claim: dict[str, Any], says: str) -> None:
    pieces = farm("a", "b"), run(HASH, prompt_id="p1"), run(HASH, "b", prompt_id="p2")
    right = picture("order-2", "p2", at=5_000, stamp_job=HASH)
    (finding,) = (
        each
        for each in verdict_of(*pieces, picture("order-1", "p2", stamp_job=HASH, **claim), right).findings
        if each.severity != "note"
    )
    assert (finding.finding, finding.job) == ("misattributed", "order-1")
    assert finding.says == (
        "What was delivered as order-1 at 4 s is the picture of prompt p2 on b, as the picture's stamp says, "
        f"{says}, as was reported."
    )


def test_a_name_with_the_pictures_of_two_prompts_was_delivered_twice() -> None:
    pieces = farm("a"), run(HASH, prompt_id="p1"), run(OTHER_HASH, prompt_id="p2")
    both = picture("order-1", "p1", digest="1"), picture("order-1", "p2", digest="2", at=5_000)
    assert found(*pieces, both) == [("delivered_twice", "order-1", "")]


def test_a_picture_that_is_not_made_yet_cannot_be_delivered_under_any_name() -> None:
    late = ran(HASH, on="a", at=0, until=9_000)
    early = delivered("order-1", at=4_000, prompt_id=f"{HASH}@a")
    assert sentence(farm("a"), late, early) == (
        "order-1 was reported as delivered at 4 s, when its attempt on a had not ended yet."
    )


def test_a_delivery_that_names_nothing_else_may_be_of_any_prompt_without_a_name() -> None:
    def false(*pieces: Piece) -> list[str]:
        return [job for finding, job, _ in found(farm("a"), *pieces) if finding == "false_completion"]

    runs = run(HASH), ran(OTHER_HASH, on="a", at=0, until=4_500)
    first, second = delivered("order-1", at=4_000), delivered("order-2", at=5_000)
    assert false(runs, first, second) == []
    assert false(run(HASH), first, second) == ["order-2"]
    assert false(runs, first, delivered("order-2", at=4_100)) == ["order-2"]
    assert false(run("named"), first) == ["order-1"]


def test_a_refused_prompt_has_no_picture_that_could_be_delivered() -> None:
    pieces = farm("a"), rejected("j", on="a", at=0, status=500), submitted("k", on="a", at=1)
    assert found(*pieces, delivered("j", at=4_000, content="HTML", size_bytes=5))[:2] == [
        ("broken_delivery", "j", ""),
        ("false_completion", "j", ""),
    ]


def test_a_saved_picture_is_no_false_completion_if_its_process_died_before_the_end() -> None:
    saved = submitted("j", on="a", at=0), taken("j", on="a", at=1), written("j", on="a", at=900, name="x.png")
    pieces: list[Piece] = [farm("a"), *saved, crashed("a", at=1_000, lost=["j"])]
    assert found(*pieces, picture(digest="d")) == []
    assert found(*pieces, delivered("j", at=4_000)) == [("false_completion", "j", "")]
