"""What a process uses of the machine."""

import resource
import time
from pathlib import Path


def cpu_s(pid: int) -> float:
    """Return the CPU time of all threads of a process since its start, to the nanosecond."""
    return time.clock_gettime((~pid << 3) | 2)      # what clock_getcpuclockid(3) gives


def resident_bytes(pid: int) -> int:
    """Return how much memory of a process is in RAM."""
    return int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]) * resource.getpagesize()
