"""The analysis of a farm's events: pure, and the same for a live farm and for a saved log."""
