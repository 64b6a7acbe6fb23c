"""The replay of a log: the times of an instance without chance, and the placement by each policy."""

from collections.abc import Iterable
from itertools import pairwise, permutations
from typing import Any

import pytest
from msgspec import structs

from comfyfarm.analysis.instances import FleetState
from comfyfarm.analysis.job_tracker import JobTracker
from comfyfarm.analysis.placement.availability import AvailabilityPeriods
from comfyfarm.analysis.placement.costs import Costs, move_models
from comfyfarm.analysis.placement.replay.regret import POLICIES
from comfyfarm.analysis.placement.replay.replay import ReplayResult, replay
from comfyfarm.analysis.placement.replay.workload import Assignment, Workload, WorkloadRecorder
from comfyfarm.config.live_changes import as_written
from comfyfarm.events import Event, Finished, Submitted, Taken, Work
from comfyfarm.sim.distributions import Distribution
from comfyfarm.sim.memory import Memory, ModelFile
from comfyfarm.sim.settings import Settings, Timing
from comfyfarm.units import Size
from tests.support.instance_story import Story, picture, tell
from tests.support.logs import (
    configured,
    crashed,
    draining,
    farm,
    finished,
    frozen,
    loaded,
    log,
    ran,
    ready,
    refused,
    set_to,
    submitted,
    taken,
    taken_out,
)
from tests.unit.sim.test_durations import GB, sampling, with_lora

Table = dict[str, Any]


def workload_of(events: Iterable[Event]) -> Workload:
    """Return the workload of a log."""
    tracker, fleet, availability = JobTracker(), FleetState(), AvailabilityPeriods()
    recorder = WorkloadRecorder(tracker, availability)
    for event in events:
        tracker.on_event(event)
        fleet.on_event(event)
        availability.on_event(event, fleet)
        recorder.on_event(event)
    return recorder.workload()


def instance(name: str, node_ms: int = 10, load_per_gb_ms: int = 0, under_load: float = 0, **more: Any) -> Table:
    """The table of an instance whose nodes take this long."""
    timing = {"node": f"{node_ms}ms", "load_per_gb": f"{load_per_gb_ms}ms", "under_load": under_load}
    return {"name": name, "timing": timing, **more}


def nodes(count: int, *models: tuple[str, int]) -> Work:
    """The work of nodes, and of checkpoints by their size in gigabytes."""
    return Work(nodes={"N": count}, models=tuple(("checkpoints", name, size * GB) for name, size in models))


def as_placed(workload: Workload) -> ReplayResult:
    """The jobs as they were placed."""
    return replay(workload, workload.assignments)


def by(policy: str, workload: Workload) -> list[str]:
    """Where a policy puts the jobs, in the order in which it does."""
    return [assignment.instance for assignment in replay(workload, POLICIES[policy]()).assignments]


# How long a job takes.

ODD = Timing(
    step=Distribution.fixed(7),
    node=Distribution.fixed(3),
    save=Distribution.fixed(11),
    nodes={"VAEDecode": Distribution.fixed(29)},
    load_per_gb=Distribution.fixed(333),
    unload=Distribution.fixed(17),
)
MODELS = {"checkpoints": ["sdxl", "flux"], "loras": ["barn"]}


def runs(story: Story) -> list[tuple[Work, int]]:
    """The work of each job, and how long it really ran."""
    story.run()
    taken_ms = {event.prompt_id: event.at_ms for event in story.of(Taken)}
    return [(event.work, event.at_ms - taken_ms[event.prompt_id]) for event in story.of(Finished)]


def costs(timing: Timing) -> Costs:
    """By a timing as a change of settings tells it."""
    return Costs.of({"timing": as_written(timing)})


def test_pixels_take_as_long_as_on_an_instance() -> None:
    """Unless their type has a time of its own."""
    work = Work(nodes={"ImageScale": 2, "ImageInvert": 1}, pixels=(("ImageScale", 4.0, 2), ("ImageInvert", 0.5, 1)))
    assert costs(Timing()).service_ms(work) == 3 * 3 + 2 * 160 + 20
    own = Timing(megapixel=Distribution.fixed(10), nodes={"ImageScale": Distribution.fixed(300)})
    assert costs(own).service_ms(work) == 2 * 300 + 3 + 5


@pytest.mark.parametrize("vram", [None, Size(9 * GB), Size(7 * GB)])
def test_jobs_take_as_long_as_on_an_instance_without_jitter(vram: Size | None) -> None:
    """To the millisecond: cold, warm, with others' models in the way, in any size, where a step rounds to nothing."""
    story = tell(Settings(mode="dynamic", timing=ODD, vram=vram), models=MODELS)
    sizes = {("checkpoints", "sdxl"): int(6.9 * GB), ("checkpoints", "flux"): 5 * GB, ("loras", "barn"): GB // 16}
    story.instance.machine.catalogue.sizes = sizes
    prompts = [sampling(width=1000, height=328, steps=9), with_lora(), sampling(batch_size=3), sampling("flux")]
    prompts += [with_lora("flux"), sampling(width=64, height=64, steps=30), picture(batch_size=2), sampling("flux")]
    for prompt in prompts:
        story.post(prompt)
    memory = Memory(vram)
    real = runs(story)
    assert [costs(ODD).service_ms(work, move_models(memory, work)) for work, _ in real] == [ms for _, ms in real]
    assert list(memory.loaded) == list(story.instance.machine.memory.loaded)
    assert len({ms for _, ms in real}) > 4


def test_waiting_jobs_slow_the_running_one_as_on_an_instance() -> None:
    """The second job runs while the third one waits, the third one alone."""
    slowed = Timing(step=Distribution.fixed(7), node=Distribution.fixed(3), save=Distribution.fixed(11), under_load=0.3)
    story = tell(Settings(mode="dynamic", timing=slowed), models=MODELS)
    for _ in range(3):
        story.post(sampling(steps=9))
    (_, (second, second_ms), (third, third_ms)) = runs(story)
    assert costs(slowed).service_ms(second, waiting=1) == second_ms
    assert costs(slowed).service_ms(third) == third_ms < second_ms


@pytest.mark.parametrize(
    ("step", "mean_ms"),
    [
        ("45ms", 45),
        ('{ uniform = ["20ms", "80ms"] }', 50),
        ('{ normal = "45ms", sd = "5ms" }', 45),
        ({"lognormal": "45ms", "sigma": 0.5}, 51),
        ("{ nonsense", 15),
        (None, 15),
    ],
)
def test_a_distribution_counts_with_its_mean(step: object, mean_ms: int) -> None:
    """As the first event writes it and as a change does; what cannot be read is as usual, and nothing is raised."""
    assert Costs.of({"timing": {"step": step}}).service_ms(Work(steps=((1.0, 1),))) == mean_ms


# The tested system.


def test_jobs_on_one_instance_run_one_after_another() -> None:
    """As they came."""
    workload = workload_of(
        log(
            farm(instance("a"), instance("b")),
            ran("j1", on="a", at=5, until=35, work=nodes(3)),
            ran("j2", on="a", at=10, begins=35, until=65, work=nodes(3)),
            ran("j3", on="b", at=12, until=42, work=nodes(3)),
        )
    )
    replayed = as_placed(workload)
    assert (replayed.began_ms, replayed.ended_ms) == ((5, 35, 12), (35, 65, 42))
    assert (replayed.makespan_ms, replayed.waited_ms) == (60, 25)


def test_a_model_is_loaded_where_it_is_not_yet() -> None:
    """The warm one is there from the start; where memory is short another has to go, and comes back later."""
    tables = [instance("a", load_per_gb_ms=100, vram="3GB"), instance("b")]
    works = [nodes(1, ("x", 2)), nodes(1, ("x", 2), ("z", 1)), nodes(1, ("y", 2)), nodes(1, ("x", 2))]
    workload = workload_of(
        log(
            farm(*tables),
            loaded("a", "x", at=0, size_bytes=2 * GB),
            [ran(f"j{n}", on="a", at=n, until=5000 + n, work=work) for n, work in enumerate(works, 1)],
        )
    )
    began_ms, ended_ms = as_placed(workload).began_ms, as_placed(workload).ended_ms
    assert [end - begin for begin, end in zip(began_ms, ended_ms, strict=True)] == [10, 110, 210, 210]


def test_a_changed_setting_holds_for_jobs_that_begin_later() -> None:
    """The one that waits is slower, the one that runs is not."""
    workload = workload_of(
        log(
            farm(instance("a"), instance("b")),
            ran("j1", on="a", at=0, until=100, work=nodes(10)),
            ran("j2", on="a", at=1, begins=100, until=200, work=nodes(10)),
            set_to("a", at=50, timing={"node": "20ms"}),
        )
    )
    assert as_placed(workload).ended_ms == (100, 300)


def test_waiting_jobs_slow_what_the_running_one_has_left() -> None:
    """Half of the first job is done when the second comes: the other half takes 1.5 times as long."""
    workload = workload_of(
        log(
            farm(instance("a", under_load=0.5), instance("b")),
            ran("j1", on="a", at=0, until=125, work=nodes(10)),
            ran("j2", on="a", at=50, begins=125, until=225, work=nodes(10)),
        )
    )
    assert as_placed(workload).ended_ms == (125, 225)


def test_a_setting_that_changes_leaves_the_running_job_at_its_pace() -> None:
    """What waits still slows it; it began under that."""
    workload = workload_of(
        log(
            farm(instance("a", under_load=0.5), instance("b")),
            ran("j1", on="a", at=0, until=125, work=nodes(10)),
            set_to("a", at=20, timing={"node": "30ms"}),
            ran("j2", on="a", at=50, begins=125, until=425, work=nodes(10)),
        )
    )
    assert as_placed(workload).ended_ms == (125, 425)


def test_a_job_without_work_ends_at_once_also_where_another_would_have_ended_just_then() -> None:
    """A crash at 90 ms took the job that would have ended at 100 ms."""
    workload = workload_of(
        log(
            farm(instance("a"), instance("b")),
            submitted("j1", on="a", at=0),
            crashed("a", at=90, lost=["j1"]),
            ready("a", at=95, epoch=2),
            ran("j2", on="a", at=100, until=100, epoch=2),
            ran("j1", on="b", at=110, until=210, work=nodes(10)),
        )
    )
    assert as_placed(workload).ended_ms == (210, 100)


def test_a_job_that_was_lost_runs_where_it_was_sent_again() -> None:
    """Its wait is from its first arrival; what waited behind it went the same way."""
    workload = workload_of(
        log(
            farm(instance("a"), instance("b")),
            [submitted("j1", on="a", at=0), taken("j1", on="a", at=0), submitted("j2", on="a", at=1)],
            crashed("a", at=50, lost=["j1", "j2"]),
            ran("j2", on="b", at=60, until=160, work=nodes(10)),
            ran("j1", on="b", at=70, begins=160, until=260, work=nodes(10)),
        )
    )
    replayed = as_placed(workload)
    assert (replayed.began_ms, replayed.ended_ms) == ((160, 60), (260, 160))
    assert replayed.waited_ms == 160 + 59


def test_a_job_that_was_kept_runs_when_its_instance_is_back() -> None:
    """From its beginning."""
    workload = workload_of(
        log(
            farm(instance("a"), instance("b")),
            submitted("j1", on="a", at=0),
            crashed("a", at=50),
            ready("a", at=80, epoch=2),
            [taken("j1", on="a", at=80, epoch=2), finished("j1", on="a", at=180, work=nodes(10), epoch=2)],
        )
    )
    assert as_placed(workload).began_ms == (80,)
    assert as_placed(workload).ended_ms == (180,)


def test_a_job_that_was_taken_out_and_sent_elsewhere_leaves_room() -> None:
    """The one behind it is earlier."""
    workload = workload_of(
        log(
            farm(instance("a"), instance("b")),
            ran("j1", on="a", at=0, until=100, work=nodes(10)),
            submitted("j2", on="a", at=1),
            ran("j3", on="a", at=2, begins=100, until=200, work=nodes(10)),
            taken_out("j2", on="a", at=40),
            ran("j2", on="b", at=40, until=140, work=nodes(10)),
        )
    )
    assert as_placed(workload).ended_ms == (100, 140, 200)


def test_what_was_sent_again_after_a_success_costs_nothing() -> None:
    """A verdict finds that; placement is about where the work went."""
    once = [farm(instance("a"), instance("b")), ran("j1", on="a", at=0, until=100, work=nodes(10))]
    twice = [*once, ran("j1", on="b", at=50, until=150, work=nodes(10))]
    assert as_placed(workload_of(log(*twice))) == as_placed(workload_of(log(*once)))


def test_jobs_that_never_ran_are_left_out_and_counted() -> None:
    """Nobody knows how long they would take; one that was only refused was never taken on."""
    workload = workload_of(
        log(
            farm(instance("a"), instance("b")),
            submitted("j1", on="a", at=0),
            refused("j2", on="a", at=1),
            ran("j3", on="b", at=2, until=12, work=nodes(1)),
        )
    )
    assert [arrival.job for arrival in workload.arrivals] == ["j3"]
    assert workload.left_out == 1


def test_what_really_happened_on_two_instances_happens_again_in_a_replay() -> None:
    """Moment for moment: unequal machines, models, sizes, queues."""
    stories = {"a": tell(Settings(timing=ODD, vram=Size(9 * GB)), models=MODELS), "b": tell(models=MODELS)}
    prompts = [sampling(steps=9), with_lora(), sampling("flux"), picture(), with_lora("flux")]
    for n in range(30):
        story = stories["ab"[n % 3 % 2]]
        story.wait(97 * n * n % 400)
        story.post(prompts[n % 5], extra_data={"comfyfarm_job": f"j{n}"})
    events: list[Event] = []
    for name, story in stories.items():
        story.run()
        events += [structs.replace(event, instance=name, epoch=1) for event in story.events]
    settings = [{"name": name, **as_written(story.instance.machine.settings)} for name, story in stories.items()]
    farm_log = log(farm(*settings), events)
    replayed = as_placed(workload := workload_of(farm_log))
    ids = {event.job: (event.instance, event.prompt_id) for event in farm_log if isinstance(event, Submitted)}
    taken_ms = {(event.instance, event.prompt_id): event.at_ms for event in farm_log if isinstance(event, Taken)}
    ended_ms = {(event.instance, event.prompt_id): event.at_ms for event in farm_log if isinstance(event, Finished)}
    assert replayed.began_ms == tuple(taken_ms[ids[arrival.job]] for arrival in workload.arrivals)
    assert replayed.ended_ms == tuple(ended_ms[ids[arrival.job]] for arrival in workload.arrivals)
    assert len(workload.arrivals) == 30
    assert replayed.waited_ms > 0


# The policies.


def arriving(*works: Work, at: Iterable[int] | None = None, tables: Iterable[Table] = ()) -> Workload:
    """Jobs that come one millisecond after another, or at these moments, and all ran on ``a``."""
    moments = range(len(works)) if at is None else at
    jobs = [
        ran(f"j{n}", on="a", at=moment, until=100_000 + n, work=work)
        for n, (moment, work) in enumerate(zip(moments, works, strict=True), 1)
    ]
    return workload_of(log(farm(*(tables or [instance("a"), instance("b"), instance("c")])), jobs))


def test_round_robin_goes_round() -> None:
    """Whoever is busy."""
    workload = arriving(*[nodes(100)] * 3, *[nodes(1)] * 4)
    assert by("round_robin", workload) == ["a", "b", "c", "a", "b", "c", "a"]


def test_round_robin_leaves_out_who_cannot_take_the_job() -> None:
    """Behind it the round goes on."""
    tables = [instance("a"), instance("b", missing_nodes=["N"]), instance("c")]
    assert by("round_robin", arriving(*[nodes(1)] * 4, tables=tables)) == ["a", "c", "a", "c"]


def test_shortest_queue_counts_jobs_and_not_their_work() -> None:
    """One long job weighs as much as a short one; of equals the first of the configuration."""
    workload = arriving(nodes(100), nodes(1), nodes(1), nodes(1), nodes(1), at=[0, 1, 2, 3, 4])
    assert by("shortest_queue", workload) == ["a", "b", "c", "a", "b"]
    assert by("shortest_queue", arriving(nodes(100), nodes(1), nodes(1), at=[0, 0, 10])) == ["a", "b", "b"]


def test_least_work_left_counts_the_work_and_not_the_jobs() -> None:
    """After the long job nothing more goes there."""
    workload = arriving(nodes(100), nodes(10), nodes(9), nodes(1), nodes(1), at=[0, 1, 2, 3, 4])
    assert by("least_work_left", workload) == ["a", "b", "c", "c", "b"]


def test_least_work_left_takes_what_is_done_into_account() -> None:
    """At 90 ms the first has 110 ms left and the second 130 ms."""
    tables = [instance("a"), instance("b", node_ms=20)]
    workload = arriving(nodes(20), nodes(11), nodes(1), at=[0, 0, 90], tables=tables)
    assert by("least_work_left", workload) == ["a", "b", "a"]


def test_finish_soonest_counts_how_long_the_job_itself_takes() -> None:
    """A fast instance with a queue is sooner than a slow one without, until its queue is too long."""
    tables = [instance("slow", node_ms=40), instance("fast")]
    workload = arriving(*[nodes(10)] * 5, at=[0] * 5, tables=[*tables, instance("a", missing_nodes=["N"])])
    # it takes 400 on slow, 100, 200, ... on fast; a has run them and can, as fast as fast
    assert by("finish_soonest", workload) == ["fast", "a", "fast", "a", "fast"]


def test_finish_soonest_counts_the_models_that_must_be_loaded() -> None:
    """Loading takes 200: behind one job that loads it a second is sooner done than elsewhere, but not behind two."""
    tables = [instance("a", load_per_gb_ms=100), instance("b", load_per_gb_ms=100)]
    x = nodes(10, ("x", 2))
    assert by("finish_soonest", arriving(x, x, x, at=[0, 0, 0], tables=tables)) == ["a", "b", "a"]
    assert by("finish_soonest", arriving(x, x, x, at=[0, 101, 102], tables=tables)) == ["a", "a", "b"]


def test_model_affine_goes_where_the_model_is() -> None:
    """Also where it only will be, behind the jobs that are there; without models it is the least work left."""
    x, y = nodes(10, ("x", 2)), nodes(10, ("y", 2))
    assert by("model_affine", arriving(x, y, x, y, nodes(1))) == ["a", "b", "a", "b", "c"]


def test_model_affine_looks_for_the_larger_part_of_the_models() -> None:
    """The lora is loaded sooner than the checkpoint."""
    workload = arriving(nodes(1, ("lora", 1)), nodes(1, ("x", 3)), nodes(1, ("lora", 1), ("x", 3)))
    assert by("model_affine", workload) == ["a", "b", "b"]


@pytest.mark.parametrize(
    "lacking",
    [
        {"models": {"checkpoints": ["y:2GB"]}},
        {"open_models": False},
        {"missing_nodes": ["N"]},
        {"vram": "1GB"},
    ],
)
@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_no_policy_sends_a_job_where_it_cannot_run(policy: str, lacking: Table) -> None:
    """By the settings."""
    tables = [instance("a"), instance("b", **lacking)]
    assert by(policy, arriving(*[nodes(5, ("x", 2))] * 3, tables=tables)) == ["a", "a", "a"]


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_no_policy_sends_a_job_where_it_was_refused(policy: str) -> None:
    """The settings do not say all; where it ran it can run, whatever they say."""
    workload = workload_of(
        log(
            farm(instance("a", missing_nodes=["N"]), instance("b"), instance("c")),
            refused("j1", on="c", at=0, missing=["N"]),
            ran("j1", on="a", at=5, until=15, work=nodes(1)),
            refused("j2", on="b", at=6, missing=["N"]),
            ran("j2", on="a", at=7, until=15, work=nodes(1)),
        )
    )
    placed = replay(workload, POLICIES[policy]()).assignments
    assert all(assignment.instance in ("ab", "ac")[assignment.job] for assignment in placed)
    assert [assignment.at_ms for assignment in placed] == [0, 6]


@pytest.mark.parametrize("gone", [draining("a", at=5), frozen("a", at=5), crashed("a", at=5)])
@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_no_policy_sends_new_work_to_who_takes_none(policy: str, gone: Event) -> None:
    """Drained, frozen or down; before that it gets some."""
    jobs = [ran(f"j{n}", on="b", at=4 * n, until=1000 + n, work=nodes(0)) for n in range(4)]
    workload = workload_of(log(farm(instance("a"), instance("b")), jobs, gone))
    assert "a" in by(policy, workload)[:2]
    assert by(policy, workload)[2:] == ["b", "b"]


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_what_a_crash_interrupts_a_policy_places_again(policy: str) -> None:
    """At the moment of the crash, and from its beginning."""
    workload = workload_of(
        log(
            farm(instance("a"), instance("b")),
            ran("j1", on="b", at=0, until=1000, work=nodes(10)),
            crashed("a", at=60),
        )
    )
    replayed = replay(workload, POLICIES[policy]())
    assert [(assignment.at_ms, assignment.instance) for assignment in replayed.assignments] == [(0, "a"), (60, "b")]
    assert replayed.ended_ms == (160,)


def test_where_no_instance_is_there_jobs_wait_for_the_first_that_comes() -> None:
    """Both boot; whoever is first gets what waited."""
    workload = workload_of(
        log(
            configured(instance("a"), instance("b")),
            ready("b", at=40),
            ready("a", at=70),
            ran("j1", on="a", at=70, until=90, work=nodes(2)),
            [refused("j1", on="a", at=10), refused("j2", on="a", at=20)],
            ran("j2", on="a", at=71, until=100, work=nodes(2)),
        )
    )
    replayed = replay(workload, POLICIES["shortest_queue"]())
    assert (replayed.began_ms, replayed.ended_ms) == ((40, 60), (60, 80))


def test_a_log_without_the_moment_of_readiness_is_replayed() -> None:
    """An instance that takes jobs on is there."""
    jobs = [ran("j1", on="a", at=5, until=15, work=nodes(1)), ran("j2", on="a", at=7, until=25, work=nodes(1))]
    replayed = as_placed(workload_of(log(configured(instance("a"), instance("b")), jobs)))
    assert replayed.began_ms == (5, 15)


# All of them.


def busy(seed: int) -> Workload:
    """A hard day: unequal instances, models, crashes, changes, load."""
    tables = [
        instance("a", 10, 100, vram="5GB"),
        instance("b", 20, 50, under_load=0.2),
        instance("c", 40, 0, missing_nodes=["M"]),
    ]
    order = list(permutations("abc"))[seed % 6]
    kinds = [nodes(7, ("x", 3)), nodes(3, ("y", 2), ("x", 3)), Work(nodes={"M": 9}), nodes(20)]
    jobs = []
    for n in range(40):
        on = "ab"[n % 2] if n % 4 == 2 else order[n * (seed + 3) % 3]
        jobs.append(ran(f"j{n}", on=on, at=n * 23 % 997, until=50_000 + n, work=kinds[n % 4]))
    changes = [crashed("a", at=300), ready("a", at=450, epoch=2), crashed("c", at=500), draining("b", at=320)]
    changes += [draining("b", at=700, ends=True), set_to("a", at=200, timing={"node": "15ms"}, vram="4GB")]
    return workload_of(log(farm(*tables), jobs, changes))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_a_policys_own_placement_replayed_comes_to_exactly_the_same(policy: str, seed: int) -> None:
    """Crashes, slowing, memory and all: the two ways to replay are one."""
    workload = busy(seed)
    placed = replay(workload, POLICIES[policy]())
    assert replay(workload, placed.assignments) == placed
    assert len(placed.assignments) > len(workload.arrivals)
    assert replay(workload, POLICIES[policy]()) == placed


@pytest.mark.parametrize("seed", range(6))
def test_every_job_runs_and_no_instance_runs_two_at_a_time(seed: int) -> None:
    """Whoever places them."""
    workload = busy(seed)
    for replayed in [as_placed(workload), *(replay(workload, make()) for make in POLICIES.values())]:
        last: dict[int, Assignment] = {assignment.job: assignment for assignment in replayed.assignments}
        assert sorted(last) == list(range(40))
        for name in "abc":
            there = [place for place, given in last.items() if given.instance == name]
            spans = sorted((replayed.began_ms[place], replayed.ended_ms[place]) for place in there)
            assert all(one[1] <= two[0] for one, two in pairwise(spans))


def test_a_log_that_begins_anywhere_and_ends_anywhere_is_replayed() -> None:
    """Nothing raises; what cannot be known is not there."""
    events = log(
        farm(instance("a"), instance("b")),
        [ran(f"j{n}", on="ab"[n % 2], at=n, until=30 + n, work=nodes(n)) for n in range(6)],
        crashed("a", at=9, lost=["j4"]),
        ready("a", at=12, epoch=2),
        set_to("a", at=13, timing={"node": 5, "step": {"odd": 1}, "nodes": None}, vram="?", models=[1]),
    )
    for start in range(len(events)):
        for stop in range(start, len(events) + 1):
            workload = workload_of(events[start:stop])
            assert len(as_placed(workload).ended_ms) == len(workload.arrivals)
            assert all(set(by(name, workload)) <= {"a", "b"} for name in POLICIES)


def test_jobs_of_one_moment_are_placed_in_the_order_of_the_log() -> None:
    """The fourth goes where the least of the first three went."""
    shrinking = arriving(nodes(9), nodes(2), nodes(1), nodes(3), at=[0, 0, 0, 0])
    mixed = arriving(nodes(3), nodes(1), nodes(2), nodes(9), at=[0, 0, 0, 0])
    assert by("least_work_left", shrinking) == ["a", "b", "c", "c"]
    assert by("least_work_left", mixed) == ["a", "b", "c", "b"]


def test_what_is_in_memory_from_the_start_is_there_again_after_a_crash() -> None:
    """And nothing else is."""
    file = ModelFile("checkpoints", "x", GB)
    workload = workload_of(
        log(
            farm(instance("a", load_per_gb_ms=100), instance("b")),
            loaded("a", "x", at=0, size_bytes=GB),
            ran("j1", on="a", at=1, until=111, work=nodes(1, ("y", 1))),
            crashed("a", at=200),
            ready("a", at=210, epoch=2),
            ran("j2", on="a", at=220, until=230, work=nodes(1, ("x", 1)), epoch=2),
            ran("j3", on="a", at=230, until=340, work=nodes(1, ("y", 1)), epoch=2),
        )
    )
    assert workload.warm == {"a": (file,)}
    assert as_placed(workload).ended_ms == (111, 230, 340)
