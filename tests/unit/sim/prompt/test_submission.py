"""The body of ``POST /prompt``: what of it is kept, what the server adds, and what makes it raise."""

from typing import Any

import pytest

from comfyfarm.events import PromptRefused, Submitted
from comfyfarm.sim.errors import PromptRejected, ServerError
from comfyfarm.sim.prompt.submission import PromptSource
from tests.support.instance_story import STARTED_UNIX_MS, Story, picture, tell

NOBODY = PromptSource()
GIVEN_ID = "0b1f8a1e-5c1d-4f3e-9d0e-2c3b4a596877"


def submit(story: Story, body: Any, sender: PromptSource = NOBODY) -> Any:
    """Post any body; nothing runs until the instance is advanced."""
    return story.instance.submit(body, sender, story.now_ms)


@pytest.mark.parametrize(
    "body",
    [
        *({}, {"client_id": "me"}, [], ["x"], "", "text"),
        {"prompt_id": "no uuid"},       # what is missing counts more than what is wrong
    ],
)
def test_a_body_without_a_prompt_is_refused(body: Any) -> None:
    """Lists and texts count as bodies without one."""
    with pytest.raises(PromptRejected) as caught:
        submit(tell(), body)
    about = {"message": "No prompt provided", "details": "No prompt provided", "extra_info": {}}
    assert caught.value.body == {"error": {"type": "no_prompt", **about}, "node_errors": {}}


NO_PROMPTS: list[Any] = [None, [], "x", 5, {"1": None}, {"1": "x"}, {"1": []}]


@pytest.mark.parametrize(
    "body",
    [
        *(None, 5, 1.5, True, "prompt", "a prompt", ["prompt"]),
        *({"prompt": prompt} for prompt in NO_PROMPTS),
        {"prompt": {"1": {"class_type": "EmptyImage", "inputs": None}}},
        {"prompt": {"1": {"class_type": "EmptyImage", "inputs": []}}},
        {"prompt": {"1": {"class_type": {}, "inputs": {}}}},
        {"prompt": picture(), "number": None},
        {"prompt": picture(), "number": "abc"},
        {"prompt": picture(), "number": [1]},
        {"prompt": picture(), "number": 10**400},
        {"prompt": picture(), "extra_data": None},
        {"prompt": picture(), "extra_data": []},
        {"prompt": picture(), "extra_data": "x"},
        {"prompt": picture(), "partial_execution_targets": 5},
        {"prompt": picture(), "partial_execution_targets": True},
    ],
)
def test_a_body_that_comfyui_cannot_read_makes_it_raise(body: Any) -> None:
    """The answer is a plain 500; nothing is queued."""
    story = tell()
    with pytest.raises(ServerError):
        submit(story, body)
    assert story.events == []
    assert story.instance.queue.remaining == 0


@pytest.mark.parametrize(
    "prompt_id",
    [
        *("", "x", 5, [], {}, True),
        GIVEN_ID.upper(),
        GIVEN_ID.replace("-", ""),
        f"{{{GIVEN_ID}}}",
        f"urn:uuid:{GIVEN_ID}",
        f" {GIVEN_ID}",
    ],
)
def test_only_a_canonical_uuid_is_taken_for_an_id(prompt_id: Any) -> None:
    """As the server itself would write it."""
    with pytest.raises(PromptRejected) as caught:
        submit(tell(), {"prompt": picture(), "prompt_id": prompt_id})
    error = caught.value.body["error"]
    assert (error["type"], error["message"]) == ("invalid_prompt_id", "prompt_id must be a valid UUID")
    assert error["details"] == (
        "prompt_id must be a UUID string in canonical lowercase hyphenated form; "
        "omit it to let the server generate one"
    )


def test_the_id_is_looked_at_before_the_nodes() -> None:
    """So a bad one is a 400, where the nodes alone would be a 500."""
    with pytest.raises(PromptRejected) as caught:
        submit(tell(), {"prompt": {"1": None}, "prompt_id": "x"})
    assert caught.value.body["error"]["type"] == "invalid_prompt_id"


def test_a_given_id_is_the_jobs_and_null_is_none_given() -> None:
    story = tell()
    assert submit(story, {"prompt": picture(), "prompt_id": GIVEN_ID}).prompt_id == GIVEN_ID
    drawn = submit(story, {"prompt": picture(), "prompt_id": None}).prompt_id
    assert len(drawn) == 36
    assert drawn[14] == "4"


def test_drawn_ids_depend_on_the_seed_and_never_repeat() -> None:
    """Not even after a reset."""

    def ids(seed: int) -> list[str]:
        story = tell(seed=seed)
        first = [story.post(picture()) for _ in range(3)]
        story.instance.reset(files=True, now_ms=0)
        return [*first, story.post(picture())]

    assert ids(1) == ids(1)
    assert len({*ids(1), *ids(2)}) == 8


def test_a_number_is_the_servers_counter_unless_it_is_given() -> None:
    """The counter moves with every readable body that does not bring a number of its own, refused or not."""
    story = tell()

    def number(**body: Any) -> float:
        return float(submit(story, {"prompt": picture(), **body}).number)

    assert number() == 0
    with pytest.raises(PromptRejected):
        submit(story, {})                                       # takes 1
    with pytest.raises(PromptRejected):
        number(partial_execution_targets=[])                    # takes 2
    with pytest.raises(ServerError):
        submit(story, {"prompt": None})                         # takes 3
    with pytest.raises(ServerError):
        submit(story, None)                                     # not readable: takes none
    assert number() == 4
    assert number(number=7) == 7
    assert number(number="1.5") == 1.5
    assert number(number=-3, front=True) == -3                  # front is overruled
    assert number(front=True) == -5
    assert number(front=False) == 6
    assert number(front="yes") == -7


def test_a_given_number_is_shown_as_a_float() -> None:
    """``7.0``, where the counter shows ``0``."""
    story = tell()
    assert isinstance(submit(story, {"prompt": picture(), "number": 7}).number, float)
    assert isinstance(submit(story, {"prompt": picture()}).number, int)


def test_the_answer_has_its_keys_in_comfyuis_order() -> None:
    accepted = submit(tell(), {"prompt": picture(), "prompt_id": GIVEN_ID})
    assert list(accepted.as_json().items()) == [("prompt_id", GIVEN_ID), ("number", 0), ("node_errors", {})]


def extra_data(body: dict[str, Any], sender: PromptSource = NOBODY) -> dict[str, Any]:
    """What a job shows to everybody."""
    story = tell()
    story.now_ms = 250
    submit(story, {"prompt": picture(), **body}, sender)
    return story.instance.queue.pending[0].extra_data


def test_secrets_are_never_shown() -> None:
    """They stay with the server."""
    secrets = {"auth_token_comfy_org": "secret", "api_key_comfy_org": "secret"}
    shown = extra_data({"extra_data": {**secrets, "kept": {"a": 1}}})
    assert shown == {"kept": {"a": 1}, "create_time": STARTED_UNIX_MS + 250}


def test_the_server_says_when_a_job_was_created() -> None:
    """Whatever the client sends."""
    assert extra_data({"extra_data": {"create_time": 5}})["create_time"] == STARTED_UNIX_MS + 250


def test_a_client_may_name_itself_in_either_place() -> None:
    """The top level counts more, and any JSON is taken."""
    assert extra_data({"client_id": "me"})["client_id"] == "me"
    assert extra_data({"extra_data": {"client_id": "me"}})["client_id"] == "me"
    assert extra_data({"client_id": "top", "extra_data": {"client_id": "me"}})["client_id"] == "top"
    assert extra_data({"client_id": None, "extra_data": {"client_id": "me"}})["client_id"] is None
    assert extra_data({"client_id": [5]})["client_id"] == [5]


def test_the_source_of_a_request_is_kept_unless_the_client_says_so_itself() -> None:
    """Header ``Comfy-Usage-Source``."""
    sender = PromptSource(usage_source="my-app")
    assert extra_data({}, sender)["comfy_usage_source"] == "my-app"
    assert extra_data({"extra_data": {"comfy_usage_source": None}}, sender)["comfy_usage_source"] is None
    assert "comfy_usage_source" not in extra_data({})


def job_name(body: dict[str, Any], sender: PromptSource = NOBODY) -> str:
    """The logical job that the log names."""
    story = tell()
    submit(story, {"prompt": picture(), **body}, sender)
    (submitted,) = story.of(Submitted)
    return submitted.job


def test_a_logical_job_is_what_the_user_calls_it() -> None:
    """In ``extra_data``, else in a header, else it is a hash of its prompt."""
    named = {"extra_data": {"comfyfarm_job": "order-7"}}
    assert job_name(named, PromptSource(job="by-header")) == "order-7"
    assert job_name({}, PromptSource(job="by-header")) == "by-header"
    assert job_name({"extra_data": {"comfyfarm_job": 7}}) == "7"
    assert job_name({"extra_data": {"comfyfarm_job": None}}, PromptSource(job="by-header")) == "by-header"


def test_the_same_prompt_is_the_same_logical_job() -> None:
    """Whoever sends it, and however its keys are ordered; another prompt is another job."""
    same = {key: picture()[key] for key in reversed(picture())}
    assert job_name({}) == job_name({"prompt": same, "client_id": "me", "number": 7})
    assert job_name({}) != job_name({"prompt": picture(colour=1)})


def test_a_job_is_known_by_what_was_sent_not_by_what_became_of_it() -> None:
    """Two retries are one job although the first one's numbers were converted in place."""
    as_text = picture()
    as_text["1"]["inputs"]["width"] = "64"
    assert job_name({"prompt": as_text}) != job_name({})


def test_a_refusal_is_told_with_the_job_that_it_hit() -> None:
    story = tell()
    bodies: list[Any] = [{"prompt": {"1": {"class_type": "Nope", "inputs": {}}}, "client_id": "me"}, []]
    for refused in bodies:
        with pytest.raises(PromptRejected):
            submit(story, refused, PromptSource(job="order-7"))
    assert story.events == [
        PromptRefused(at_ms=0, error="missing_node_type", missing=("Nope",), job="order-7", client_id="me"),
        PromptRefused(at_ms=0, error="no_prompt", job="order-7"),
    ]


def test_what_is_wrong_with_a_part_is_answered_while_the_rest_is_queued() -> None:
    story = tell()
    prompt = picture() | {"3": {"class_type": "PreviewImage", "inputs": {}}}
    accepted = submit(story, {"prompt": prompt})
    assert list(accepted.as_json()["node_errors"]) == ["3"]
    assert story.instance.queue.pending[0].outputs == ["2"]
