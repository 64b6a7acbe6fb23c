"""Farms for tests (in a child process, in the test's reactor, or in memory), and queries of their journals.

Most farms are made by the fixtures (docs/testing.md).  The modules of this package are internal.
"""

from typing import TYPE_CHECKING

from comfyfarm import lazy_exports

if TYPE_CHECKING:
    from comfyfarm.analysis.event_query import frame as frame
    from comfyfarm.analysis.event_query import happened as happened
    from comfyfarm.analysis.event_query import request as request
    from comfyfarm.config.decoding import ConfigError as ConfigError
    from comfyfarm.events.stamp import Stamp as Stamp
    from comfyfarm.server.media.stamps import read_stamp as read_stamp
    from comfyfarm.testing.async_farm import AsyncRemoteFarm as AsyncRemoteFarm
    from comfyfarm.testing.async_farm import AsyncRunningFarm as AsyncRunningFarm
    from comfyfarm.testing.async_farm import attach_async_farm as attach_async_farm
    from comfyfarm.testing.async_farm import run_async_farm as run_async_farm
    from comfyfarm.testing.child import FarmDied as FarmDied
    from comfyfarm.testing.child import RunningFarm as RunningFarm
    from comfyfarm.testing.child import ServedInstance as ServedInstance
    from comfyfarm.testing.child import run_farm as run_farm
    from comfyfarm.testing.child import start_mock_server as start_mock_server
    from comfyfarm.testing.expectations import ExpectationFailed as ExpectationFailed
    from comfyfarm.testing.in_process import as_config as as_config
    from comfyfarm.testing.listener import Listener as Listener
    from comfyfarm.testing.memory_client import Reply as Reply
    from comfyfarm.testing.memory_farm import MemoryFarm as MemoryFarm
    from comfyfarm.testing.memory_farm import MemoryInstance as MemoryInstance
    from comfyfarm.testing.memory_farm import check_config as check_config
    from comfyfarm.testing.remote import RemoteFarm as RemoteFarm
    from comfyfarm.testing.remote import attach_farm as attach_farm
    from comfyfarm.testing.twisted_farm import TwistedFarm as TwistedFarm
    from comfyfarm.testing.twisted_farm import TwistedInstance as TwistedInstance
else:
    __all__, __getattr__ = lazy_exports(
        __name__,
        {
            "analysis.event_query": ["frame", "happened", "request"],
            "config.decoding": ["ConfigError"],
            "events.stamp": ["Stamp"],
            "server.media.stamps": ["read_stamp"],
            "testing.async_farm": [
                "AsyncRemoteFarm", "AsyncRunningFarm", "attach_async_farm", "run_async_farm",
            ],
            "testing.child": ["FarmDied", "RunningFarm", "ServedInstance", "run_farm", "start_mock_server"],
            "testing.expectations": ["ExpectationFailed"],
            "testing.in_process": ["as_config"],
            "testing.listener": ["Listener"],
            "testing.memory_client": ["Reply"],
            "testing.memory_farm": ["MemoryFarm", "MemoryInstance", "check_config"],
            "testing.remote": ["RemoteFarm", "attach_farm"],
            "testing.twisted_farm": ["TwistedFarm", "TwistedInstance"],
        },
    )
