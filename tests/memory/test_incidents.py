"""Every incident, staged: what a client sees of it, field by field."""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec
import pytest

from comfyfarm.config.scenarios import Incident, find_incident, incidents

pytest.register_assert_rewrite("tests.memory.incidents")

from tests.memory.incidents.table import CHECKS, Start  # noqa: E402 (its asserts shall say what they found)

for path in sorted((Path(__file__).parent / "incidents").glob("*.py")):
    import_module(f"tests.memory.incidents.{path.stem}")

NOTICED = (AssertionError, LookupError, OSError, TypeError, ValueError, pytest.fail.Exception)


def parts(incident: Incident) -> Iterator[tuple[str, Any]]:
    """All that is staged: the keys of settings, the numbers of faults and steps."""
    yield from (("settings", key) for key in incident.settings)
    yield from (("fault", index) for index in range(len(incident.fault)))
    yield from (("step", index) for index in range(len(incident.step)))


def without(incident: Incident, kind: str, which: Any) -> dict[str, Any]:
    """An incident as a scenario of one's own, with one part of it missing."""
    own: dict[str, Any] = msgspec.toml.decode(incident.as_own())["scenario"][0]
    own["name"] = incident.id
    del own[kind][which]
    return own


ALL_PARTS = [(incident.id, *part) for incident in incidents().values() for part in parts(incident)]


@pytest.mark.parametrize("incident_id", incidents())
def test_a_client_sees_the_incident(memory_farm: Start, incident_id: str) -> None:
    CHECKS[incident_id](memory_farm)


def test_no_check_is_of_an_unknown_incident() -> None:
    assert CHECKS.keys() <= incidents().keys()


@pytest.mark.parametrize(("incident_id", "kind", "which"), ALL_PARTS)
def test_no_part_of_a_staging_is_idle(memory_farm: Start, incident_id: str, kind: str, which: Any) -> None:
    """Where any fault, step or setting of an incident is missing, the check of it fails."""
    mutilated = without(find_incident(incident_id), kind, which)

    def start(config: Any) -> Any:
        assert config["scenario"] == [{"use": incident_id}]
        return memory_farm({**config, "scenario": [mutilated]})

    with pytest.raises(NOTICED):
        CHECKS[incident_id](start)
