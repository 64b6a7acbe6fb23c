"""The route of the metrics, for Prometheus."""

from comfyfarm.control.metrics import exposition
from comfyfarm.control.routing import Raw, route
from comfyfarm.control.schema import endpoints
from comfyfarm.server.farm import Farm
from comfyfarm.server.time.turns import in_turns


@route(endpoints.GET_METRICS)
async def get_metrics(farm: Farm) -> Raw:
    """Return the metrics of the farm and its instances, in Prometheus's text format.

    They are written in turns of the reactor, so that the instances are served meanwhile.
    """
    return Raw(await in_turns(farm.reactor, exposition(farm)), endpoints.METRICS)
