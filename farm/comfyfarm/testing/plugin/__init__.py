"""The parts of the pytest plugin other than its fixtures; most are imported when a test first uses a farm."""
