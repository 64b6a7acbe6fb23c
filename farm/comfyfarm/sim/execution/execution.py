"""The execution of one job, as a generator that pauses wherever simulated time passes.

``Execution.run`` yields how long to wait.  Whatever has changed when it is resumed (an interrupt, a setting) takes
effect there.  What happens is published as events.  Each part uses those on its right::

    Execution --> NodeRunner --> JobFaults --> JobNodes --> JobResults
    the order     one node  |    for faults  | what each    what each
    of nodes                |                | node is      has made
                            +--> JobRecord --+
                                 for clients: events and history
"""

from collections.abc import Callable, Generator, Iterable
from dataclasses import InitVar, dataclass, field

from comfyfarm.events import WorkerDied
from comfyfarm.faults.pauses import WAIT, Pause, Steps
from comfyfarm.sim.durations import JobDurations
from comfyfarm.sim.execution.job_faults import JobFaults
from comfyfarm.sim.execution.job_nodes import JobNodes
from comfyfarm.sim.execution.job_record import JobRecord
from comfyfarm.sim.execution.job_results import JobResults
from comfyfarm.sim.execution.node_runner import NodeRunner, Stopped
from comfyfarm.sim.jobs import HistoryEntry, Job
from comfyfarm.sim.machine import Machine
from comfyfarm.sim.nodes import NodeError
from comfyfarm.sim.nodes.constants import undeclared_links
from comfyfarm.sim.prompt.workflow import ExecutionOrder


@dataclass(eq=False)
class Execution:
    """The execution of one job on one machine.

    :param later: calls a function after a time in milliseconds.
    """

    job: Job
    machine: Machine
    later: InitVar[Callable[[int, Callable[[], None]], None]]
    results: JobResults = field(init=False)
    nodes: JobNodes = field(init=False)
    durations: JobDurations = field(init=False)
    faults: JobFaults = field(init=False)
    record: JobRecord = field(init=False)

    def __post_init__(self, later: Callable[[int, Callable[[], None]], None]) -> None:
        job, machine, entry = self.job, self.machine, HistoryEntry(self.job)
        self.results = JobResults(machine)
        self.nodes = JobNodes(job, machine, self.results)
        self.durations = JobDurations(machine, job.prompt_id)
        self.faults = JobFaults(job, machine, self.nodes, self.durations, entry, later)
        self.record = JobRecord(job, machine, self.nodes, entry)

    def run(self) -> Generator[Pause, None, None]:
        """Run all nodes that the outputs need, in order; when it ends, the history entry is complete."""
        record, results = self.record, self.results
        try:
            try:
                runner, order = yield from self._start()
                while (node := order.next()) is not None:
                    if results.has(node):
                        record.finish_node(node, results.by_node[node], cached=True)
                        yield 0
                    elif (source := (yield from runner.run(node))) is not None:
                        order.wait_for(node, source)
                        continue
                    order.finish(node)
                record.keep_cached_outputs()
                yield from self.faults.fire("success")
                record.succeed()
            except Stopped:
                record.interrupt()
            except NodeError as error:
                record.fail(error)
            yield from self.faults.fire("history")
        finally:
            self.faults.release()

    def _start(self) -> Generator[Pause, None, tuple[NodeRunner, ExecutionOrder]]:
        yield from self.nodes.look_at_prompt()
        yield from self.results.find_cached(self.job.prompt)
        runner = NodeRunner(self.job, self.machine, self.nodes, self.durations, self.faults, self.record)
        yield from self.faults.fire("start")
        self.record.start()
        order = self._order()
        yield from self._die_of_dead_link(order.nodes)
        return runner, order

    def _order(self) -> ExecutionOrder:
        nodes, results = self.nodes, self.results
        shown = {node for node in results.cached if results.by_node[node].ui is not None and nodes.shows_again(node)}
        # Nodes that others put in their place while the job runs are none of the order's.
        return ExecutionOrder(dict(nodes.links), self.job.outputs, nodes.showing, results.cached, shown, nodes.lazy)

    def _die_of_dead_link(self, nodes: Iterable[str]) -> Steps:
        """Wait for ever if ComfyUI's worker ends here: validation does not look at links of undeclared inputs."""
        prompt, links, types = self.job.prompt, self.nodes.links, self.nodes.types
        for node in nodes if self.machine.catalogue.validation != "off" else ():
            for name in undeclared_links(types[node], prompt[node].get("inputs", {}), links[node]):
                if (missing := links[node][name][0]) not in prompt:
                    self.record.publish(WorkerDied, node=missing)
                    while True:
                        yield WAIT
