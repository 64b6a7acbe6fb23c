"""The pytest plugin in somebody else's project: what it imports, what it needs, and how it behaves in parallel."""

import subprocess
import sys

import pytest

pytest_plugins = ["pytester"]

LATE = """
import sys
import comfyfarm.pytest_plugin, comfyfarm.testing.plugin.servers, comfyfarm.testing.child
import comfyfarm.clients.comfy_sync, comfyfarm.workflows
early = sorted(name for name in sys.modules if name.split(".")[0] in ("twisted", "klein", "treq", "PIL"))
assert not early, early
"""
TWISTED = """
import sys

sys.modules["pytest_twisted"] = None    # as good as not installed

def test_twisted(twisted_farm):
    raise AssertionError("never reached")

def test_memory(memory_farm):
    assert memory_farm({})

def test_plain(mock_comfyui_url):
    assert mock_comfyui_url
"""
PARALLEL = """
import pytest
from comfyfarm.workflows import text_to_image

@pytest.mark.parametrize("seed", range(6))
def test_one(mock_comfyui_client_dynamic, mock_comfyui_config_dynamic, tmp_path_factory, worker_id, seed):
    client = mock_comfyui_client_dynamic
    assert client.get_history() == {}
    prompt_id = client.submit_workflow(text_to_image(seed=seed))
    client.wait_for_completion(prompt_id)
    (file,) = client.get_output_files(prompt_id)
    seen = tmp_path_factory.getbasetemp().parent / "seen"
    with seen.open("a") as lines:
        print(worker_id, mock_comfyui_config_dynamic.output_dir, file["filename"], file=lines)
"""


def plugin(request: pytest.FixtureRequest) -> list[str]:
    """What makes the plugin known where the project is on the path only, not installed."""
    return [] if request.config.pluginmanager.hasplugin("comfyfarm") else ["-p", "comfyfarm.pytest_plugin"]


def test_nothing_of_twisted_is_imported_early() -> None:
    """Else ``--reactor=`` would come too late, and users without Twisted would pay for it."""
    subprocess.run([sys.executable, "-c", LATE], check=True, timeout=30)


def test_without_pytest_twisted_only_the_twisted_fixture_fails(
    pytester: pytest.Pytester, request: pytest.FixtureRequest
) -> None:
    """And says what to install."""
    pytester.makepyfile(TWISTED)
    result = pytester.runpytest_subprocess("-p", "no:twisted", *plugin(request))
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*this fixture needs pytest-twisted: pip install 'comfyfarm?twisted?'*"])


def test_workers_of_xdist_do_not_meet(pytester: pytest.Pytester, request: pytest.FixtureRequest) -> None:
    """Each has a server of its own, and its files are gone when it ends."""
    pytester.makepyfile(PARALLEL)
    result = pytester.runpytest_subprocess("-n", "2", "--basetemp", str(pytester.path / "base"), *plugin(request))
    result.assert_outcomes(passed=6)
    seen = [line.split() for line in (pytester.path / "base" / "seen").read_text().splitlines()]
    folders = {worker: folder for worker, folder, _ in seen}
    assert len(set(folders.values())) == len(folders) == 2
    assert len({(folder, name) for _, folder, name in seen}) == 6
    assert not [folder for folder in folders.values() if pytester.path.joinpath(folder).exists()]
