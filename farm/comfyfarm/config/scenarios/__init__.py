"""The catalogue of incidents: what really broke between clients and ComfyUI servers, each as a scenario in a file."""

from __future__ import annotations

from comfyfarm.config.scenarios.incidents import Incident, UnknownIncident, find_incident, incidents

__all__ = ["Incident", "UnknownIncident", "find_incident", "incidents"]
