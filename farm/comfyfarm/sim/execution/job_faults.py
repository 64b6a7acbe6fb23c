"""The running job as faults see it, and what they have done to it."""

from collections.abc import Callable
from dataclasses import dataclass, field

from comfyfarm.faults.fault import firing_in_order
from comfyfarm.faults.pauses import Hold, Steps
from comfyfarm.faults.phases import Phase, PhaseFacts
from comfyfarm.faults.targets import WrittenFile
from comfyfarm.sim.durations import JobDurations
from comfyfarm.sim.execution.job_nodes import JobNodes
from comfyfarm.sim.jobs import HistoryEntry, Job
from comfyfarm.sim.machine import Machine
from comfyfarm.sim.nodes import NodeError
from comfyfarm.sim.prompt.workflow import class_types, input_texts

_OUT_OF_MEMORY = (
    "This error means you ran out of memory on your GPU.\n\n"
    "TIPS: If the workflow worked before you might have accidentally set the batch_size to a large number."
)


@dataclass(eq=False)
class JobFaults:
    """The job of one execution as a :class:`~comfyfarm.faults.targets.RunningJob`.

    :ivar later: calls a function after a time in milliseconds.
    :ivar forget_after_ms: time from the job's end until its entry is dropped; ``None``: it stays.
    :ivar changes: what happens to each file of the save under way once it is written.
    :ivar name_again: the save under way overwrites the file before.
    """

    job: Job
    machine: Machine
    nodes: JobNodes
    durations: JobDurations
    entry: HistoryEntry
    later: Callable[[int, Callable[[], None]], None]
    forget_after_ms: int | None = None
    changes: list[Callable[[WrittenFile], None]] = field(default_factory=list)
    name_again: bool = False
    _deafening: list[Hold] = field(default_factory=list)

    def fire(self, phase: Phase, node: str | None = None, step: int = 0) -> Steps:
        """Apply the faults that fire at this phase; yield the firings that concern the whole process.

        :param node: ``None`` if the phase concerns the whole job.
        """
        faults = self.machine.faults
        if not faults.watches(phase):
            return
        with firing_in_order(faults.fire(phase, self._facts(node, step), self.machine.at_ms)) as firings:
            for firing in firings:
                if firing.fault.effect.is_for_process:
                    yield firing
                else:
                    yield from firing.fault.effect.on_job(self, firing)

    def fire_at_save(self, node: str) -> Steps:
        """Apply the faults that fire when a node has yet to write its files."""
        self.changes, self.name_again = [], False
        yield from self.fire("save", node)

    @property
    def is_deaf(self) -> bool:
        """True while the job ignores interrupts."""
        return any(hold.active for hold in self._deafening)

    def release(self) -> None:
        """Release all holds, because the job is over."""
        for hold in (*self.durations.slowed, *self._deafening):
            hold.active = False

    def _facts(self, node: str | None, step: int) -> PhaseFacts:
        nodes = self.job.prompt.values() if node is None else [self.nodes.values[node]]
        return PhaseFacts(
            client=self.job.client_id,
            job=self.job.order + 1,
            job_name=self.job.name,
            prompt_id=self.job.prompt_id,
            node=node or "",
            node_types=class_types(nodes),
            models=input_texts(nodes),
            step=step,
        )

    # ---- the methods of RunningJob

    def node_error(self, exception_type: str, message: str) -> NodeError:
        return NodeError(exception_type, message)

    def out_of_memory(self) -> NodeError:
        self.machine.unload_models("out of memory")
        return NodeError("torch.OutOfMemoryError", "Allocation on device ", _OUT_OF_MEMORY)

    def slow_down(self, hold: Hold, factor: float) -> None:
        self.durations.slowed[hold] = factor

    def deafen(self, hold: Hold) -> None:
        self._deafening.append(hold)

    def when_saved(self, change: Callable[[WrittenFile], None]) -> None:
        self.changes.append(change)

    def give_name_again(self) -> None:
        self.name_again = True

    def empty_outputs(self) -> None:
        self.entry.outputs.clear()
        self.entry.meta.clear()

    def forget_entry(self, after_ms: int) -> None:
        self.forget_after_ms = after_ms
