"""A replay of the recorded work under reference policies, for comparison."""
