"""The nodes of one job: what each is, what feeds it, and which node it belongs to if another has put it there."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from comfyfarm.faults.pauses import Steps
from comfyfarm.sim.catalogue.catalogue import Catalogue
from comfyfarm.sim.catalogue.type_facts import TypeFacts
from comfyfarm.sim.execution.job_results import JobResults
from comfyfarm.sim.jobs import Job
from comfyfarm.sim.machine import Machine
from comfyfarm.sim.nodes import NodeCall, lazy_choice
from comfyfarm.sim.nodes.call import JobBudget
from comfyfarm.sim.prompt.workflow import Links, consumed, links_of

_NODES_IN_A_STEP = 1000     # about 5 ms


@dataclass(eq=False)
class JobNodes:
    """The nodes of one job: those of its prompt, and those that staged nodes put in their place while it runs.

    :ivar running: the running node, or ``None`` before the first one.
    :ivar values: each node as the prompt has it.
    :ivar links: the linked inputs of each node.
    :ivar showing: the output nodes.
    :ivar lazy: by node, the inputs that it does not wait for.
    :ivar parents: by node that is not of the prompt, the node that has put it there.
    """

    job: Job
    machine: Machine
    results: JobResults
    running: str | None = None
    values: dict[str, Any] = field(default_factory=dict)
    links: dict[str, Links] = field(default_factory=dict)
    types: dict[str, TypeFacts] = field(default_factory=dict)
    showing: set[str] = field(default_factory=set)
    lazy: dict[str, frozenset[str]] = field(default_factory=dict)
    parents: dict[str, str] = field(default_factory=dict)
    _budget: JobBudget = field(default_factory=JobBudget)
    _catalogue: Catalogue | None = None

    def look_at_prompt(self) -> Steps:
        """Look up what each node is.

        It pauses for no time between the parts of a large prompt, which may take more than one turn of the reactor.
        """
        prompt, nodes = self.job.prompt, list(self.job.prompt)
        self.values |= prompt
        for start in range(0, len(nodes), _NODES_IN_A_STEP):
            part = nodes[start : start + _NODES_IN_A_STEP]
            some = prompt if len(part) == len(nodes) else {node: prompt[node] for node in part}
            self._look_up(some)
            self.lazy |= {node: names for node in part if (names := self._lazy_inputs(node))}
            if start:
                yield 0
        self.showing = self._showing_of(prompt)

    def add(self, nodes: Mapping[str, Any], parent: str) -> None:
        """Add the nodes that another one puts in its place."""
        self.values |= nodes
        self._look_up(nodes)
        self.showing |= self._showing_of(nodes)
        self.parents |= dict.fromkeys(nodes, parent)

    def follow_catalogue(self) -> None:
        """Look up the types again if a live change has replaced the catalogue."""
        if self._catalogue is not self.machine.catalogue:
            self._look_up(self.values)

    def ancestors(self, node: str) -> Iterator[str]:
        while node in self.parents:
            node = self.parents[node]
            yield node

    def real(self, node: str) -> str:
        """Return the node of the prompt that this node is an expansion of, else the node itself."""
        return next(reversed([node, *self.ancestors(node)])) if node in self.parents else node

    def meta(self, node: str) -> dict[str, Any]:
        """Return the node ids that history shows with what a node has shown."""
        real = self.real(node)
        return {"node_id": node, "display_node": real, "parent_node": self.parents.get(node), "real_node_id": real}

    def call(self, node: str) -> NodeCall:
        """Return what the node is called with, as far as the nodes that feed it have results."""
        facts, catalogue = self.types[node], self.machine.catalogue
        node_type, value = facts.node_type, self.results.value
        linked = {name: value(source, slot) for name, (source, slot) in self.links[node].items()}
        return NodeCall(
            class_type=facts.name,
            inputs={**self.values[node].get("inputs", {}), **linked},
            outputs=node_type.outputs if node_type else (),
            shows=node in self.showing and not (node_type and node_type.is_api),
            size=self.machine.size,
            files=catalogue.files,
            shown=facts.staging.shows or None,
            lenient=catalogue.validation == "lenient",
            behaviour=catalogue.behaviour,
            budget=self._budget,
        )

    def current_inputs(self, node: str) -> dict[str, list[Any]]:
        """Return the node's inputs as ComfyUI shows them with an error: plain values as they are, others as text."""
        inputs = dict(self.call(node).inputs)
        node_type = self.types[node].node_type
        pnginfo = self.job.extra_data.get("extra_pnginfo")
        hidden = {"PROMPT": self.job.prompt, "EXTRA_PNGINFO": pnginfo, "UNIQUE_ID": node}
        for name, kind in (node_type.hidden if node_type else {}).items():
            inputs[name] = hidden.get(kind)
        plain = (bool, int, float, str, type(None))
        return {name: [value if isinstance(value, plain) else str(value)] for name, value in inputs.items()}

    def missing_source(self, node: str) -> str | None:
        """Return the node that has to run before this one can, because it feeds the lazy input that is needed."""
        choose = lazy_choice(self.types[node].name) if node in self.lazy else None
        if choose is None:
            return None
        source, _ = self.links[node].get(choose(self.call(node)), (None, 0))
        return source if source in self.job.prompt and source not in self.results.by_node else None

    def shows_again(self, node: str) -> bool:
        """Return whether a node whose result is cached shows it again."""
        node_type = self.types[node].node_type
        may_repeat = self.machine.behaviour.repeats_intermediates
        return node in self.showing or (may_repeat and node_type is not None and node_type.shows_again)

    def _look_up(self, nodes: Mapping[str, Any]) -> None:
        self._catalogue = catalogue = self.machine.catalogue
        types, links = self.types, self.links
        for node, value in nodes.items():
            types[node] = catalogue.facts(str(value.get("class_type")))
            links[node] = links_of(value)

    def _lazy_inputs(self, node: str) -> frozenset[str]:
        facts = self.types[node]
        node_type = facts.node_type
        if node_type is None or lazy_choice(facts.name) is None:
            return frozenset()
        return frozenset(name for name, declared in node_type.inputs.items() if declared.options.get("lazy"))

    def _showing_of(self, nodes: Mapping[str, Any]) -> set[str]:
        """Return the output nodes; of an unknown type is one that no other of these nodes uses."""
        types = self.types
        showing = {node for node in nodes if (kind := types[node].node_type) is None or kind.output_node}
        unknown = {node for node in showing if types[node].node_type is None}
        return showing - (unknown & consumed(nodes)) if unknown else showing
