"""Whatever depends on the run is replaced, and nothing else."""

from typing import Any

import pytest

from comfyfarm.conformance.normalise import Aliases, normalise, without_files

JOB = "a987fbc9-4bed-4078-8f07-9141ba07c9f3"
OTHER = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def aliases() -> Aliases:
    """A run with one job, number 7, and a fresh colour."""
    aliases = Aliases(fresh={1234567}, first_number=7)
    aliases.name("job", JOB)
    return aliases


def test_ids_are_numbered_in_order_of_appearance(aliases: Aliases) -> None:
    """An id that has a name keeps it."""
    for prompt_id in (OTHER, JOB, OTHER):
        aliases.name("job", prompt_id)
    aliases.name("client", "me")
    assert normalise([JOB, OTHER, "me"], aliases) == ["<job 1>", "<job 2>", "<client 1>"]


def test_a_name_is_replaced_inside_texts_and_keys(aliases: Aliases) -> None:
    """The longest name is replaced first, because it may begin with a shorter one."""
    aliases.words |= {"conf": "<short>", "confabc": "<tag>"}
    assert normalise({JOB: f"/history/{JOB}?x=confabc_1"}, aliases) == {"<job 1>": "/history/<job 1>?x=<tag>_1"}


def test_an_unknown_id_is_still_an_id(aliases: Aliases) -> None:
    """A UUID made by the server needs no name."""
    assert normalise(OTHER, aliases) == "<uuid>"


@pytest.mark.parametrize(
    ("number", "alias"), [(7, "N"), (9, "N+2"), (6, "N-1"), (-8, "-(N+1)"), (7.0, 7.0), (True, True), ("7", "7")]
)
def test_numbers_count_from_the_first_job(aliases: Aliases, number: object, alias: object) -> None:
    """A number that a client gave is a float, and is kept."""
    assert normalise({"number": number, "priority": number, "steps": 7}, aliases) == {
        "number": alias,
        "priority": alias,
        "steps": 7,
    }


def test_without_a_job_numbers_are_left_alone() -> None:
    """There is no first number to count from."""
    assert normalise({"number": 7}, Aliases()) == {"number": 7}


def test_a_fresh_number_is_replaced_as_number_and_in_texts(aliases: Aliases) -> None:
    """A boolean or a float that equals it is kept."""
    aliases.fresh.add(1)
    assert normalise([1234567, "a 1234567 b", 1.0, True], aliases) == ["<fresh>", "a <fresh> b", 1.0, True]


def test_a_queue_item_is_recognised_by_its_job(aliases: Aliases) -> None:
    """Its number counts from the first, and its outputs are sorted; another list of five items is kept."""
    item = [8, JOB, {"1": {}}, {"create_time": 1}, ["9", "10"]]
    assert normalise([item, [8, "x", {}, {}, ["9", "10"]]], aliases) == [
        ["N+1", "<job 1>", {"1": {}}, {"create_time": "<int>"}, ["10", "9"]],
        [8, "x", {}, {}, ["9", "10"]],
    ]


def test_times_become_their_type() -> None:
    """The type shows whether a time is in whole milliseconds or in seconds."""
    assert normalise({"timestamp": 5, "modified": 5.5, "created": "x"}, Aliases()) == {
        "timestamp": "<int>",
        "modified": "<float>",
        "created": "x",
    }


def test_lists_without_an_order_are_sorted() -> None:
    """Their order depends on the server's hash seed."""
    value = {"executed": ["2", "1"], "errors": [{"b": 1}, {"a": 1}], "images": ["2", "1"], "nodes": {"2": 0}}
    assert normalise(value, Aliases()) == {
        "executed": ["1", "2"],
        "errors": [{"a": 1}, {"b": 1}],
        "images": ["2", "1"],
        "nodes": {"2": 0},
    }


def test_the_lines_of_a_refusal_are_sorted() -> None:
    """Outputs are checked in any order; the details of other errors are kept."""
    refusal = {"type": "prompt_outputs_failed_validation", "details": "b\na"}
    assert normalise(refusal, Aliases())["details"] == "a\nb"
    assert normalise({"type": "other", "details": "b\na"}, Aliases())["details"] == "b\na"


def test_what_belongs_to_a_machine_is_replaced() -> None:
    """Paths in exception messages, tracebacks, the contents of tensors, the letters of temporary files."""
    value = {
        "exception_message": "outside.\n output_dir: /srv/out put\n other: C:\\x\n",
        "traceback": ["File x\n"],
        "current_inputs": {"images": ["tensor([[0.]])"]},
        "filename": "ComfyUI_temp_abcde_00012_.png",
        "path": "/view",
    }
    assert normalise(value, Aliases()) == {
        "exception_message": "outside.\n output_dir: <path>\n other: <path>\n",
        "traceback": ["<traceback>"],
        "current_inputs": {"images": ["<tensor>"]},
        "filename": "ComfyUI_temp_<letters>_<k>_.png",
        "path": "/view",
    }
    assert normalise({"traceback": []}, Aliases()) == {"traceback": []}


def test_texts_for_people_are_left_out() -> None:
    """They change with every version."""
    assert normalise({"tooltip": "x", "input": {"description": "y", "default": 1}}, Aliases()) == {
        "input": {"default": 1}
    }


def test_normalising_twice_changes_nothing_more(aliases: Aliases) -> None:
    """Facts can be normalised again."""
    value = [{"number": 8, "timestamp": 1, "executed": ["2", "1"]}, [8, JOB, {}, {}, ["2", "1"]], f"a {JOB}"]
    once = normalise(value, aliases)
    assert normalise(once, Aliases()) == once


def test_without_files_a_transcript_has_no_names_and_counts_of_files() -> None:
    """Links between nodes, which have the same key, are kept; the reply to a file request is left out."""
    steps: list[dict[str, Any]] = [
        {"ask": "GET /view?filename=x", "status": 200},
        {"ask": "GET /history", "json": {"outputs": {"2": {"images": [{"filename": "x"}], "text": ["y"]}}}},
        {"ask": "GET /api/jobs", "json": {"inputs": {"images": ["1", 0]}, "outputs_count": 3, "preview_output": {}}},
    ]
    assert without_files(steps) == [
        {"ask": "GET /view"},
        {"ask": "GET /history", "json": {"outputs": {"2": {"images": "<files>", "text": ["y"]}}}},
        {"ask": "GET /api/jobs", "json": {"inputs": {"images": ["1", 0]}}},
    ]
