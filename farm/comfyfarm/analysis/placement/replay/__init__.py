"""A replay of the recorded work under other policies, for comparison."""
