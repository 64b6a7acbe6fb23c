"""One job's run: a story that pauses wherever time passes.

``Execution.run`` yields how long to wait, in milliseconds, and is resumed when that time has passed; whatever has
changed meanwhile (an interrupt, a setting) takes effect there.  What happens is told as events.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

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
    Work,
)
from comfyfarm.faults.fault import firing_in_order
from comfyfarm.faults.pauses import Hold, Steps
from comfyfarm.faults.phases import Phase, PhaseFacts
from comfyfarm.faults.targets import WrittenFile
from comfyfarm.sim.cache import Result, result_keys
from comfyfarm.sim.durations import JobDurations
from comfyfarm.sim.job_facts import job_facts
from comfyfarm.sim.jobs.history import HistoryEntry
from comfyfarm.sim.jobs.queue import Job
from comfyfarm.sim.machine import Machine
from comfyfarm.sim.memory import TooLarge
from comfyfarm.sim.model_needs import ModelRequirements
from comfyfarm.sim.nodes import NodeCall, NodeError, NodeOutcome, run
from comfyfarm.sim.prompt.workflow import ExecutionOrder, consumed, is_link
from comfyfarm.sim.saving import Saver
from comfyfarm.sim.values import Latent

_PREVIEW_EDGE = 512     # sampler previews are at most this long (docs/fidelity.md, "Sampling")


_OUT_OF_MEMORY = (
    "This error means you ran out of memory on your GPU.\n\n"
    "TIPS: If the workflow worked before you might have accidentally set the batch_size to a large number."
)


class _Stop(Exception):
    """The job was interrupted."""


@dataclass(eq=False)
class Execution:
    """One job on one machine.

    :ivar entry: what will stand in history, as far as the job has got.
    :ivar node: the node that runs, or ``None`` before the first.
    :ivar later: lets something happen on the instance so many milliseconds later.
    :ivar forget_after_ms: how long after its end the entry is dropped; ``None``: it is not.
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

    def __post_init__(self) -> None:
        """Find out which nodes show something, and which results are there already."""
        self.entry = HistoryEntry(self.job)
        used = consumed(self.job.prompt)
        self._showing = {node for node in self.job.prompt if self._shows(node, used)}
        cache = self.machine.cache
        self._keys = result_keys(self.job.prompt, self.machine.catalogue) if cache.is_on else {}
        cache.begin_job(self._keys.values())
        for node, key in self._keys.items():
            if (kept := cache.find(key)) is not None:
                self._results[node] = kept
        self._cached = frozenset(self._results)
        self._pace = JobDurations.of_job(self.machine, self.job.prompt_id)
        self._needs = ModelRequirements(self.job.prompt, self.machine.catalogue)

    def run(self) -> Steps:
        """Run all nodes that the outputs need, in order."""
        yield from self.fire_faults("start")
        self._note("execution_start")
        self._tell(Started)
        cached = [node for node in self.job.prompt if node in self._cached]
        self._note("execution_cached", nodes=cached)
        self._tell(Cached, nodes=tuple(cached))
        shown = {node for node in self._cached if self._results[node].ui is not None}
        order = ExecutionOrder(self.job.prompt, self.job.outputs, self._showing, self._cached, shown)
        try:
            while (node := order.next()) is not None:
                if node in self._cached:
                    self._show_again(node)
                else:
                    yield from self._run_node(node)
                order.finish(node)
        except _Stop:
            self._interrupted()
        except NodeError as error:
            self._failed(error)
        else:
            yield from self.fire_faults("success")
            self._note("execution_success")
            self._tell(Succeeded)

    # One node.

    def _show_again(self, node: str) -> None:
        """A cached node that shows something shows it again, and takes no time."""
        self._executed.append(node)
        self._show(node, self._results[node], cached=True)

    def _run_node(self, node: str) -> Steps:
        self.node = node
        class_type = self._class_type(node)
        self._tell(NodeStarted, node=node, class_type=class_type)
        yield from self.fire_faults("node")
        self._look_for_interrupt()
        if not self._has_run:       # once is enough: what comes later belongs to this job
            self.machine.cache.begin_node(self._keys.values())
            self._has_run = True
        yield from self._load_models(node)
        outcome = run(self._call(node))
        yield self._pace.node_ms(class_type)
        yield from self._work(node, outcome)
        ui = dict(outcome.ui) if outcome.ui is not None else None
        saver = Saver(self.machine, self.job, node, class_type)
        for save in outcome.saves:
            yield self._pace.save_ms(saver.files(save))
            self._changes, self._name_again = [], False
            yield from self.fire_faults("save")
            shown = saver.write(save, self._changes, again=self._name_again)
            before = (ui or {}).get(save.key, [])
            # Static: one entry, however many files it would be.
            ui = {save.key: before or shown if saver.is_static else [*before, *shown], **_without(ui, save.key)}
        meta = {"node_id": node, "display_node": node, "parent_node": None, "real_node_id": node}
        result = self._results[node] = Result(outcome.values, ui, meta)
        self.machine.cache.add(self._keys.get(node), result)
        self._executed.append(node)
        self._show(node, result, cached=False)

    def _load_models(self, node: str) -> Steps:
        """Bring the models that the node needs into memory, and others out of it to make room."""
        needed = self._needs.of(node)
        self._pace.done.need(needed)
        try:
            for move in self.machine.memory.moves_for(needed):
                if move.is_load:
                    yield self._pace.load_ms(move.file)
                    self._tell(ModelLoaded, node=node, **move.file.facts)
                else:
                    yield self._pace.unload_ms()
                    self.machine.publish(ModelUnloaded(at_ms=self.machine.at_ms, reason="room", **move.file.facts))
        except TooLarge:
            raise self.out_of_memory() from None

    def _work(self, node: str, outcome: NodeOutcome) -> Steps:
        """What a node does while it runs: steps, pictures and texts over the websocket."""
        if outcome.text is not None:
            self._tell(TextSent, node=node, text=outcome.text)
        preview = self._preview(outcome.latent)
        for step in range(1, outcome.steps + 1):
            yield self._pace.step_ms(outcome)
            yield from self.fire_faults("step", step)
            self._look_for_interrupt()
            if preview is None:
                self._tell(Progressed, node=node, value=step, max=outcome.steps)
            else:
                self._tell(PictureSent, node=node, value=step, max=outcome.steps, preview=preview)
        if (sent := outcome.sends) is not None:
            for index, picture in enumerate(sent.each()):
                shown = Preview(picture.width, picture.height, "image/png", picture.colour)
                yield self._pace.save_ms(1)
                self._look_for_interrupt()
                self._tell(PictureSent, node=node, value=index, max=sent.count, preview=shown)

    def _preview(self, latent: Latent | None) -> Preview | None:
        """The picture that goes along with each step, where the job or the machine asks for one."""
        asked = self.job.extra_data.get("preview_method") or "default"
        method = self.machine.settings.preview_method if asked == "default" else asked
        if latent is None or method not in ("auto", "latent2rgb", "taesd"):
            return None
        shrink = min(1.0, _PREVIEW_EDGE / max(latent.width, latent.height))
        return Preview(max(1, round(latent.width * shrink)), max(1, round(latent.height * shrink)), "image/jpeg")

    def _show(self, node: str, result: Result, *, cached: bool) -> None:
        shown_as = self.machine.settings.output_node or node
        if result.ui is not None:
            merged = self.entry.outputs.setdefault(shown_as, {})
            for key, items in result.ui.items():
                merged[key] = [*merged.get(key, []), *items]
            self.entry.meta[shown_as] = result.meta
        self._tell(NodeFinished, node=node, output=result.ui, shown_as=shown_as, cached=cached)

    # What a node is given.

    def _call(self, node: str) -> NodeCall:
        class_type = self._class_type(node)
        node_type = self.machine.catalogue.node_type(class_type)
        inputs = self.job.prompt[node].get("inputs", {})
        return NodeCall(
            class_type=class_type,
            inputs={name: self._resolve(value) for name, value in inputs.items()},
            outputs=node_type.outputs if node_type else (),
            shows=node in self._showing,
            size=self.machine.size,
            files=self.machine.catalogue.files,
        )

    def _resolve(self, value: Any) -> Any:
        if not is_link(value):
            return value
        made = self._results[value[0]].values if value[0] in self._results else ()
        return made[value[1]] if -len(made) <= value[1] < len(made) else None

    def _shows(self, node: str, used: set[str]) -> bool:
        node_type = self.machine.catalogue.node_type(self._class_type(node))
        return node not in used if node_type is None else node_type.output_node

    def _class_type(self, node: str) -> str:
        return str(self.job.prompt[node].get("class_type"))

    @property
    def work(self) -> Work:
        """What the job has come to so far."""
        return self._pace.done.total

    # What goes wrong on purpose: :class:`~comfyfarm.faults.targets.RunningJob`.

    def fire_faults(self, phase: Phase, step: int = 0) -> Steps:
        """Let happen what a fault does at this phase."""
        faults = self.machine.faults
        if not faults.watches(phase):
            return
        with firing_in_order(faults.fire(phase, self._facts(phase, step), self.machine.at_ms)) as firings:
            for firing in firings:
                if firing.fault.effect.is_for_process:
                    yield firing
                else:
                    yield from firing.fault.effect.on_job(self, firing)

    def _facts(self, phase: Phase, step: int) -> PhaseFacts:
        """What is known of the node that runs; before the first and behind the last, of the whole job."""
        return job_facts(self.job, self.node if phase in ("node", "step", "save") else None, step)

    def slow_down(self, hold: Hold, factor: float) -> None:
        """Let all that is still to do take so many times as long."""
        self._pace.slowed[hold] = factor

    def deafen(self, hold: Hold) -> None:
        """Hear no interrupt."""
        self._deafening.append(hold)

    def release(self) -> None:
        """It is over: what struck it holds nothing any more."""
        for hold in (*self._pace.slowed, *self._deafening):
            hold.active = False

    def when_saved(self, change: Callable[[WrittenFile], None]) -> None:
        """Let each file of this save be changed once it is written."""
        self._changes.append(change)

    def give_name_again(self) -> None:
        """Let this save's first file get the name that was given last."""
        self._name_again = True

    def node_error(self, exception_type: str, message: str) -> NodeError:
        """Return what a node raises."""
        return NodeError(exception_type, message)

    def out_of_memory(self) -> NodeError:
        """Empty the memory, as ComfyUI does then; the answer is what a node raises."""
        self.machine.unload_models("out of memory")
        return NodeError("torch.OutOfMemoryError", "Allocation on device ", _OUT_OF_MEMORY)

    def forget_entry(self, after_ms: int) -> None:
        """Have the entry dropped so long after the end."""
        self.forget_after_ms = after_ms

    # How it ends.

    def _look_for_interrupt(self) -> None:
        if self.machine.interrupt and not any(hold.active for hold in self._deafening):
            raise _Stop

    def _interrupted(self) -> None:
        node, executed = self.node or "", list(self._executed)
        class_type = self._class_type(node)
        self.entry.status_str = "error"
        self._note("execution_interrupted", node_id=node, node_type=class_type, executed=executed)
        self._tell(Interrupted, node=node, class_type=class_type, executed=tuple(executed))

    def _failed(self, error: NodeError) -> None:
        node = self.node or ""
        facts = {
            "node_id": node,
            "node_type": self._class_type(node),
            "executed": list(self._executed),
            "exception_message": f"{error.message}\n{error.tips}",
            "exception_type": error.exception_type,
            "traceback": [f"{error.exception_type}: {error.message}\n"],
            "current_inputs": self._current_inputs(node),
            "current_outputs": list(self._keys),
        }
        self.entry.status_str = "error"
        self._note("execution_error", **facts)
        self._tell(Failed, node=node, error=facts)

    def _current_inputs(self, node: str) -> dict[str, list[Any]]:
        """The inputs as ComfyUI shows them with an error: plain values as they are, the others as text."""
        given = dict(self._call(node).inputs)
        node_type = self.machine.catalogue.node_type(self._class_type(node))
        pnginfo = self.job.extra_data.get("extra_pnginfo")
        known = {"PROMPT": self.job.prompt, "EXTRA_PNGINFO": pnginfo, "UNIQUE_ID": node}
        for name, kind in (node_type.hidden if node_type else {}).items():
            given[name] = known.get(kind)
        return {name: [_as_shown(value)] for name, value in given.items()}

    def _tell(self, kind: Callable[..., Event], **facts: Any) -> None:
        self.machine.publish(kind(at_ms=self.machine.at_ms, prompt_id=self.job.prompt_id, **facts))

    def _note(self, kind: str, **facts: Any) -> None:
        """Add a status message to the history entry."""
        data = {"prompt_id": self.job.prompt_id, **facts, "timestamp": self.machine.now_unix_ms}
        self.entry.messages.append([kind, data])


def _without(ui: dict[str, Any] | None, key: str) -> dict[str, Any]:
    return {name: items for name, items in (ui or {}).items() if name != key}


def _as_shown(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
