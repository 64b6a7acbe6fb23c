"""Which results outlive a job: by policy, by content, and until when."""

from typing import Any

import pytest

from comfyfarm.events import Cached, Failed, NodeFinished, NodeStarted, Started, Submitted, Written
from comfyfarm.sim.cache import result_keys
from comfyfarm.sim.files import MemoryFiles, Place
from comfyfarm.sim.settings import Settings
from tests.support.instance_story import Prompt, Story, catalogue, chain, finished, picture, tell

POLICIES = ("none", "ram", "classic", "lru:10")


def story_with(policy: str, **more: Any) -> Story:
    return tell(Settings(mode="dynamic", cache=policy), **more)


def run(story: Story, prompt: Prompt, **body: Any) -> str:
    prompt_id = story.post(prompt, **body)
    story.run()
    return prompt_id


def ran(story: Story) -> list[str]:
    """The nodes that the last job ran."""
    last = story.of(Submitted)[-1].prompt_id
    return [event.node for event in story.of(NodeStarted) if event.prompt_id == last]


def cached(story: Story) -> tuple[str, ...]:
    """The nodes that the last job need not run."""
    return story.of(Cached)[-1].nodes


def test_a_new_file_for_every_job_is_the_default() -> None:
    """The promise of dynamic mode."""
    story = tell()
    for _ in range(3):
        run(story, picture())
    assert len(story.names()) == 3
    assert [event.nodes for event in story.of(Cached)] == [(), (), ()]


@pytest.mark.parametrize("policy", POLICIES[1:])
def test_the_same_prompt_again_gives_the_old_file(policy: str) -> None:
    """No node runs, no time passes, and the output is shown again."""
    story = story_with(policy)
    first = run(story, picture(), client_id="me")
    ended_ms = story.now_ms
    second = run(story, picture(), client_id="me")
    assert (cached(story), ran(story), story.now_ms) == (("1", "2"), [], ended_ms)
    assert story.entry(second)["outputs"] == story.entry(first)["outputs"]
    assert len(story.of(Written)) == 1
    shown = story.of(NodeFinished)[-1]
    assert (shown.node, shown.cached, shown.output) == ("2", True, story.entry(first)["outputs"]["2"])


@pytest.mark.parametrize("policy", POLICIES[1:])
def test_only_what_follows_a_change_runs_again(policy: str) -> None:
    """Here the prefix: the picture that is saved is the old one."""
    story = story_with(policy)
    run(story, picture("barn"))
    run(story, picture("house"))
    assert (cached(story), ran(story)) == (("1",), ["2"])


@pytest.mark.parametrize(
    ("policy", "files", "runs"), [("none", 2, "123"), *((policy, 1, "12") for policy in POLICIES[1:])]
)
def test_two_equal_nodes_of_one_job_run_once_if_results_are_kept(policy: str, files: int, runs: str) -> None:
    """Both show the same file; the second one is reported as a cached one."""
    story = story_with(policy)
    prompt = picture()
    prompt["3"] = prompt["2"]
    entry = story.entry(run(story, prompt, client_id="me"))
    assert (len(story.names()), "".join(ran(story)), cached(story)) == (files, runs, ())
    assert (entry["outputs"]["2"] == entry["outputs"]["3"], entry["meta"]["3"]["node_id"] == "2") == (files == 1,) * 2
    assert [event.cached for event in story.of(NodeFinished)] == [False, False, files == 1]


def test_ids_titles_and_extra_data_do_not_matter() -> None:
    """The same graph under other ids is cached in full; its meta keeps the ids of the run that made it."""
    story = story_with("ram")
    run(story, picture())
    other = {
        "b": {"class_type": "SaveImage", "inputs": {"filename_prefix": "barn", "images": ["a", 0]}},
        "a": picture()["1"] | {"_meta": {"title": "new"}},
    }
    prompt_id = run(story, other, client_id="me", extra_data={"extra_pnginfo": {"x": 1}})
    assert (cached(story), ran(story)) == (("b", "a"), [])
    entry = story.entry(prompt_id)
    assert list(entry["outputs"]) == ["b"]
    assert entry["meta"] == {"b": {"node_id": "2", "display_node": "2", "parent_node": None, "real_node_id": "2"}}


def test_every_cached_node_is_listed_also_one_that_nothing_needs() -> None:
    """In the order of the prompt."""
    story = story_with("ram")
    prompt = picture() | {"3": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}}}
    run(story, prompt | {"4": {"class_type": "PreviewImage", "inputs": {"images": ["3", 0]}}})
    run(story, {key: prompt[key] for key in ("3", "2", "1")})
    assert cached(story) == ("3", "2", "1")


@pytest.mark.parametrize(("policy", "survives"), [("ram", False), ("classic", False), ("lru:10", True)])
def test_another_job_in_between(policy: str, survives: bool) -> None:
    """A, B, A: only a policy that counts still has the first A."""
    story = story_with(policy)
    for prompt in (picture("a"), picture("b", colour=1), picture("a")):
        run(story, prompt)
    assert cached(story) == (("1", "2") if survives else ())


def test_by_default_results_go_only_when_another_job_runs_a_node() -> None:
    """The classic policy drops them as soon as another job starts."""
    both = picture() | {"3": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "house"}}}
    for policy, kept in (("ram", ("1", "2", "3")), ("classic", ("1", "2"))):
        story = story_with(policy)
        for prompt in (both, picture(), both):      # the second job finds all it needs
            run(story, prompt)
        assert cached(story) == kept, policy


def test_a_policy_that_counts_drops_what_was_used_longest_ago() -> None:
    story = story_with("lru:4")
    for name in ("a", "b", "a", "c", "a"):
        run(story, picture(name, colour=ord(name)))
    assert cached(story) == ("1", "2")
    run(story, picture("b", colour=ord("b")))
    assert cached(story) == ()


def test_a_job_that_is_bigger_than_the_cache_still_runs() -> None:
    story = story_with("lru:1")
    prompt_id = run(story, chain(20))
    assert story.entry(prompt_id)["status"]["completed"]
    run(story, chain(20))
    assert (len(cached(story)), ran(story)) == (1, [])      # the file that was saved needs nothing else


def load(name: str = "cat.png") -> Prompt:
    return picture() | {"1": {"class_type": "LoadImage", "inputs": {"image": name}}}


def test_a_file_that_has_changed_is_loaded_again() -> None:
    """ComfyUI uses its digest."""
    story = story_with("ram", pictures=["cat.png"])
    run(story, load())
    run(story, load())
    assert ran(story) == []
    story.files.pictures[Place("input", "", "cat.png")] = (64, 32)
    run(story, load())
    assert ran(story) == ["1", "2"]
    assert {content.picture.width for content in story.files.written.values()} == {32, 64}


def test_what_was_done_before_an_error_is_kept() -> None:
    """And what failed is not."""
    story = story_with("ram")
    run(story, picture("../out"))
    run(story, picture("../out"))
    assert (cached(story), ran(story)) == (("1",), ["2"])
    assert [event.error["current_outputs"] for event in story.of(Failed)] == [["1", "2"], ["1", "2"]]


def test_without_a_cache_an_error_knows_no_outputs() -> None:
    story = story_with("none")
    run(story, picture("../out"))
    assert story.of(Failed)[0].error["current_outputs"] == []


def test_what_was_done_before_an_interrupt_is_kept() -> None:
    story = story_with("ram")
    story.post(picture())
    story.wait(1)
    story.interrupt()
    story.run()
    run(story, picture())
    assert cached(story) == ("1",)


@pytest.mark.parametrize("policy", POLICIES[1:])
def test_memory_given_back_empties_the_cache(policy: str) -> None:
    """``free_memory`` does; ``unload_models`` alone does not."""
    story = story_with(policy)
    run(story, picture())
    story.instance.free(unload_models=True, free_memory=False, now_ms=story.now_ms)
    run(story, picture())
    assert cached(story) == ("1", "2")
    story.instance.free(unload_models=False, free_memory=True, now_ms=story.now_ms)
    run(story, picture())
    assert cached(story) == ()


def test_memory_is_given_back_when_the_running_job_is_done() -> None:
    """Not under its feet; and once."""
    story = story_with("ram")
    story.post(picture())
    story.wait(1)
    story.instance.free(unload_models=False, free_memory=True, now_ms=story.now_ms)
    story.run()
    run(story, picture())
    assert cached(story) == ()
    run(story, picture())
    assert cached(story) == ("1", "2")


def test_a_reset_empties_the_cache() -> None:
    story = story_with("ram")
    run(story, picture())
    story.instance.reset(files=False, now_ms=story.now_ms)
    run(story, picture())
    assert cached(story) == ()


def test_deleted_history_stays_in_the_cache() -> None:
    story = story_with("ram")
    run(story, picture())
    story.instance.clear_history(story.now_ms)
    run(story, picture())
    assert cached(story) == ("1", "2")


def test_pictures_sent_over_the_websocket_are_sent_every_time() -> None:
    """ComfyUI answers "has it changed" with the time."""
    prompt = picture() | {"2": {"class_type": "SaveImageWebsocket", "inputs": {"images": ["1", 0]}}}
    story = story_with("ram")
    for _ in range(2):
        run(story, prompt)
    assert (cached(story), ran(story)) == (("1",), ["2"])


# The keys.


def keys(prompt: Prompt, files: MemoryFiles | None = None) -> dict[str, Any]:
    return finished(result_keys(prompt, catalogue(files)))[0]


def test_a_large_prompt_is_looked_at_in_steps() -> None:
    """One step is not all of it, and the last node is as good as the first."""
    inverted = {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}}
    prompt = picture() | {f"n{number}": inverted for number in range(5000)}
    story = story_with("ram")
    story.post(prompt | {"last": {"class_type": "PreviewImage", "inputs": {"images": ["n4999", 0]}}})
    turns = 0

    def one_step() -> bool:
        nonlocal turns
        turns += 1
        return False

    while not story.of(Started):
        story.instance.advance(0, one_step)
    assert turns > 10
    story.run()
    assert "last" in ran(story)


def test_a_key_depends_on_type_constants_slot_and_all_ancestors() -> None:
    before = keys(picture())
    changed: list[Prompt] = [
        picture(width=65),
        picture() | {"1": {**picture()["1"], "class_type": "Other"}},
        picture() | {"2": {"class_type": "SaveImage", "inputs": {"images": ["1", -1], "filename_prefix": "barn"}}},
        picture() | {"2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "prefix": "barn"}}},
    ]
    for prompt in changed:
        assert keys(prompt)["2"] != before["2"]
    assert keys(changed[2])["1"] == before["1"]


def test_keys_do_not_depend_on_the_order_of_nodes_or_inputs() -> None:
    """A node may come before those that feed it, and be fed twice by one."""
    prompt = {"1": {"class_type": "A", "inputs": {"x": ["2", 0], "y": ["3", 0], "z": ["2", 1]}}}
    prompt |= {"2": {"class_type": "B", "inputs": {"x": ["3", 0]}}, "3": {"class_type": "C", "inputs": {}}}
    forwards, backwards = keys(prompt), keys(dict(reversed(prompt.items())))
    assert forwards == {key: backwards[key] for key in forwards}
    assert None not in forwards.values()
    assert len(set(forwards.values())) == 3


def test_a_node_that_is_fed_by_nothing_known_is_never_kept() -> None:
    """A link out of the prompt, a circle: where validation lets them pass."""
    prompt: Prompt = {
        "1": {"class_type": "A", "inputs": {"x": ["99", 0]}},
        "2": {"class_type": "A", "inputs": {"x": ["3", 0]}},
        "3": {"class_type": "A", "inputs": {"x": ["2", 0]}},
        "4": {"class_type": "A", "inputs": {"x": ["1", 0]}},
        "5": {"class_type": "A"},
    }
    before = keys(prompt)
    assert [node for node, key in before.items() if key is not None] == ["5"]


def test_the_keys_of_five_thousand_nodes_in_a_row_are_made() -> None:
    assert len(set(keys(chain(5000)).values())) == 5000
