"""Messages that are encoded in parts have the bytes of ``json.dumps``."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from comfyfarm.faults.editing import encode_message
from comfyfarm.server.websocket.job_messages import JobProgress, encode_fields, fields_of

TEXTS = st.text(max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(TEXTS, JSON, max_size=4)


@given(OBJECTS, OBJECTS)
def test_fields_are_the_json_of_the_whole(metadata: dict[str, Any], data: dict[str, Any]) -> None:
    """Also if a client's metadata has the names of a message's own."""
    encoded = encode_fields("executed", {**fields_of(metadata), **fields_of(data)})
    assert encoded == encode_message("executed", {**metadata, **data})


def entry(prompt_id: str, node: str, value: float, most: float, state: str, above: str | None = None) -> dict[str, Any]:
    first = above if above is not None else node
    ids = {"node_id": node, "prompt_id": prompt_id, "display_node_id": first, "parent_node_id": above}
    return {"value": value, "max": most, "state": state, **ids, "real_node_id": first}


@given(TEXTS, TEXTS, TEXTS.map(lambda text: f"{text}!"))
def test_progress_is_the_json_of_the_whole(prompt_id: str, node: str, child: str) -> None:
    progress = JobProgress(prompt_id)
    progress.begin(node)
    progress.begin(f"{node}.{child}", node)
    progress.step(node, 3, 20)
    progress.nodes[node].state = "finished"
    progress.changed(progress.nodes[node])
    nodes = {
        node: entry(prompt_id, node, 3, 20, "finished"),
        f"{node}.{child}": entry(prompt_id, f"{node}.{child}", 0.0, 1.0, "running", node),
    }
    expected = encode_message("progress_state", {"prompt_id": prompt_id, "nodes": nodes})
    assert encode_fields("progress_state", progress.fields) == expected


def test_a_node_that_begins_again_keeps_its_place() -> None:
    progress = JobProgress("p")
    for node in ("1", "2", "1"):
        progress.begin(node)
        progress.step(node, 1, 2)
    progress.begin("1")
    nodes = json.loads(progress.fields['"nodes"'])
    assert list(nodes) == ["1", "2"]
    assert nodes["1"]["value"] == 0.0
