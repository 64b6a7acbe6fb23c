"""In which order do the nodes of a job run?"""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from comfyfarm.sim.prompt.workflow import ExecutionOrder, consumed, is_link, links, links_in
from comfyfarm.workflows import text_to_image

GRAPH = {"4": "", "5": "", "6": "4", "7": "4", "3": "4675", "8": "34", "9": "8"}      # ComfyUI's default workflow


def prompt(graph: dict[str, str]) -> dict[str, Any]:
    """A prompt of nodes with one-letter ids, each with the ids that feed it."""
    return {
        node: {"class_type": "X", "inputs": {str(index): [source, 0] for index, source in enumerate(sources)}}
        for node, sources in graph.items()
    }


def order(
    graph: dict[str, str], outputs: str, showing: str | None = None, cached: str = "", shown: str = ""
) -> str:
    """The nodes in the order in which they are handed out."""
    outputs_by_type = set(outputs if showing is None else showing)
    order = ExecutionOrder(links_in(prompt(graph)), outputs, outputs_by_type, set(cached), set(shown))
    ran = ""
    while (node := order.next()) is not None:
        ran += node
        order.finish(node)
    return ran


def test_the_standard_workflow_runs_as_the_real_server_runs_it() -> None:
    """The list that decides is ComfyUI's own: from the output backwards, the last input of each node first."""
    assert order(GRAPH, "9") == "4576389"
    assert list(text_to_image()) == sorted(GRAPH)


def test_an_output_runs_as_soon_as_it_can() -> None:
    """Before other nodes that are ready and come first in the list."""
    assert order({"a": "", "b": "", "s": "a", "p": "b"}, "sp") == "asbp"


def test_what_feeds_an_output_comes_before_what_does_not() -> None:
    """And what feeds that before the rest; else the list decides."""
    assert order({"a": "", "b": "a", "c": "b", "s": "c", "d": "", "t": "d"}, "st") == "dtabcs"
    assert order({"a": "", "b": "a", "c": "b", "d": "c", "s": "d", "e": "", "f": "e", "t": "f"}, "st") == "eftabcds"


def test_only_the_ancestors_of_the_chosen_outputs_run() -> None:
    assert order({"a": "", "s": "a", "b": "", "t": "b"}, "s", "st") == "as"


def test_the_source_of_a_lazy_input_runs_only_if_its_node_waits_for_it() -> None:
    """With what that needs in turn; the node is returned again afterwards."""
    graph = {"a": "", "b": "a", "c": "", "w": "abc", "s": "w"}
    order = ExecutionOrder(links_in(prompt(graph)), "s", {"s"}, lazy={"w": {"1", "2"}})
    returned = ""
    while (node := order.next()) is not None:
        returned += node
        if returned == "aw":
            order.wait_for("w", "b")
        else:
            order.finish(node)
    assert returned == "awbws"


def test_an_output_type_that_was_not_chosen_is_still_preferred_on_the_way() -> None:
    """The real server checks the type, not the choice."""
    assert order({"a": "", "b": "a", "p": "a", "s": "bp"}, "s", "ps") == "apbs"


def test_a_node_that_feeds_two_runs_once() -> None:
    assert order({"a": "", "b": "aa", "c": "a", "s": "bca"}, "s") == "acbs"


def test_a_cached_node_needs_nothing_that_feeds_it() -> None:
    """And comes up only where it has something to show."""
    assert order({"a": "", "b": "a", "s": "b"}, "s", cached="b") == "s"
    assert order({"a": "", "b": "a", "s": "b"}, "s", cached="ab") == "s"
    assert order({"a": "", "s": "a"}, "s", cached="as", shown="s") == "s"
    assert order({"a": "", "p": "a", "s": "p"}, "s", cached="ap", shown="p") == "ps"
    assert order({"a": "", "s": "a"}, "s", cached="as") == ""


def test_nodes_in_a_circle_never_come_up() -> None:
    """Where validation lets them pass."""
    assert order({"a": "b", "b": "a", "s": "b", "t": ""}, "st") == "t"


def test_a_link_to_nothing_is_no_hindrance() -> None:
    """Where validation lets it pass."""
    assert order({"s": "x"}, "s") == "s"


def test_only_an_id_and_a_slot_make_a_link() -> None:
    assert is_link(["1", 0])
    assert is_link(["1", -1])
    others: list[Any] = [[], ["1"], ["1", 0, 0], [1, 0], ["1", "0"], ["1", 0.0], ["1", None], "10", None, {"1": 0}]
    assert not any(is_link(value) for value in others)


def test_links_are_read_from_any_node() -> None:
    """Also from one that validation would have refused."""
    assert list(links({"inputs": {"a": ["1", 0], "b": "x", "c": ["2", 1], "d": ["1", 1]}})) == ["1", "2", "1"]
    assert list(links({})) == []
    assert list(links({"inputs": None})) == []
    assert consumed(prompt(GRAPH)) == set("345678")


@given(st.lists(st.lists(st.integers(0, 30), max_size=3), min_size=1, max_size=30))
@settings(deadline=None)
def test_any_graph_without_a_circle_runs_whole(sources: list[list[int]]) -> None:
    """Each ancestor of the last node once, and none before what it needs."""
    feeds = {index: {source for source in row if source < index} for index, row in enumerate(sources)}
    graph = {
        str(index): {"inputs": {str(source): [str(source), 0] for source in row}} for index, row in feeds.items()
    }
    last = len(sources) - 1
    needed, ahead = set(), {last}
    while ahead:
        needed |= ahead
        ahead = {source for node in ahead for source in feeds[node]} - needed
    order = ExecutionOrder(links_in(graph), [str(last)], {str(last)})
    done: list[int] = []
    while (node := order.next()) is not None:
        assert feeds[int(node)] <= set(done)
        done.append(int(node))
        order.finish(node)
    assert sorted(done) == sorted(needed)
