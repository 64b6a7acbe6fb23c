"""What goes wrong on purpose: where, at which phase, how often, until when (docs/faults.md).

Pure: whoever comes to a phase asks :meth:`~comfyfarm.faults.registry.InstanceFaults.verdict`, and lets what strikes
happen.
"""
