"""Jobs that wait, run and have ended: the queue and the history."""
