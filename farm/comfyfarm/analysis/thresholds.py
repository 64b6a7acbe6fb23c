"""The thresholds of the verdict, and durations as plain numbers."""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from comfyfarm.units import Duration

_Count = Annotated[int, msgspec.Meta(ge=0)]


class Thresholds(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The limits that findings depend on; durations in simulated time.

    :ivar liveness: after a heal, every job must end within this time.
    :ivar reaction: the time that a client has to resend a job that was lost or not accepted, to take or deliver a
        result, or to tell its user of a failure.
    :ivar tries: attempts that a client must make before it may give up.
    :ivar retries: the most attempts of one logical job.
    :ivar backoff: the least time between a failed attempt and the next one of the same logical job.
    :ivar quick_retries: how many retries in a row may come sooner than that.
    :ivar polls: the most GETs of state (queue, history, jobs, stats) for each accepted job, on average.
    :ivar poll_size_bytes: the most bytes in their answers for each accepted job, on average.
    :ivar kills: how many processes may crash while they run one logical job.
    :ivar failures: how many submissions in a row may fail at one instance while another is available.
    :ivar wire: a request that arrived no later than this after an announcement was under way when that was made.
    :ivar lag: a lateness of the farm itself that excuses nobody.
    :ivar failed_jobs: how many jobs in a row may end in an error at one instance while others succeed.
    """

    liveness: Duration = Duration(600_000)
    reaction: Duration = Duration(30_000)
    tries: _Count = 3
    retries: _Count = 10
    backoff: Duration = Duration(100)
    quick_retries: _Count = 2
    polls: _Count = 200
    poll_size_bytes: _Count = 4 * 1024 * 1024
    kills: _Count = 2
    failures: _Count = 5
    wire: Duration = Duration(50)
    lag: Duration = Duration(500)
    failed_jobs: _Count = 5


def as_table(kind: type[msgspec.Struct], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Convert keyword arguments to the form of a configuration: a number for a duration means seconds.

    :param kind: the Struct that the arguments are for; keys that it lacks stay unchanged.
    """
    durations = {field.name for field in msgspec.structs.fields(kind) if field.type is Duration}
    return {key: _as_milliseconds(value) if key in durations else value for key, value in arguments.items()}


def _as_milliseconds(value: Any) -> Any:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return f"{round(value * 1000)}ms" if is_number else value
