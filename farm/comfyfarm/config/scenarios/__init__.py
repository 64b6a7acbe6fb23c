"""Scenarios, and the catalogue of incidents: what really broke between clients and ComfyUI servers, a file each."""

from comfyfarm.config.scenarios.incidents import Incident, UnknownIncident, find_incident, incidents

__all__ = ["Incident", "UnknownIncident", "find_incident", "incidents"]
