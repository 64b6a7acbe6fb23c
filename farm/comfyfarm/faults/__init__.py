"""Faults, as pure values and state: what goes wrong on purpose (docs/faults.md).  :mod:`.fault` explains the model."""
