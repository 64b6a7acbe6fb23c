"""A small load balancer for several ComfyUI servers, to be tested with comfyfarm; one that you may begin from, too."""

from .backend import Backend, Job, Rejected
from .dispatcher import Dispatcher, GaveUp, JobFailed, Result
from .naive import NaiveDispatcher, StaleQueue
from .policies import ModelAffine, Policy, RoundRobin, ShortestQueue

__all__ = [
    "Backend",
    "Dispatcher",
    "GaveUp",
    "Job",
    "JobFailed",
    "ModelAffine",
    "NaiveDispatcher",
    "Policy",
    "Rejected",
    "Result",
    "RoundRobin",
    "ShortestQueue",
    "StaleQueue",
]
