"""What the pytest plugin does beside its fixtures; nothing of it is imported before a test asks for a farm."""
