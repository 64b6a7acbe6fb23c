"""Clients of a ComfyUI, and of the farm's control API."""
