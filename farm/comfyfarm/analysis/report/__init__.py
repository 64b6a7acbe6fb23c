"""The report of a run: one self-contained HTML page with verdict, timeline, placement and faults."""
