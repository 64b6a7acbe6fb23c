"""What the farm's events add up to: pure, and true of a live farm and of a saved log alike."""
