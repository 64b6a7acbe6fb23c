"""Simulated time in the reactor: clocks, timers, tasks."""
