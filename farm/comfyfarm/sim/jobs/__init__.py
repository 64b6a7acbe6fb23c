"""The queue and the history of jobs."""
