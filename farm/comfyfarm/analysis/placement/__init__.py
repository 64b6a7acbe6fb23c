"""Placement: the state of the farm at each dispatch, and the measures computed from it (docs/placement.md)."""
