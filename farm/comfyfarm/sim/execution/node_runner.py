"""The run of one node: its models, its steps, the files that it saves, and the nodes that it puts in its place."""

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec.structs import asdict

from comfyfarm.events import ModelLoaded, ModelUnloaded, NodeStarted, PictureSent, Preview, Progressed, TextSent
from comfyfarm.faults.pauses import Pause, Steps
from comfyfarm.sim.cache import Result
from comfyfarm.sim.durations import JobDurations, step_weight
from comfyfarm.sim.execution.job_faults import JobFaults
from comfyfarm.sim.execution.job_nodes import JobNodes
from comfyfarm.sim.execution.job_record import JobRecord
from comfyfarm.sim.jobs import Job
from comfyfarm.sim.machine import Machine
from comfyfarm.sim.memory import ModelFile, ModelRequirements, TooLarge
from comfyfarm.sim.nodes import NodeOutcome, Save, run
from comfyfarm.sim.nodes.constants import check_call
from comfyfarm.sim.preconditions import check_api_key, check_choices
from comfyfarm.sim.saving import Saver
from comfyfarm.sim.values import Latent

_PREVIEW_EDGE = 512     # sampler previews are at most this long (docs/fidelity.md, "Sampling")


class Stopped(Exception):
    """The job was interrupted."""


@dataclass(eq=False)
class NodeRunner:
    """Runs the nodes of one job."""

    job: Job
    machine: Machine
    nodes: JobNodes
    durations: JobDurations
    faults: JobFaults
    record: JobRecord
    _loaded: Sequence[ModelFile] = ()

    def __post_init__(self) -> None:
        nodes = self.nodes
        self._requirements = ModelRequirements(nodes.values, nodes.links, nodes.types, self.machine.catalogue)

    def run(self, node: str) -> Generator[Pause, None, str | None]:
        """Run a node; the generator returns the node that has to run before, if this one lacks its result.

        :raises Stopped: if the job is interrupted here.
        :raises NodeError: if the node fails.
        """
        nodes, machine = self.nodes, self.machine
        self._begin(node)
        if machine.faults.watches("node"):
            yield from self.faults.fire("node", node)
        if machine.interrupt:
            self._check_interrupt()
        if node in nodes.lazy and (source := nodes.missing_source(node)) is not None:
            return source
        nodes.results.make_room()
        if (needed := self._requirements.of(node)) and not self._has_loaded(needed):
            yield from self._load_models(node, needed)
        self._check_preconditions(node)
        call = nodes.call(node)
        outcome = run(call)
        yield self.durations.node_ms(call, outcome)
        if outcome.steps or outcome.sends is not None or outcome.text is not None:
            yield from self._work(node, outcome)
        if nodes.types[node].staging.expands:
            yield from self._expand(node)
        files = (yield from self._save(node, outcome.saves)) if outcome.saves else {}
        self._finish(node, outcome, files)
        return None

    def _begin(self, node: str) -> None:
        nodes, machine = self.nodes, self.machine
        nodes.running = node
        nodes.follow_catalogue()
        machine.publish(
            NodeStarted(
                at_ms=machine.at_ms,
                prompt_id=self.job.prompt_id,
                node=node,
                class_type=nodes.types[node].name,
                parent=nodes.parents.get(node, ""),
            )
        )

    def _finish(self, node: str, outcome: NodeOutcome, files: Mapping[str, Any]) -> None:
        nodes = self.nodes
        ui = {**files, **(outcome.ui or {})} if files or outcome.ui is not None else None
        result = Result(outcome.values, ui, {} if ui is None else nodes.meta(node))
        nodes.results.add(node, result)
        self.record.finish_node(node, result, cached=False)

    def _has_loaded(self, needed: Sequence[ModelFile]) -> bool:
        """Note that a node needs these models, and return whether all of them are loaded."""
        if len(needed) == 1 and needed == self._loaded:
            return True     # nothing has changed since the last node needed the same model
        self._loaded = needed
        self.durations.work.need(needed)
        return self.machine.memory.use(needed)

    def _load_models(self, node: str, needed: Sequence[ModelFile]) -> Steps:
        try:
            for move in self.machine.memory.moves_for(needed):
                if move.is_load:
                    yield self.durations.load_ms(move.file)
                    self.record.publish(ModelLoaded, node=node, **asdict(move.file))
                else:
                    yield self.durations.unload_ms()
                    self.machine.publish(ModelUnloaded(at_ms=self.machine.at_ms, reason="room", **asdict(move.file)))
        except TooLarge:
            raise self.faults.out_of_memory() from None

    def _check_preconditions(self, node: str) -> None:
        catalogue, facts = self.machine.catalogue, self.nodes.types[node]
        node_type, inputs = facts.node_type, self.nodes.values[node].get("inputs", {})
        if facts.names is None:
            check_choices(catalogue, node_type, inputs)
        check_call(facts, inputs, self.nodes.links[node], may_lack_inputs=catalogue.validation == "lenient")
        if node_type is not None and node_type.is_api and self.machine.settings.api_key_required:
            check_api_key(has_key=self.job.has_api_key)

    def _work(self, node: str, outcome: NodeOutcome) -> Steps:
        """Run the node's steps, and publish the pictures and texts that it sends."""
        if outcome.text is not None:
            self.record.publish(TextSent, node=node, text=outcome.text)
        if outcome.steps:
            yield from self._sample(node, outcome)
        if (batch := outcome.sends) is not None:
            for index, picture in enumerate(batch.each()):
                shown = Preview(picture.width, picture.height, "image/png", picture.colour)
                yield self.durations.save_ms(1)
                self._check_interrupt()
                self.record.publish(PictureSent, node=node, value=index, max=batch.count, preview=shown)

    def _sample(self, node: str, outcome: NodeOutcome) -> Steps:
        """Run the node's steps, each with an event."""
        machine, prompt_id, steps = self.machine, self.job.prompt_id, outcome.steps
        step_ms, weight, preview = self.durations.step_ms, step_weight(outcome), self._preview(outcome.latent)
        step = 0
        try:
            for step in range(1, steps + 1):
                yield step_ms(weight)
                if machine.faults.watches("step"):
                    yield from self.faults.fire("step", node, step)
                if machine.interrupt:
                    self._check_interrupt()
                if preview is None:
                    machine.publish(
                        Progressed(at_ms=machine.at_ms, prompt_id=prompt_id, node=node, value=step, max=steps)
                    )
                else:
                    self.record.publish(PictureSent, node=node, value=step, max=steps, preview=preview)
        finally:
            self.durations.work.steps(weight, step)     # also of those that were begun

    def _preview(self, latent: Latent | None) -> Preview | None:
        """Return the picture that is sent with each step, if the job or the settings switch previews on."""
        own = self.job.extra_data.get("preview_method") if self.machine.behaviour.takes_preview_method else None
        method = own or "default"
        if method == "default":
            method = self.machine.settings.preview_method
        if latent is None or method not in ("auto", "latent2rgb", "taesd"):
            return None
        shrink = min(1.0, _PREVIEW_EDGE / max(latent.width, latent.height))
        return Preview(max(1, round(latent.width * shrink)), max(1, round(latent.height * shrink)), "image/jpeg")

    def _check_interrupt(self) -> None:
        if self.machine.interrupt and not self.faults.is_deaf:
            raise Stopped

    def _expand(self, node: str) -> Steps:
        """Run the nodes that a declared node type puts in its place."""
        nodes = self.nodes
        own = nodes.types[node]
        if any(nodes.types[ancestor].name == own.name for ancestor in nodes.ancestors(node)):
            return      # else it would go on for ever
        parts = own.staging.expanded(node, nodes.values[node].get("inputs", {}))
        nodes.add(parts, node)
        for part in parts:
            yield from self.run(part)
            nodes.running = node

    def _save(self, node: str, saves: Iterable[Save]) -> Generator[Pause, None, dict[str, list[Any]]]:
        """Write a node's files, and return them by the key of their list in its ``ui`` output."""
        files: dict[str, list[Any]] = {}
        faults, saver = self.faults, Saver(self.machine, self.job, node, self.nodes.types[node].name)
        for save in saves:
            yield self.durations.save_ms(saver.files(save))
            yield from faults.fire_at_save(node)
            shown = yield from saver.write(save, faults.changes, again=faults.name_again)
            before = files.get(save.key, [])
            # In static mode there is one entry, however many files dynamic mode would write.
            files[save.key] = before or shown if saver.is_static else [*before, *shown]
        return files
