"""The farm for asyncio has all that the blocking one has."""

import inspect

import pytest

from comfyfarm.testing.assertions import Order
from comfyfarm.testing.async_farm import AsyncFault, AsyncGate, AsyncOrder, AsyncRemoteFarm, AsyncRunningFarm
from comfyfarm.testing.child import RunningFarm
from comfyfarm.testing.remote import RemoteFarm, RemoteFault, RemoteGate

FOR_THE_PLUGIN = {"evidence"}       # which judges when the loop has ended
ATTRIBUTES = {"control"}            # set by __init__


def public(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")} - FOR_THE_PLUGIN


@pytest.mark.parametrize(
    ("blocking", "awaited"),
    [
        (RemoteFarm, AsyncRemoteFarm),
        (RunningFarm, AsyncRunningFarm),
        (Order, AsyncOrder),
        (RemoteFault, AsyncFault),
        (RemoteGate, AsyncGate),
    ],
)
def test_all_that_a_user_knows_from_the_blocking_farm_is_there_under_the_same_name(
    blocking: type, awaited: type
) -> None:
    assert public(blocking) - public(awaited) - ATTRIBUTES == set()


@pytest.mark.parametrize("name", sorted(public(RemoteFarm) & public(AsyncRemoteFarm)))
def test_a_method_takes_the_same_arguments(name: str) -> None:
    blocking, awaited = getattr(RemoteFarm, name), getattr(AsyncRemoteFarm, name)
    if callable(blocking):
        assert [*inspect.signature(blocking).parameters] == [*inspect.signature(awaited).parameters]
