"""The marker ``comfy_farm`` in a user's project, and the report of a failed test: real small suites."""

import os
import re
from collections.abc import Callable
from fnmatch import fnmatch

import pytest

pytest_plugins = ["pytester"]

Run = Callable[..., pytest.RunResult]

HEAD = """
import pytest
from comfyfarm.workflows import text_to_image

TWO = {"farm": {"clock": "virtual", "delivery": "none"}, "instance": [{"name": "gpu-1"}, {"name": "gpu-2"}]}

def send(farm, job, on="gpu-1"):
    body = {"prompt": text_to_image(), "extra_data": {"comfyfarm_job": job}}
    return farm[on].ask("POST", "/prompt", json=body)
"""
MADE_OF = HEAD + """
pytestmark = pytest.mark.comfy_farm(config=TWO, seed=7)

def test_the_module_says_it(memory_farm):
    farm = memory_farm()
    assert list(farm.farm.backends) == ["gpu-1", "gpu-2"]
    assert farm.farm.config.farm.seed == 7

@pytest.mark.comfy_farm(seed=8, faults=[{"do": "status", "status": 503, "at": "submit", "on": "gpu-2"}])
def test_the_test_says_more(memory_farm):
    farm = memory_farm()
    assert farm.farm.config.farm.seed == 8
    assert [send(farm, "a", on).status for on in ("gpu-1", "gpu-2")] == [200, 503]

@pytest.mark.comfy_farm(scenario=["F08", {"use": "F44", "on": "gpu-2"}])
def test_scenarios_are_laid_over_a_given_configuration(memory_farm):
    farm = memory_farm('[[instance]]\\nname = "gpu-{n}"\\ncount = 3')
    assert len(farm.farm.backends) == 3
    assert [scenario.name for scenario in farm.farm.config.scenario] == ["F08", "F44"]

@pytest.mark.comfy_farm(faults=[{"do": "error", "at": "node", "times": 1}])
def test_each_kind_of_farm_takes_it(comfy_farm):
    from comfyfarm.clients import SyncComfyClient

    farm = comfy_farm()
    assert farm is not comfy_farm()
    assert farm.control.state().seed == 7
    SyncComfyClient(farm["gpu-2"].url).submit_workflow(text_to_image())
    farm.run_until_idle()
    assert farm.control.faults().faults[0].fired["gpu-2"] == 1
"""
TWISTED = """
import pytest, pytest_twisted
from comfyfarm.workflows import text_to_image

CONFIG = {"farm": {"clock": "virtual"}, "instance": [{"name": "a"}, {"name": "b"}]}

@pytest.mark.comfy_farm(config=CONFIG, verdict="pass")
@pytest_twisted.ensureDeferred
async def test_twice(twisted_farm):
    farm = await twisted_farm()
    for name in ("a", "b"):
        await farm[name].client.submit(text_to_image(), extra_data={"comfyfarm_job": "barn"})
    await farm.assert_all_finished(within="1min")
    await farm.assert_nothing_ran_twice()
"""
JUDGED = HEAD + """
@pytest.mark.comfy_farm(config=TWO, verdict="pass")
@pytest.mark.parametrize("twice", [False, True])
def test_one(memory_farm, twice):
    farm = memory_farm()
    for on in ("gpu-1", "gpu-2")[: 1 + twice]:
        send(farm, "barn", on)
    farm.run_until_idle()

@pytest.mark.comfy_farm(config=TWO, verdict="fail")
def test_what_is_meant_to_fail(memory_farm):
    farm = memory_farm()
    send(farm, "barn"), send(farm, "barn", "gpu-2")
    farm.run_until_idle()

@pytest.mark.comfy_farm(verdict="pass")
def test_each_farm_is_judged(memory_farm):
    first, second = memory_farm(TWO), memory_farm(TWO)
    send(first, "barn")
    first.run_until_idle()
    send(second, "barn")

@pytest.mark.comfy_farm(config=TWO, verdict="pass")
def test_its_own_failure_comes_first(memory_farm):
    send(memory_farm(), "barn")
    assert 1 == 2
"""
EXPECTED = HEAD + """
pytestmark = pytest.mark.comfy_farm(config=TWO, no=["contradicted"])

def run(farm, *jobs):
    for job in jobs:
        send(farm, job)
    farm.run_until_idle()

@pytest.mark.comfy_farm(jobs=2, verdict="pass")
def test_both_come(memory_farm):
    run(memory_farm(), "barn", "boat")

@pytest.mark.comfy_farm(jobs=2)
def test_one_is_missing(memory_farm):
    run(memory_farm(), "barn")

@pytest.mark.comfy_farm(jobs=1, verdict="pass")
def test_all_three_are_wrong(memory_farm):
    farm = memory_farm()
    send(farm, "barn"), send(farm, "boat"), send(farm, "barn", "gpu-2")
    farm.run_until_idle()
    farm.order("boat").failed()

@pytest.mark.comfy_farm(no=[], jobs=0)
def test_none_shall_come(memory_farm):
    memory_farm()

@pytest.mark.comfy_farm(verdict="pass")
def test_a_wrong_url_is_no_pass(memory_farm):
    memory_farm()
"""
WARNED = HEAD + """
def run(farm, *jobs):
    "Tell the users of all but the first that it failed."
    for job in jobs:
        send(farm, job)
    farm.run_until_idle()
    for job in jobs[1:]:
        farm.order(job).failed()

def test_good(memory_farm):
    run(memory_farm(TWO), "barn")

def test_warned(memory_farm):
    run(memory_farm(TWO), "barn", "boat", "house")
    run(memory_farm(TWO), "tree", "bush")

@pytest.mark.comfy_farm(verdict="pass")
def test_warned_too(memory_farm):
    run(memory_farm(TWO), "barn", "boat")

def test_that_fails(memory_farm):
    run(memory_farm(TWO), "barn", "boat")
    assert 1 == 2

def test_of_something_else():
    pass
"""
REPEATED = HEAD + """
@pytest.mark.comfy_farm(verdict="pass")
def test_with_both(memory_farm):
    first, second = memory_farm(TWO), memory_farm(TWO)
    for farm in (first, second):
        send(farm, "barn"), send(farm, "barn", "gpu-2")
        farm.run_until_idle()
    first.assert_verdict("pass")
"""
BAD = """
@pytest.mark.comfy_farm({marker})
def test_{number}({fixture}):
    raise AssertionError("was called")
"""
CONFIG = 'config={"instance": [{"name": "gpu-1"}]}'
WRONG = [     # the marker, a fixture of the test, and what is said about it
    (f"{CONFIG}, sed=1", "memory_farm", "sed: unknown argument (there are: config, *, jobs, no)"),
    (f"{CONFIG}, sed=1", "tmp_path", "sed: unknown argument *"),
    ('"farm.toml"', "memory_farm", "expected config=..., seed=..., *, no=... only"),
    (f'{CONFIG}, scenario="F99"', "comfy_farm", "scenario: there is no incident 'F99' (there are: F01, *"),
    ('scenario="F99"', "comfy_farm", "scenario: there is no incident 'F99' *"),
    ("scenario=8", "comfy_farm", "scenario: expected an incident's id or a table, got int"),
    ('config={"instance": [{"sped": 1}]}', "comfy_farm", "instance?0?.sped: unknown key"),
    ('config="nowhere.toml"', "memory_farm", "nowhere.toml: No such file or directory"),
    ("config=3", "memory_farm", "config: expected a path, a dictionary or TOML text, got int"),
    ('config={"instance": [{"input": "no.png"}]}', "memory_farm", "*instance?0?.input: *no.png: No such file*"),
    ('config={"instance": [{"input": "no.png"}]}', "comfy_farm", "*the end of its log:"),
    ('faults=[{"do": "explode", "at": "step"}]', "comfy_farm", "faults?0?.do: expected one of *, got 'explode'"),
    (f'{CONFIG}, faults=[{{"do": "hang", "at": "step", "on": "b"}}]', "comfy_farm", "*'b' matches no instance *"),
    ('faults={"do": "hang"}', "comfy_farm", "faults: expected a list of tables, got dict"),
    ('verdict="passed"', "memory_farm", "there is no verdict 'passed' (there are: pass, fail, unknown)"),
    ("seed=True", "memory_farm", "seed: expected int, got bool"),
    ("jobs=-1", "memory_farm", "jobs: expected the number of logical jobs, got -1"),
    ('jobs="12"', "memory_farm", "jobs: expected the number of logical jobs, got '12'"),
    ('jobs=0, verdict="pass"', "memory_farm", "jobs: without a job the verdict is never pass"),
    ('no="orphaned"', "memory_farm", "no: expected a list of names of findings, got str"),
    ("no=[3]", "memory_farm", "no: expected names of findings, got int"),
    ('no=["orphans"]', "memory_farm", "there is no finding 'orphans' (there are: *"),
]
SEVERAL = HEAD + """
TWELVE = [
    {"do": "status", "status": 503, "at": "submit", "on": "gpu-1", "times": 1},
    *({"do": "error", "at": "node", "on": "gpu-3", "skip": n} for n in range(4)),
    {"do": "slow", "factor": 2.0, "at": "step", "chance": 0.5},
    {"do": "crash", "at": "step", "on": "gpu-2", "times": 1, "restart_after": "5s"},
    *({"do": "delay", "duration": "1s", "at": "frame", "on": "gpu-1", "skip": n} for n in range(5)),
]

@pytest.fixture
def counted():
    with open("counted", "a") as lines:
        print("up", file=lines)
    yield
    with open("counted", "a") as lines:
        print("down", file=lines)

@pytest.fixture(scope="module")
def shared():
    with open("shared", "a") as lines:
        print("up", file=lines)
    yield
    with open("shared", "a") as lines:
        print("down", file=lines)
"""
SHRUNK = SEVERAL + """
@pytest.mark.comfy_farm(config='[[instance]]\\nname = "gpu-{n}"\\ncount = 3', faults=TWELVE, verdict="pass")
def test_the_second_one_is_not_minded(memory_farm, counted, shared, tmp_path, capsys):
    (tmp_path / "fresh").mkdir()
    farm = memory_farm()
    print("said once")
    if send(farm, "barn").status == 503:
        send(farm, "barn", "gpu-2")
    farm.advance("2min")

@pytest.mark.comfy_farm(config=TWO, faults=[{"do": "slow", "factor": 2.0, "at": "step"}])
def test_that_fails_anyhow(memory_farm, shared):
    memory_farm()
    assert 1 == 2

@pytest.mark.comfy_farm(config=TWO, faults=[{"do": "slow", "factor": 2.0, "at": "step"}])
def test_that_fails_once(memory_farm, shared):
    memory_farm()
    import pathlib
    first = not pathlib.Path("there").exists()
    pathlib.Path("there").touch()
    assert not first

@pytest.mark.comfy_farm(config=TWO, faults=[{"do": "slow", "factor": 2.0, "at": "step"}])
def test_that_passes(memory_farm, shared):
    memory_farm()

def test_of_something_else(shared):
    pass

BUSY = [{"do": "status", "status": 503, "at": "submit", "on": name} for name in ("gpu-1", "gpu-2")]

@pytest.mark.comfy_farm(config=TWO, faults=BUSY)
def test_of_which_each_line_is_another_failure(memory_farm):
    farm = memory_farm()
    first, second = send(farm, "a").status, send(farm, "b", "gpu-2").status
    assert first == 503
    assert second != 503
"""
GONE = """
import pytest

def test_it(comfy_farm):
    farm = comfy_farm({})
    farm.stop()
    assert 1 == 2

@pytest.mark.comfy_farm(verdict="pass")
def test_that_stops_it(comfy_farm):
    comfy_farm().stop()
"""
CHILDREN = """
import pytest
from comfyfarm.clients import SyncComfyClient
from comfyfarm.workflows import text_to_image

FAULTS = [
    {"do": "slow", "factor": 2.0, "at": "step"},
    {"do": "status", "status": 503, "at": "submit", "times": 1},
]

@pytest.mark.comfy_farm(config={"instance": [{"name": "gpu-1"}]}, faults=FAULTS)
def test_it(comfy_farm):
    farm = comfy_farm()
    with open("children", "a") as lines:
        print(farm._child.pid, farm.control.state().seed, file=lines)
    SyncComfyClient(farm.url).submit_workflow(text_to_image())
"""

TRIALS = HEAD + """
CONFIG = {"farm": {"clock": "virtual"}, "instance": [{"name": "gpu-1"}, {"name": "gpu-2"}]}

@pytest.mark.comfy_farm(config=CONFIG, jobs=1, delivery="none", verdict="pass")
def test_the_marker(memory_farm, request):
    from comfyfarm.events import TrialBegan

    farm = memory_farm()
    send(farm, "barn")
    farm.run_until_idle()
    assert farm.verdict().trial == request.node.nodeid
    (began,) = farm.farm.log.of(TrialBegan)
    assert (began.jobs, began.delivery) == (1, "none")

@pytest.mark.comfy_farm(delivery="mail")
def test_another_way(memory_farm):
    pass

@pytest.mark.comfy_farm(config=CONFIG, jobs=1)
def test_a_child(comfy_farm, request):
    from comfyfarm.clients import SyncComfyClient

    farm = comfy_farm()
    client = SyncComfyClient(farm["gpu-1"].url)
    client.submit_workflow(text_to_image())
    farm.trial("next")
    client.submit_workflow(text_to_image())
    farm.run_until_idle()
    assert farm.verdict(trial=request.node.nodeid).jobs == farm.verdict().jobs == 1
    assert [len(journal.requests(route="/prompt")) for journal in [farm.log]] == [1]

@pytest.mark.parametrize("number", [1, 2])
def test_one_server_for_all(mock_comfyui_client, mock_comfyui_config, _mock_comfyui_farm, request, number):
    mock_comfyui_client.submit_workflow(text_to_image())
    verdict = _mock_comfyui_farm.verdict()
    assert (verdict.trial, verdict.jobs) == (request.node.nodeid, 1)
"""


@pytest.fixture
def run(pytester: pytest.Pytester, request: pytest.FixtureRequest) -> Run:
    """Run a suite in a process of its own, as a user would."""
    installed = request.config.pluginmanager.hasplugin("comfyfarm")
    plugin = [] if installed else ["-p", "comfyfarm.pytest_plugin"]

    def run(suite: str, *options: str) -> pytest.RunResult:
        pytester.makepyfile(test_suite=suite)
        return pytester.runpytest_subprocess("--strict-markers", "-p", "no:cacheprovider", *plugin, *options)

    return run


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def warnings(result: pytest.RunResult) -> list[str]:
    """The lines of the terminal summary about warnings."""
    return [line for line in result.outlines if re.match("test_suite.py::[^ ]+: contradicted: ", line)]


def section(result: pytest.RunResult, title: str) -> list[str]:
    """The lines of the first section of that title."""
    lines = result.outlines
    begin = next(index for index, line in enumerate(lines) if re.fullmatch(f"-+ {title} -+", line))
    ends = (index for index, line in enumerate(lines) if index > begin and re.match("[-_=]{3,}.*[-_=]{3,}$", line))
    return lines[begin + 1 : next(ends)]


def test_farms_are_made_of_what_the_marker_says(run: Run) -> None:
    """A test's own over its module's, key by key, over whatever configuration is given."""
    run(MADE_OF).assert_outcomes(passed=4)


def test_each_test_begins_a_trial_of_its_own(run: Run) -> None:
    """With what its marker says of the jobs and of how they are delivered; also on the server of the session."""
    result = run(TRIALS)
    result.assert_outcomes(passed=4, errors=1)
    result.stdout.fnmatch_lines(["*delivery: expected one of 'http', 'told', 'folder', 'none', got 'mail'"])


def test_each_farm_must_be_what_the_marker_says(run: Run) -> None:
    """At the end of the test; and the test fails, not what comes behind it."""
    result = run(JUDGED)
    result.assert_outcomes(passed=2, failed=3)
    result.stdout.fnmatch_lines([
        "*@pytest.mark.comfy_farm: not so: the verdict is pass (at *; the verdict is fail)*",
        "*error ran_twice: barn ran 2 times to its end, on gpu-1 at*",
    ])
    result.stdout.fnmatch_lines(["*the verdict is unknown)*", "*unknown unfinished: barn still runs on gpu-1*"])
    result.stdout.fnmatch_lines(["*assert 1 == 2*"])


def test_the_number_of_jobs_and_the_absence_of_findings_can_be_expected(run: Run) -> None:
    """All that the marker expects stands in one sentence, with what came instead."""
    result = run(EXPECTED)
    result.assert_outcomes(passed=2, failed=3)
    result.stdout.fnmatch_lines([
        "*: not so: 2 jobs came, and there is no contradicted (at *; 1 job came; the verdict is unknown)",
        "*: not so: 1 job came, and the verdict is pass, and there is no contradicted (at *; 2 jobs came; *is fail)",
        "    error ran_twice: *",
        "    warning contradicted: The user of boat *",
        "*: not so: the verdict is pass, and there is no contradicted (at *; the verdict is unknown)",
        "    unknown no_job: No job came: no request came at all *",
    ])


def test_a_failed_test_tells_what_its_farm_knows(run: Run) -> None:
    """Verdict, findings, seed and how to repeat it, and what each instance did when."""
    result = run(JUDGED, "-k", "own_failure", "--comfy-seed", "23")
    lines = section(result, "comfyfarm")
    summary = "1 order by what was sent: 0 delivered; 1 attempt, 0 jobs succeeded"
    assert lines[0].startswith(f"verdict: unknown ({summary}; at ")
    assert lines[1].startswith("    unknown unfinished: barn still runs on gpu-1")
    assert "seed: 23 (again: pytest test_suite.py::test_its_own_failure_comes_first --comfy-seed 23)" in lines
    rows = [line.split()[0] for line in lines[lines.index("timeline:") :] if line.startswith("gpu")]
    assert rows == ["gpu-1", "gpu-2"]


@pytest.mark.parametrize(("suite", "which"), [(REPEATED, "both"), (JUDGED, "test_one and True"), (TWISTED, "twice")])
def test_what_the_message_of_a_failed_test_says_is_not_said_again(run: Run, suite: str, which: str) -> None:
    """Neither that of an assertion nor that of the marker; of a test's other farms everything is said."""
    result = run(suite, "-k", which)
    text = result.stdout.str().partition("short test summary info")[0]     # whose lines are whole where CI is set
    farms = 2 if suite == REPEATED else 1
    assert text.count(" comfyfarm ---") + text.count(" comfyfarm, farm ") == farms
    assert text.count("error ran_twice: barn ran 2 times") == farms
    assert len(re.findall("A barn", text)) == farms     # the timelines' keys
    last = section(result, "comfyfarm, farm 2 of 2" if farms == 2 else "comfyfarm")
    assert last[0].startswith("verdict: fail")
    assert ("timeline:" in last) is (farms == 2)


def test_warnings_are_shown_although_all_tests_pass(run: Run) -> None:
    """A line for each test and finding."""
    result = run(WARNED)
    result.assert_outcomes(passed=4, failed=1)
    result.stdout.fnmatch_lines([
        "=* comfyfarm: warnings of tests that passed =*",
        "test_suite.py::test_warned: contradicted: The user of boat *(and 2 more)",
        "test_suite.py::test_warned_too: contradicted: The user of boat *",
    ])
    assert len(warnings(result)) == 2


def test_workers_of_xdist_show_warnings_too(run: Run) -> None:
    assert len(warnings(run(WARNED, "-n", "2"))) == 2


def test_without_warnings_there_is_no_section_for_them(run: Run) -> None:
    run(WARNED, "-k", "good or else").stdout.no_fnmatch_line("*comfyfarm: warnings*")


def test_each_farm_has_its_own_section_and_page(run: Run, pytester: pytest.Pytester) -> None:
    """Named after the test."""
    result = run(JUDGED, "-k", "each_farm", "--comfy-report", "pages")
    assert section(result, "comfyfarm, farm 1 of 2")[0].startswith("verdict: pass")
    assert section(result, "comfyfarm, farm 2 of 2")[0].startswith("verdict: unknown")
    pages = sorted((pytester.path / "pages").iterdir())
    assert [page.name for page in pages] == [
        "test_suite.py-test_each_farm_is_judged-2.html",
        "test_suite.py-test_each_farm_is_judged.html",
    ]
    assert all("<svg" in page.read_text() for page in pages)
    result.stdout.fnmatch_lines([f"report: {pages[1]}", f"report: {pages[0]}"])


def test_a_folder_that_takes_no_page_costs_nothing_else(run: Run, pytester: pytest.Pytester) -> None:
    (pytester.path / "pages").touch()
    result = run(JUDGED, "-k", "test_one and True", "--comfy-report", "pages")
    lines = section(result, "comfyfarm")
    assert lines[0].startswith("verdict: fail")
    assert lines[-1].startswith("report: could not be written: ")


def test_a_good_test_writes_nothing(run: Run, pytester: pytest.Pytester) -> None:
    result = run(JUDGED, "-k", "test_one and False", "--comfy-report", "pages")
    result.assert_outcomes(passed=1, deselected=4)
    assert not (pytester.path / "pages").exists()


def test_twisted_tests_are_judged_and_told_of_too(run: Run) -> None:
    """Under pytest-twisted, by assertions that are awaited."""
    result = run(TWISTED)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*not so: nothing ran twice*", "*error ran_twice: barn ran 2 times*"])
    assert section(result, "comfyfarm")[0].startswith("verdict: fail")


def test_what_the_marker_gets_wrong_is_wrong_with_the_set_up(run: Run) -> None:
    """In the farm's own words, and without its innards; the test itself is not called."""
    tests = [BAD.format(marker=marker, fixture=fixture, number=n) for n, (marker, fixture, _) in enumerate(WRONG)]
    result = run("import pytest\n" + "\n".join(tests))
    result.assert_outcomes(errors=len(WRONG))
    for number, (_, _, says) in enumerate(WRONG):
        at = next(n for n, line in enumerate(result.outlines) if re.search(f"ERROR at setup of test_{number} ", line))
        assert fnmatch(result.outlines[at + 1], f"@pytest.mark.comfy_farm: {says}")
    result.stdout.no_fnmatch_line("*was called*")


def test_the_marker_is_registered(run: Run) -> None:
    run("", "--markers").stdout.fnmatch_lines(["@pytest.mark.comfy_farm(config=None, seed=None, *"])


def test_of_twelve_faults_the_two_that_matter_are_left(run: Run, pytester: pytest.Pytester) -> None:
    """Each run has its fixtures set up and torn down, and only the first one is reported."""
    result = run(SHRUNK, "--comfy-shrink", "-k", "not_minded or something_else")
    result.assert_outcomes(passed=1, failed=1, deselected=4)
    lines = section(result, "comfyfarm, the smallest set of faults")
    assert re.fullmatch(r"2 of 12 faults are enough to make it fail so \(\d+ runs, seed 0\):", lines[0])
    text = "\n".join(lines[1:])
    assert re.findall(r'^do = "(.*)"$', text, re.MULTILINE) == ["status", "crash"]
    assert text.count("[[fault]]") == 2
    result.stdout.fnmatch_lines(["    error lost: barn was accepted by gpu-2*"])
    runs = int(re.findall(r"\((\d+) runs", lines[0])[0])
    assert (pytester.path / "counted").read_text().split() == ["up", "down"] * (runs + 1)
    assert (pytester.path / "shared").read_text().split() == ["up", "down"]
    assert len(re.findall("said once", result.stdout.str())) <= 2     # in the test's source, and what it printed


def test_without_the_option_a_test_is_run_once(run: Run, pytester: pytest.Pytester) -> None:
    run(SHRUNK, "-k", "not_minded").assert_outcomes(failed=1, deselected=5)
    assert (pytester.path / "counted").read_text().split() == ["up", "down"]


def test_faults_that_do_not_matter_are_said_not_to(run: Run) -> None:
    """And a test that fails only now and then is not shrunk to nonsense."""
    result = run(SHRUNK, "--comfy-shrink", "-k", "that")
    result.assert_outcomes(failed=2, passed=1, deselected=3)
    result.stdout.fnmatch_lines(["the test fails so without any of its 1 faults (2 runs, seed 0)"])
    result.stdout.fnmatch_lines(["not found: with the same 1 faults and seed 0 the test did not fail so again"])


def test_to_fail_in_another_line_is_another_failure(run: Run) -> None:
    """Without the first fault the test fails too, but not for the same reason."""
    result = run(SHRUNK, "--comfy-shrink", "-k", "another_failure")
    result.assert_outcomes(failed=1, deselected=5)
    assert section(result, "comfyfarm, the smallest set of faults")[0].startswith("2 of 2 faults are enough")


def test_no_child_is_left_behind_by_the_runs(run: Run, pytester: pytest.Pytester) -> None:
    """And a seed that was drawn stays the same."""
    result = run(CHILDREN, "--comfy-shrink", "-p", "no:twisted")
    result.assert_outcomes(failed=1)
    lines = section(result, "comfyfarm, the smallest set of faults")
    assert lines[0].startswith("1 of 2 faults is enough")
    assert 'id = "test-status-2"' in lines
    seen = [line.split() for line in (pytester.path / "children").read_text().splitlines()]
    (seed,) = {seed for _, seed in seen}
    assert lines[0].endswith(f" runs, seed {seed}):")
    pids = [int(pid) for pid, _ in seen]
    assert len(pids) == len(set(pids)) >= 4
    assert not any(map(is_alive, pids))


def test_workers_of_xdist_tell_the_same(run: Run, pytester: pytest.Pytester) -> None:
    """Options reach them, and sections come back."""
    result = run(SHRUNK, "-n", "2", "--comfy-shrink", "--comfy-report", "pages", "-k", "not_minded or something")
    result.assert_outcomes(passed=1, failed=1)
    assert section(result, "comfyfarm, the smallest set of faults")[0].startswith("2 of 12 faults")
    (page,) = (pytester.path / "pages").iterdir()
    assert "test-slow-6" in page.read_text()        # of the first run, with all its faults


def test_a_farm_that_is_gone_is_said_to_be(run: Run) -> None:
    """The test's own error counts; and what cannot be judged has not passed."""
    result = run(GONE)
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*assert 1 == 2*", "the farm can tell no more: *"])
    result.stdout.fnmatch_lines(["@pytest.mark.comfy_farm: a farm that is gone cannot be judged: *refused*"])
