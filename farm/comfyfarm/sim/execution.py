"""The execution of one job, as a generator that pauses wherever simulated time passes.

``Execution.run`` yields how long to wait.  Whatever has changed when it is resumed (an interrupt, a setting) takes
effect there.  What happens is published as events.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import asdict, replace

from comfyfarm.events import (
    Cached,
    Event,
    Failed,
    Interrupted,
    ModelLoaded,
    ModelUnloaded,
    NodeFinished,
    NodeStarted,
    PictureSent,
    Preview,
    Progressed,
    Started,
    Succeeded,
    TextSent,
    WorkerDied,
)
from comfyfarm.faults.fault import firing_in_order
from comfyfarm.faults.pauses import WAIT, Hold, Pause, Steps
from comfyfarm.faults.phases import Phase, PhaseFacts
from comfyfarm.faults.targets import WrittenFile
from comfyfarm.sim.cache import Result, result_keys
from comfyfarm.sim.catalogue.type_facts import TypeFacts
from comfyfarm.sim.durations import JobDurations, step_weight
from comfyfarm.sim.jobs import HistoryEntry, Job
from comfyfarm.sim.machine import Machine
from comfyfarm.sim.memory import ModelFile, ModelRequirements, TooLarge
from comfyfarm.sim.nodes import NodeCall, NodeError, NodeOutcome, Save, lazy_choice, run
from comfyfarm.sim.nodes.call import JobBudget
from comfyfarm.sim.nodes.constants import check_call, undeclared_links
from comfyfarm.sim.preconditions import check_api_key, check_choices
from comfyfarm.sim.prompt.workflow import ExecutionOrder, class_types, consumed, input_texts, links_in
from comfyfarm.sim.saving import Saver, described
from comfyfarm.sim.values import Latent

_NODES_IN_A_STEP = 1000     # about 5 ms
_PREVIEW_EDGE = 512     # sampler previews are at most this long (docs/fidelity.md, "Sampling")
_OUT_OF_MEMORY = (
    "This error means you ran out of memory on your GPU.\n\n"
    "TIPS: If the workflow worked before you might have accidentally set the batch_size to a large number."
)


class _Stop(Exception):
    """The job was interrupted."""


@dataclass(eq=False)
class Execution:
    """The execution of one job on one machine.

    :ivar later: calls a function after a time in milliseconds.
    :ivar forget_after_ms: time from the job's end until its entry is dropped; ``None``: it stays.
    :ivar entry: the history entry, as far as the job has got.
    :ivar node: the running node, or ``None`` before the first one.
    """

    job: Job
    machine: Machine
    later: Callable[[int, Callable[[], None]], None]
    forget_after_ms: int | None = None
    entry: HistoryEntry = field(init=False)
    node: str | None = None
    _has_run: bool = False
    _deafening: list[Hold] = field(default_factory=list)
    _changes: list[Callable[[WrittenFile], None]] = field(default_factory=list)
    _name_again: bool = False
    _executed: list[str] = field(default_factory=list)
    _results: dict[str, Result] = field(default_factory=dict)
    _budget: JobBudget = field(default_factory=JobBudget)
    _parents: dict[str, str] = field(default_factory=dict)      # of nodes that others have put into the job

    def __post_init__(self) -> None:
        self.entry = HistoryEntry(self.job)
        self.durations = JobDurations(self.machine, self.job.prompt_id)
        self._nodes = dict(self.job.prompt)
        self._links: dict[str, Mapping[str, list[Any]]] = {}
        self._types: dict[str, TypeFacts] = {}
        self._keys: dict[str, Any] = {}
        self._showing: set[str] = set()
        self._lazy: dict[str, frozenset[str]] = {}

    def _prepare(self) -> Steps:
        """Look at the whole prompt: what each node is, and which results there are already.

        It pauses for no time between the parts of a large prompt, which may take more than one turn of the reactor.
        """
        prompt, nodes = self.job.prompt, list(self.job.prompt)
        for start in range(0, len(nodes), _NODES_IN_A_STEP):
            part = nodes[start : start + _NODES_IN_A_STEP]
            some = prompt if len(part) == len(nodes) else {node: prompt[node] for node in part}
            self._links |= links_in(some)
            self._look_up_types(some)
            self._lazy |= {node: names for node in part if (names := self._lazy_inputs(node))}
            if start:
                yield 0
        self._showing = self._showing_of(prompt)
        cache = self.machine.cache
        if cache.is_on:
            self._keys = yield from result_keys(self.job.prompt, self.machine.catalogue)
        if cache.policy == "classic":
            cache.keep_only(self._keys.values())
        for node, key in self._keys.items():
            if (kept := cache.find(key)) is not None:
                self._results[node] = kept
        self._cached = frozenset(self._results)
        self._requirements = ModelRequirements(self._nodes, self._links, self._types, self.machine.catalogue)

    def _look_up_types(self, nodes: Mapping[str, Any]) -> None:
        self._catalogue = self.machine.catalogue
        for node, value in nodes.items():
            self._types[node] = self._catalogue.facts(str(value.get("class_type")))

    def run(self) -> Steps:
        """Run all nodes that the outputs need, in order."""
        yield from self._prepare()
        yield from self.fire_faults("start")
        self._add_message("execution_start")
        self._publish(Started)
        cached = [node for node in self.job.prompt if node in self._cached]
        self._add_message("execution_cached", nodes=cached)
        self._publish(Cached, nodes=tuple(cached))
        shown = {node for node in self._cached if self._results[node].ui is not None and self._shows_again(node)}
        # Nodes that others put in their place while the job runs are none of the order's.
        order = ExecutionOrder(dict(self._links), self.job.outputs, self._showing, self._cached, shown, self._lazy)
        yield from self._die_of_dead_link(order.nodes)
        try:
            while (node := order.next()) is not None:
                if self._is_cached(node):
                    self._executed.append(node)
                    self._show(node, self._results[node], cached=True)
                    yield 0
                else:
                    yield from self._begin_node(node)
                    if (source := self._missing_source(node)) is not None:
                        order.wait_for(node, source)
                        continue
                    yield from self._run_node(node)
                order.finish(node)
        except _Stop:
            self._interrupted()
        except NodeError as error:
            self.fail(error)
        else:
            self._keep_cached_outputs()
            yield from self.fire_faults("success")
            self._add_message("execution_success")
            self._publish(Succeeded)

    def _is_cached(self, node: str) -> bool:
        """Return whether a node has a result: of an earlier job, or of a node of this job that is equal to it."""
        if self._keys and node not in self._cached:
            kept = self.machine.cache.find(self._keys.get(node))
            if kept is not None:
                self._results[node] = kept
        return node in self._results

    def _begin_node(self, node: str) -> Steps:
        self.node = node
        if self._catalogue is not self.machine.catalogue:       # a live change has replaced it
            self._look_up_types(self._nodes)
        machine = self.machine
        machine.publish(
            NodeStarted(
                at_ms=machine.at_ms,
                prompt_id=self.job.prompt_id,
                node=node,
                class_type=self._types[node].name,
                parent=self._parents.get(node, ""),
            )
        )
        if machine.faults.watches("node"):
            yield from self.fire_faults("node")
        if machine.interrupt:
            self._check_interrupt()

    def _lazy_inputs(self, node: str) -> frozenset[str]:
        facts = self._types[node]
        node_type = facts.node_type
        if node_type is None or lazy_choice(facts.name) is None:
            return frozenset()
        return frozenset(name for name, declared in node_type.inputs.items() if declared.options.get("lazy"))

    def _missing_source(self, node: str) -> str | None:
        """Return the node that has to run before this one can, because it feeds the lazy input that is needed."""
        choose = lazy_choice(self._types[node].name) if node in self._lazy else None
        if choose is None:
            return None
        source, _ = self._links[node].get(choose(self._call(node)), (None, 0))
        return source if source in self.job.prompt and source not in self._results else None

    def _run_node(self, node: str) -> Steps:
        if not self._has_run and self.machine.cache.policy == "ram":    # later results are those of this job
            self.machine.cache.keep_only(self._keys.values())
        self._has_run = True
        if needed := self._requirements.of(node):
            yield from self._load_models(node, needed)
        facts = self._types[node]
        self._check_preconditions(node, facts)
        call = self._call(node)
        outcome = run(call)
        yield self.durations.node_ms(call, outcome)
        if outcome.steps or outcome.sends is not None or outcome.text is not None:
            yield from self._work(node, outcome)
        if facts.staging.expands:
            yield from self._expand(node)
        files = (yield from self._save(node, outcome.saves)) if outcome.saves else {}
        ui = {**files, **(outcome.ui or {})} if files or outcome.ui is not None else None
        parent = self._parents.get(node)
        real = node if parent is None else self._real(node)
        meta = {"node_id": node, "display_node": real, "parent_node": parent, "real_node_id": real}
        result = self._results[node] = Result(outcome.values, ui, meta)
        if self._keys:
            self.machine.cache.add(self._keys.get(node), result)
        self._executed.append(node)
        self._show(node, result, cached=False)

    def _save(self, node: str, saves: Iterable[Save]) -> Generator[Pause, None, dict[str, list[Any]]]:
        """Write a node's files, and return them by the key of their list in its ``ui`` output."""
        files: dict[str, list[Any]] = {}
        saver = Saver(self.machine, self.job, node, self._types[node].name)
        for save in saves:
            yield self.durations.save_ms(saver.files(save))
            self._changes, self._name_again = [], False
            if self.machine.faults.watches("save"):
                yield from self.fire_faults("save")
            shown = yield from saver.write(save, self._changes, again=self._name_again)
            before = files.get(save.key, [])
            # In static mode there is one entry, however many files dynamic mode would write.
            files[save.key] = before or shown if saver.is_static else [*before, *shown]
        return files

    def _die_of_dead_link(self, nodes: Iterable[str]) -> Steps:
        """Wait for ever if ComfyUI's worker ends here: validation does not look at links of undeclared inputs."""
        prompt, links = self.job.prompt, self._links
        for node in nodes if self.machine.catalogue.validation != "off" else ():
            for name in undeclared_links(self._types[node], prompt[node].get("inputs", {}), links[node]):
                if (missing := links[node][name][0]) not in prompt:
                    self._publish(WorkerDied, node=missing)
                    while True:
                        yield WAIT

    def _expand(self, node: str) -> Steps:
        """Run the nodes that a declared node type puts in its place."""
        own = self._types[node]
        if any(self._types[ancestor].name == own.name for ancestor in self._ancestors(node)):
            return      # else it would go on for ever
        parts = own.staging.expanded(node, self._nodes[node].get("inputs", {}))
        self._nodes |= parts
        self._links |= links_in(parts)
        self._look_up_types(parts)
        showing = self._showing_of(parts)
        for part in parts:
            self._parents[part] = node
            if part in showing:
                self._showing.add(part)
            yield from self._begin_node(part)
            yield from self._run_node(part)
            self.node = node

    def _ancestors(self, node: str) -> Iterator[str]:
        while node in self._parents:
            node = self._parents[node]
            yield node

    def _real(self, node: str) -> str:
        """Return the node of the prompt that this node is an expansion of, else the node itself."""
        return next(reversed([node, *self._ancestors(node)]))

    def _check_preconditions(self, node: str, facts: TypeFacts) -> None:
        catalogue, node_type = self.machine.catalogue, facts.node_type
        inputs = self._nodes[node].get("inputs", {})
        if facts.names is None:
            check_choices(catalogue, node_type, inputs)
        check_call(facts, inputs, self._links[node], may_lack_inputs=catalogue.validation == "lenient")
        check_api_key(node_type, has_key=self.job.has_api_key or not self.machine.settings.api_key_required)

    def _load_models(self, node: str, needed: Sequence[ModelFile]) -> Steps:
        self.durations.work.need(needed)
        try:
            for move in self.machine.memory.moves_for(needed):
                if move.is_load:
                    yield self.durations.load_ms(move.file)
                    self._publish(ModelLoaded, node=node, **asdict(move.file))
                else:
                    yield self.durations.unload_ms()
                    self.machine.publish(ModelUnloaded(at_ms=self.machine.at_ms, reason="room", **asdict(move.file)))
        except TooLarge:
            raise self.out_of_memory() from None

    def _work(self, node: str, outcome: NodeOutcome) -> Steps:
        """Run the node's steps, and publish the pictures and texts that it sends."""
        if outcome.text is not None:
            self._publish(TextSent, node=node, text=outcome.text)
        if outcome.steps:
            yield from self._sample(node, outcome)
        if (batch := outcome.sends) is not None:
            for index, picture in enumerate(batch.each()):
                shown = Preview(picture.width, picture.height, "image/png", picture.colour)
                yield self.durations.save_ms(1)
                self._check_interrupt()
                self._publish(PictureSent, node=node, value=index, max=batch.count, preview=shown)

    def _sample(self, node: str, outcome: NodeOutcome) -> Steps:
        """Run the node's steps, each with an event."""
        machine, prompt_id, steps = self.machine, self.job.prompt_id, outcome.steps
        step_ms, weight, preview = self.durations.step_ms, step_weight(outcome), self._preview(outcome.latent)
        step = 0
        try:
            for step in range(1, steps + 1):
                yield step_ms(weight)
                if machine.faults.watches("step"):
                    yield from self.fire_faults("step", step)
                if machine.interrupt:
                    self._check_interrupt()
                if preview is None:
                    machine.publish(
                        Progressed(at_ms=machine.at_ms, prompt_id=prompt_id, node=node, value=step, max=steps)
                    )
                else:
                    self._publish(PictureSent, node=node, value=step, max=steps, preview=preview)
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

    def _show(self, node: str, result: Result, *, cached: bool) -> None:
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

    def _keep_cached_outputs(self) -> None:
        """Add to history what all cached nodes of the prompt have shown, as older versions do."""
        if self.machine.behaviour.keeps_all_cached_outputs:
            for node in self.job.prompt:
                result = self._results[node] if node in self._cached else None
                if result is not None and result.ui is not None:
                    self.entry.outputs.setdefault(node, result.ui)
                    self.entry.meta.setdefault(node, result.meta)

    def _call(self, node: str) -> NodeCall:
        facts, catalogue = self._types[node], self.machine.catalogue
        node_type = facts.node_type
        linked = {name: self._resolve(*link) for name, link in self._links[node].items()}
        return NodeCall(
            class_type=facts.name,
            inputs={**self._nodes[node].get("inputs", {}), **linked},
            outputs=node_type.outputs if node_type else (),
            shows=node in self._showing and not (node_type and node_type.is_api),
            size=self.machine.size,
            files=catalogue.files,
            shown=facts.staging.shows or None,
            lenient=catalogue.validation == "lenient",
            behaviour=catalogue.behaviour,
            budget=self._budget,
        )

    def _resolve(self, source: str, slot: int) -> Any:
        values = self._results[source].values if source in self._results else ()
        return values[slot] if -len(values) <= slot < len(values) else None

    def _showing_of(self, nodes: dict[str, Any]) -> set[str]:
        """Return the output nodes; of an unknown type is one that no other of these nodes uses."""
        types = {node: self._types[node].node_type for node in nodes}
        used = consumed(nodes) if None in types.values() else set()
        return {node for node, kind in types.items() if (node not in used if kind is None else kind.output_node)}

    def _shows_again(self, node: str) -> bool:
        node_type = self._types[node].node_type
        may_repeat = self.machine.behaviour.repeats_intermediates
        return node in self._showing or (may_repeat and node_type is not None and node_type.shows_again)

    # ---- faults; the public methods are those of comfyfarm.faults.targets.RunningJob

    def fire_faults(self, phase: Phase, step: int = 0) -> Steps:
        """Apply the faults that fire at this phase; yield the firings that concern the whole process."""
        faults = self.machine.faults
        if not faults.watches(phase):
            return
        with firing_in_order(faults.fire(phase, self._phase_facts(phase, step), self.machine.at_ms)) as firings:
            for firing in firings:
                if firing.fault.effect.is_for_process:
                    yield firing
                else:
                    yield from firing.fault.effect.on_job(self, firing)

    def _phase_facts(self, phase: Phase, step: int) -> PhaseFacts:
        node = self.node if phase in ("node", "step", "save") else None     # the other phases concern the whole job
        nodes = self.job.prompt.values() if node is None else [self._nodes[node]]
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

    def slow_down(self, hold: Hold, factor: float) -> None:
        self.durations.slowed[hold] = factor

    def deafen(self, hold: Hold) -> None:
        self._deafening.append(hold)

    def release(self) -> None:
        """Release all holds, because the job is over."""
        for hold in (*self.durations.slowed, *self._deafening):
            hold.active = False

    def when_saved(self, change: Callable[[WrittenFile], None]) -> None:
        self._changes.append(change)

    def give_name_again(self) -> None:
        self._name_again = True

    def node_error(self, exception_type: str, message: str) -> NodeError:
        return NodeError(exception_type, message)

    def out_of_memory(self) -> NodeError:
        self.machine.unload_models("out of memory")
        return NodeError("torch.OutOfMemoryError", "Allocation on device ", _OUT_OF_MEMORY)

    def empty_outputs(self) -> None:
        self.entry.outputs.clear()
        self.entry.meta.clear()

    def forget_entry(self, after_ms: int) -> None:
        self.forget_after_ms = after_ms

    # ---- the end

    def _check_interrupt(self) -> None:
        if self.machine.interrupt and not any(hold.active for hold in self._deafening):
            raise _Stop

    def _interrupted(self) -> None:
        node, executed = self._real(self.node or ""), list(self._executed)
        class_type = self._types[node].name
        self.entry.status_str = "error"
        self._add_message("execution_interrupted", node_id=node, node_type=class_type, executed=executed)
        self._publish(Interrupted, node=node, class_type=class_type, executed=tuple(executed))

    def fail(self, error: NodeError, current_inputs: dict[str, list[Any]] | None = None) -> None:
        """End the job with an error of its running node; of none, if it has not come to a node.

        :param current_inputs: those of the node, as :meth:`_current_inputs` returns them; ``None``: take them.
        """
        node, behaviour = self.node or "", self.machine.behaviour
        real = self._real(node)
        facts = {
            "node_id": real,
            "node_type": self._types[real].name if real in self._types else "",
            "executed": list(self._executed),
            "exception_message": f"{error.message}\n{error.tips}" if behaviour.adds_tips else error.message,
            "exception_type": error.exception_type,
            "traceback": [f"{error.exception_type}: {error.message}\n"],
            "current_inputs": self._current_inputs(node) if current_inputs is None else current_inputs,
            "current_outputs": list(self._keys),
        }
        self.entry.status_str = "error"
        self._add_message("execution_error", **facts)
        self._publish(Failed, node=node, error=facts)

    def _current_inputs(self, node: str) -> dict[str, list[Any]]:
        """Return the node's inputs as ComfyUI shows them with an error: plain values as they are, others as text."""
        inputs = dict(self._call(node).inputs)
        node_type = self._types[node].node_type
        pnginfo = self.job.extra_data.get("extra_pnginfo")
        hidden = {"PROMPT": self.job.prompt, "EXTRA_PNGINFO": pnginfo, "UNIQUE_ID": node}
        for name, kind in (node_type.hidden if node_type else {}).items():
            inputs[name] = hidden.get(kind)
        plain = (bool, int, float, str, type(None))
        return {name: [value if isinstance(value, plain) else str(value)] for name, value in inputs.items()}

    def _publish(self, kind: Callable[..., Event], **facts: Any) -> None:
        self.machine.publish(kind(at_ms=self.machine.at_ms, prompt_id=self.job.prompt_id, **facts))

    def _add_message(self, kind: str, **facts: Any) -> None:
        data = {"prompt_id": self.job.prompt_id, **facts, "timestamp": self.machine.now_unix_ms}
        self.entry.messages.append([kind, data])
