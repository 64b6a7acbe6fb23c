"""The catalogue of incidents: what really broke between clients and ComfyUI servers, each as a scenario in a file."""

from .reader import Incident, UnknownIncident, find_incident, incidents

__all__ = ["Incident", "UnknownIncident", "find_incident", "incidents"]
