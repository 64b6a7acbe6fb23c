"""The check of a prompt's nodes: each after the nodes that feed it, with ComfyUI's errors for links and cycles.

The texts and the order of checks are those of docs/fidelity.md, "Validation".
"""

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import Any

from comfyfarm.sim.catalogue.catalogue import Catalogue
from comfyfarm.sim.catalogue.dynamic_inputs import declared_inputs
from comfyfarm.sim.catalogue.node_types import Input, accepts
from comfyfarm.sim.errors import TOO_DEEP
from comfyfarm.sim.prompt.input_checks import Problem, check_files, check_value, problem
from comfyfarm.sim.prompt.plain_prompts import LONGEST_CHAIN, Prompt

Walk = Generator[str, None, None]

NODES_IN_A_STEP = 500       # about 5 ms
_LONGEST_CYCLE = 500        # beyond it ComfyUI reports Python's RecursionError


@dataclass
class NodeResult:
    """The result of one node's check.

    :ivar valid: ``None`` while the check is under way.
    """

    valid: bool | None = None
    problems: list[Problem] = field(default_factory=list)

    @property
    def is_faulty(self) -> bool:
        return self.valid is False and bool(self.problems)


@dataclass
class NodeChecks:
    """The checks of the nodes of one prompt.

    A node's check needs the checks of the nodes that feed it.  This recursion has its own stack, so that the limit to
    its depth does not depend on who calls it.

    :ivar results: by node id, in the order in which the checks began.
    :ivar _looks_at: by node under check, the input that is checked.
    """

    prompt: Prompt
    catalogue: Catalogue
    results: dict[str, NodeResult] = field(default_factory=dict)
    _looks_at: dict[str, Input] = field(default_factory=dict)

    def check(self, output: str) -> Iterator[None]:
        """Check an output and all nodes that feed it; a large prompt takes several steps."""
        if output in self.results:
            return
        path, walks = [output], [self._node(output)]
        while walks:
            try:
                source = next(walks[-1])
            except StopIteration:
                path.pop()
                walks.pop()
            except Exception as error:  # noqa: BLE001 (whatever a check raises because of a prompt is sent to the client)
                self._fail(path, walks, error)
            else:
                is_known = source in self.results       # as is each node of the path, which may be long
                if is_known and source in path:
                    self._close_cycle(path, walks, source)
                elif not is_known:
                    if not len(self.results) % NODES_IN_A_STEP:
                        yield
                    path.append(source)
                    walks.append(self._node(source))
                    if len(path) > LONGEST_CHAIN:
                        self._fail(path, walks, RecursionError(TOO_DEEP))

    def _fail(self, path: list[str], walks: list[Walk], error: Exception) -> None:
        """End the check of a node that raised; ComfyUI's error names the input that led to the node."""
        name = type(error).__name__
        facts: dict[str, Any] = {"exception_type": name, "traceback": [f"{name}: {error}"]}
        if len(path) == 1:
            found = problem("exception_during_validation", str(error), **facts)
        else:
            consumer = self._looks_at[path[-2]]
            found = problem(
                "exception_during_inner_validation",
                str(error),
                **self._facts(self.prompt[path[-2]], consumer),
                exception_message=str(error),
                **facts,
                linked_node=self.prompt[path[-2]]["inputs"][consumer.name],
            )
        walks.pop()
        self.results[path.pop()] = NodeResult(valid=False, problems=[found])

    def _facts(self, node: dict[str, Any], declared: Input) -> dict[str, Any]:
        config = self.catalogue.config(node["class_type"], declared)
        return {"input_name": declared.name, "input_config": config}

    def _close_cycle(self, path: list[str], walks: list[Walk], source: str) -> None:
        """Mark the nodes of a cycle that ends at ``source``."""
        cycle = path[path.index(source) :]
        if len(cycle) > _LONGEST_CYCLE:
            self._fail(path, walks, RecursionError(TOO_DEEP))
            return
        if not self.catalogue.behaviour.explains_cycles:
            self.results |= {node_id: NodeResult(valid=False) for node_id in cycle}
            return
        details = " -> ".join(f"{node_id} ({self.prompt[node_id]['class_type']})" for node_id in (*cycle, cycle[0]))
        for node_id in cycle:
            found = problem("dependency_cycle", details, node_id=node_id, cycle_nodes=list(cycle))
            self.results[node_id] = NodeResult(valid=False, problems=[found])

    def _node(self, node_id: str) -> Walk:
        """Check one node; yield the id of each node that has to be checked before this check continues."""
        result = self.results[node_id] = NodeResult()
        node = self.prompt[node_id]
        node_type = self.catalogue.node_type(node["class_type"])
        inputs = node["inputs"]
        if node_type is None:
            yield from self._unknown(node_id, inputs)
            return
        sound = True
        for declared in declared_inputs(node_type, inputs):
            self._looks_at[node_id] = declared
            if declared.name not in inputs:
                if declared.required:
                    missing = problem("required_input_missing", declared.label, input_name=declared.name)
                    result.problems.append(missing)
            elif isinstance(inputs[declared.name], list):
                sound = (yield from self._link(node_id, declared, result)) and sound
            else:
                inputs[declared.name] = check_value(
                    node_type.name, declared, inputs[declared.name], self.catalogue, result.problems
                )
        if self.results[node_id].valid is None:     # else a cycle was found; it is all that ComfyUI reports
            if not result.problems:
                check_files(node_type.name, inputs, self.catalogue, result.problems)
            result.valid = sound and not result.problems

    def _unknown(self, node_id: str, inputs: dict[str, Any]) -> Walk:
        """Check a node of an unknown type: only the nodes that feed it can be invalid."""
        sound = True
        for name, value in inputs.items():
            if isinstance(value, list) and value and value[0] in self.prompt:
                self._looks_at[node_id] = Input(name, name, "*", {}, required=False, config=["*", {}], choices=None)
                yield value[0]
                sound = self.results[value[0]].valid is not False and sound
        if self.results[node_id].valid is None:
            self.results[node_id].valid = sound

    def _link(self, node_id: str, declared: Input, result: NodeResult) -> Generator[str, None, bool]:
        """Check a link; the generator returns whether the node that feeds it is valid."""
        node = self.prompt[node_id]
        value = node["inputs"][declared.name]
        if len(value) != 2:
            facts = self._facts(node, declared)
            result.problems.append(problem("bad_linked_input", declared.name, **facts, received_value=value))
            return True
        source, slot = value
        source_type = self.catalogue.node_type(self.prompt[source]["class_type"])
        received = source_type.outputs[slot] if source_type is not None else "*"
        if not accepts(declared.type, received):
            facts = self._facts(node, declared)
            wanted = facts["input_config"][0]
            details = f"{declared.name}, received_type({received}) mismatch input_type({wanted})"
            result.problems.append(
                problem("return_type_mismatch", details, **facts, received_type=received, linked_node=value)
            )
            return True
        yield source
        return self.results[source].valid is True
