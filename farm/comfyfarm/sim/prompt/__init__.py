"""Parsing and validation of the body of ``POST /prompt``, before the job is queued."""
