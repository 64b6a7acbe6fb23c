"""The jobs API: queue and history as one list (of the family *queue*)."""

from __future__ import annotations

from typing import Any

from comfyfarm.conformance.families.queue import family
from comfyfarm.conformance.graphs import preview, save
from comfyfarm.conformance.visit import Session

_QUERIES = (
    "",
    "?limit=2",
    "?limit=2&offset=1",
    "?limit=2&offset=4",
    "?offset=99",
    "?offset=-1",
    "?sort_order=asc",
    "?status=completed",
    "?status=failed",
    "?status=failed,completed&limit=1",
    "?status=FAILED",
    "?status=,",
    "?status=pending",
    "?status=bogus",
    "?status=bogus,failed,other",
    "?limit=0",
    "?limit=-1",
    "?limit=abc",
    "?offset=abc",
    "?sort_by=bogus",
    "?sort_order=up",
    "?sort_by=CREATED_AT&sort_order=ASC",
)


@family.scenario_of_files
async def jobs_api_queries(visit: Session) -> None:
    """Filters, windows and orders of four jobs that went well and one that failed."""
    listener = await visit.listen()
    jobs = [await visit.run(preview(visit.fresh()), listener, quietly=True) for _ in range(4)]
    failed = await visit.run(save(f"../{visit.tag}", visit.fresh()), listener, quietly=True)
    for query in _QUERIES:
        await visit.ask(f"GET /api/jobs{query}", view=_ids)
    await visit.ask("GET /api/jobs?sort_by=execution_duration", view=lambda found: found["pagination"])
    for path in (f"/api/jobs/{jobs[0]}", f"/api/jobs/{failed}", "/api/jobs/nope", "/api/jobs/", "/jobs"):
        await visit.ask(f"GET {path}")


def _ids(found: dict[str, Any]) -> dict[str, Any]:
    """An answer with the ids of the jobs only; an error as it is."""
    return {**found, "jobs": [job["id"] for job in found["jobs"]]} if "jobs" in found else found


@family.scenario
async def jobs_cancel_routes(visit: Session) -> None:
    """Version 0.25 has no route to cancel a job."""
    await visit.ask("POST /api/jobs/nope/cancel", json={})
    await visit.ask("POST /api/jobs/cancel", json={"job_ids": []})
    await visit.ask("DELETE /api/jobs/nope")
