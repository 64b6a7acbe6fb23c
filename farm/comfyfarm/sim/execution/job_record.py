"""The record of a running job: its events, and its entry in history."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from comfyfarm.events import Cached, Event, Failed, Interrupted, NodeFinished, Started, Succeeded
from comfyfarm.sim.cache import Result
from comfyfarm.sim.execution.job_nodes import JobNodes
from comfyfarm.sim.jobs import HistoryEntry, Job
from comfyfarm.sim.machine import Machine
from comfyfarm.sim.nodes import NodeError
from comfyfarm.sim.saving import described


@dataclass(eq=False)
class JobRecord:
    """Publishes the events of one job, and adds to its history entry.

    :ivar entry: as far as the job has got.
    """

    job: Job
    machine: Machine
    nodes: JobNodes
    entry: HistoryEntry
    _executed: list[str] = field(default_factory=list)

    def publish(self, kind: Callable[..., Event], **facts: Any) -> None:
        self.machine.publish(kind(at_ms=self.machine.at_ms, prompt_id=self.job.prompt_id, **facts))

    def start(self) -> None:
        self._add_message("execution_start")
        self.publish(Started)
        cached = [node for node in self.job.prompt if node in self.nodes.results.cached]
        self._add_message("execution_cached", nodes=cached)
        self.publish(Cached, nodes=tuple(cached))

    def finish_node(self, node: str, result: Result, *, cached: bool) -> None:
        self._executed.append(node)
        shown_as = self.machine.settings.output_node or node
        if result.ui is not None and self.machine.behaviour.describes_files:
            result = replace(result, ui=described(result.ui, self.machine.catalogue))
        if result.ui is not None and (not cached or self._keeps_cached_outputs()):
            merged = self.entry.outputs.setdefault(shown_as, {})
            for key, items in result.ui.items():
                merged[key] = [*merged.get(key, []), *items]
            self.entry.meta[shown_as] = result.meta
        self.machine.publish(
            NodeFinished(
                at_ms=self.machine.at_ms,
                prompt_id=self.job.prompt_id,
                node=node,
                output=result.ui,
                shown_as=shown_as,
                cached=cached,
            )
        )

    def _keeps_cached_outputs(self) -> bool:
        """Return whether history has what a cached node shows."""
        return self.job.client_id is not None or self.machine.behaviour.keeps_unheard_outputs

    def keep_cached_outputs(self) -> None:
        """Add to history what all cached nodes of the prompt have shown, as older versions do."""
        if self.machine.behaviour.keeps_all_cached_outputs:
            results = self.nodes.results
            for node in self.job.prompt:
                result = results.by_node[node] if node in results.cached else None
                if result is not None and result.ui is not None:
                    self.entry.outputs.setdefault(node, result.ui)
                    self.entry.meta.setdefault(node, result.meta)

    def succeed(self) -> None:
        self._add_message("execution_success")
        self.publish(Succeeded)

    def interrupt(self) -> None:
        """End the job at its running node, because a client has interrupted it."""
        node, executed = self.nodes.real(self.nodes.running or ""), list(self._executed)
        class_type = self.nodes.types[node].name
        self.entry.status_str = "error"
        self._add_message("execution_interrupted", node_id=node, node_type=class_type, executed=executed)
        self.publish(Interrupted, node=node, class_type=class_type, executed=tuple(executed))

    def fail(self, error: NodeError, current_inputs: dict[str, list[Any]] | None = None) -> None:
        """End the job with an error of its running node; of none, if it has not come to a node.

        :param current_inputs: those of the node, as :meth:`JobNodes.current_inputs` returns them; ``None``: take them.
        """
        nodes, behaviour = self.nodes, self.machine.behaviour
        node = nodes.running or ""
        real = nodes.real(node)
        facts = {
            "node_id": real,
            "node_type": nodes.types[real].name if real in nodes.types else "",
            "executed": list(self._executed),
            "exception_message": f"{error.message}\n{error.tips}" if behaviour.adds_tips else error.message,
            "exception_type": error.exception_type,
            "traceback": [f"{error.exception_type}: {error.message}\n"],
            "current_inputs": nodes.current_inputs(node) if current_inputs is None else current_inputs,
            "current_outputs": list(nodes.results.keys),
        }
        self.entry.status_str = "error"
        self._add_message("execution_error", **facts)
        self.publish(Failed, node=node, error=facts)

    def _add_message(self, kind: str, **facts: Any) -> None:
        data = {"prompt_id": self.job.prompt_id, **facts, "timestamp": self.machine.now_unix_ms}
        self.entry.messages.append([kind, data])
