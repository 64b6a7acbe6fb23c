"""What cannot be the same twice is replaced, and nothing else."""

import pytest

from comfyfarm.conformance.normalise import Aliases, normalise

JOB = "a987fbc9-4bed-4078-8f07-9141ba07c9f3"
OTHER = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def aliases() -> Aliases:
    """A run with one job, number 7, and a fresh colour."""
    known = Aliases(fresh={1234567}, first_number=7)
    known.name("job", JOB)
    return known


def test_ids_are_named_in_the_order_in_which_they_came(aliases: Aliases) -> None:
    """An id that has a name keeps it."""
    for said in (OTHER, JOB, OTHER):
        aliases.name("job", said)
    aliases.name("client", "me")
    assert normalise([JOB, OTHER, "me"], aliases) == ["<job 1>", "<job 2>", "<client 1>"]


def test_a_name_is_found_inside_of_texts_and_keys(aliases: Aliases) -> None:
    """The longest name first, so that one that begins like another is not cut in two."""
    aliases.words |= {"conf": "<short>", "confabc": "<tag>"}
    assert normalise({JOB: f"/history/{JOB}?x=confabc_1"}, aliases) == {"<job 1>": "/history/<job 1>?x=<tag>_1"}


def test_an_unknown_id_is_still_an_id(aliases: Aliases) -> None:
    """A UUID that the server made up needs no name."""
    assert normalise(OTHER, aliases) == "<uuid>"


@pytest.mark.parametrize(
    ("number", "alias"), [(7, "N"), (9, "N+2"), (6, "N-1"), (-8, "-(N+1)"), (7.0, 7.0), (True, True), ("7", "7")]
)
def test_numbers_count_from_the_first_job(aliases: Aliases, number: object, alias: object) -> None:
    """What a client gave is a float, and stays."""
    assert normalise({"number": number, "priority": number, "steps": 7}, aliases) == {
        "number": alias,
        "priority": alias,
        "steps": 7,
    }


def test_without_a_job_numbers_are_left_alone() -> None:
    """There is nothing to count from."""
    assert normalise({"number": 7}, Aliases()) == {"number": 7}


def test_a_fresh_number_is_replaced_as_number_and_in_texts(aliases: Aliases) -> None:
    """But not a truth that happens to equal it."""
    aliases.fresh.add(1)
    assert normalise([1234567, "a 1234567 b", 1.0, True], aliases) == ["<fresh>", "a <fresh> b", 1.0, True]


def test_a_queue_item_is_known_by_its_job(aliases: Aliases) -> None:
    """Its number counts from the first, and its outputs have no order; another list of five is left alone."""
    item = [8, JOB, {"1": {}}, {"create_time": 1}, ["9", "10"]]
    assert normalise([item, [8, "x", {}, {}, ["9", "10"]]], aliases) == [
        ["N+1", "<job 1>", {"1": {}}, {"create_time": "<int>"}, ["10", "9"]],
        [8, "x", {}, {}, ["9", "10"]],
    ]


def test_times_become_their_type() -> None:
    """Whether it is whole milliseconds or seconds is worth comparing."""
    assert normalise({"timestamp": 5, "modified": 5.5, "created": "x"}, Aliases()) == {
        "timestamp": "<int>",
        "modified": "<float>",
        "created": "x",
    }


def test_lists_without_an_order_are_sorted() -> None:
    """Those that depend on the server's hash seed."""
    told = {"executed": ["2", "1"], "errors": [{"b": 1}, {"a": 1}], "images": ["2", "1"], "nodes": {"2": 0}}
    assert normalise(told, Aliases()) == {
        "executed": ["1", "2"],
        "errors": [{"a": 1}, {"b": 1}],
        "images": ["2", "1"],
        "nodes": {"2": 0},
    }


def test_the_lines_of_a_refusal_are_sorted() -> None:
    """Outputs are checked in any order; other details are no list of lines."""
    refusal = {"type": "prompt_outputs_failed_validation", "details": "b\na"}
    assert normalise(refusal, Aliases())["details"] == "a\nb"
    assert normalise({"type": "other", "details": "b\na"}, Aliases())["details"] == "b\na"


def test_what_belongs_to_a_machine_is_replaced() -> None:
    """Paths in the text of an exception, tracebacks, the contents of tensors, the letters of temporary files."""
    told = {
        "exception_message": "outside.\n output_dir: /srv/out put\n other: C:\\x\n",
        "traceback": ["File x\n"],
        "current_inputs": {"images": ["tensor([[0.]])"]},
        "filename": "ComfyUI_temp_abcde_00012_.png",
        "path": "/view",
    }
    assert normalise(told, Aliases()) == {
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
    """Facts can be put through it again."""
    told = [{"number": 8, "timestamp": 1, "executed": ["2", "1"]}, [8, JOB, {}, {}, ["2", "1"]], f"a {JOB}"]
    once = normalise(told, aliases)
    assert normalise(once, Aliases()) == once
