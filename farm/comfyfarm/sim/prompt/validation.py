"""The validation of a prompt: the outputs that can run, and ComfyUI's errors for the others.

The texts and the order of checks are those of docs/fidelity.md, "Validation".
"""

from collections.abc import Container, Generator, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import msgspec

from comfyfarm.sim.catalogue.catalogue import Catalogue
from comfyfarm.sim.catalogue.dynamic_inputs import declared_inputs
from comfyfarm.sim.catalogue.node_types import Input, accepts
from comfyfarm.sim.errors import TOO_DEEP, PromptRejected
from comfyfarm.sim.prompt.input_checks import Problem, check_files, check_value, problem
from comfyfarm.sim.prompt.plain_prompts import LONGEST_CHAIN, plain_outputs
from comfyfarm.sim.prompt.workflow import consumed

Prompt = dict[str, Any]
Walk = Generator[str, None, None]
_NODES_IN_A_STEP = 500      # about 5 ms
_LONGEST_CYCLE = 500        # beyond it ComfyUI reports Python's RecursionError


class ValidationResult(msgspec.Struct, frozen=True):
    """The result of a validation.

    :ivar outputs: the ids of the valid output nodes, never empty.
    :ivar node_errors: by node id, the errors of the others.
    """

    outputs: tuple[str, ...]
    node_errors: dict[str, Any]


@dataclass(frozen=True)
class EarlyValidation:
    """A validation that was done in steps before its prompt is submitted.

    :ivar catalogue: the one that it was done with.
    :ivar outcome: its result, or what it raised.
    """

    catalogue: Catalogue
    outcome: ValidationResult | Exception

    def result(self) -> ValidationResult:
        """Return the result, or raise what the validation raised."""
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


@dataclass(frozen=True)
class Tail:
    """The items of a list from one of them on.

    Thousands of faulty nodes name all outputs that failed after them: lists of their own would take a gigabyte.
    """

    items: list[str]
    start: int

    def __len__(self) -> int:
        return len(self.items) - self.start

    def __iter__(self) -> Iterator[str]:
        return iter(self.items[self.start :])


def validate(prompt: Prompt, targets: Container[str] | None, catalogue: Catalogue) -> ValidationResult:
    """Check a prompt, and convert its values to the declared types in place.

    :param targets: the only output nodes that shall run, or ``None`` for all.
    :raises PromptRejected: if nothing can run.
    :raises TypeError: if ComfyUI's own handler raises it; likewise other exceptions.
    """
    if outputs := plain_outputs(prompt, targets, catalogue):
        return ValidationResult(outputs, {})
    steps = _check_all(prompt, targets, catalogue)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: ValidationResult = end.value
            return result


def validate_in_steps(
    prompt: Prompt, targets: Container[str] | None, catalogue: Catalogue
) -> Generator[None, None, ValidationResult]:
    """Do the same in steps, for a prompt that may take more than one turn of the reactor."""
    if outputs := plain_outputs(prompt, targets, catalogue):
        return ValidationResult(outputs, {})
    yield
    return (yield from _check_all(prompt, targets, catalogue))


def _check_all(
    prompt: Prompt, targets: Container[str] | None, catalogue: Catalogue
) -> Generator[None, None, ValidationResult]:
    if catalogue.validation != "off":
        for node_id, node in prompt.items():
            _check_class(node_id, node, catalogue)
    outputs = [node for node in _output_nodes(prompt, catalogue) if targets is None or node in targets]
    if not outputs:
        raise PromptRejected.because("prompt_no_outputs", "Prompt has no outputs", "")
    if catalogue.validation == "off":
        return ValidationResult(tuple(outputs), {})
    return (yield from _Check(prompt, catalogue).run(outputs))


def _check_class(node_id: str, node: dict[str, Any], catalogue: Catalogue) -> None:
    meta = node.get("_meta", {})
    title = meta.get("title")
    class_type: Any = node.get("class_type")
    removed = catalogue.recorded.missing
    if "class_type" not in node:
        who = f"Node '{title or f'ID #{node_id}'}'"
        message = f"{who} has no class_type. The workflow may be corrupted or a custom node is missing."
        extra = {"node_id": node_id, "class_type": None, "node_title": title or None}
    elif catalogue.knows(class_type) or (catalogue.validation == "lenient" and class_type not in removed):
        return
    else:
        name = meta.get("title", class_type)      # which may be null or empty
        message = f"Node '{name}' not found. The custom node may not be installed."
        extra = {"node_id": node_id, "class_type": class_type, "node_title": name}
    if catalogue.behaviour.names_missing_nodes:
        raise PromptRejected.because("missing_node_type", message, f"Node ID '#{node_id}'", **extra)
    message = f"Cannot execute because node {class_type} does not exist."
    if "class_type" not in node:
        message = "Cannot execute because a node is missing the class_type property."
    raise PromptRejected.because("invalid_prompt", message, f"Node ID '#{node_id}'")


def _output_nodes(prompt: Prompt, catalogue: Catalogue) -> Iterator[str]:
    """Yield ComfyUI's outputs; if types may be unknown, also nodes that feed no other."""
    used = consumed(prompt) if catalogue.validation != "strict" else set()
    for node_id, node in prompt.items():
        node_type = catalogue.node_type(node.get("class_type"))
        by_type = node_type is not None and catalogue.validation != "off"
        if node_type.output_node if by_type and node_type else node_id not in used:
            yield node_id


@dataclass
class _Result:
    """The result of one node's check.

    :ivar valid: ``None`` while the check is under way.
    """

    valid: bool | None = None
    problems: list[Problem] = field(default_factory=list)


@dataclass
class _Check:
    """The check of one prompt.

    A node's check needs the checks of the nodes that feed it.  This recursion has its own stack, so that the limit to
    its depth does not depend on who calls it.

    :ivar _looks_at: by node under check, the input that is checked.
    """

    prompt: Prompt
    catalogue: Catalogue
    results: dict[str, _Result] = field(default_factory=dict)
    _looks_at: dict[str, Input] = field(default_factory=dict)

    def run(self, outputs: list[str]) -> Generator[None, None, ValidationResult]:
        good: list[str] = []
        bad: list[str] = []
        lines: list[str] = []
        found: dict[str, int] = {}      # by faulty node, the number of outputs that had failed before it was found
        known = 0
        for count, output in enumerate(outputs, 1):
            if not count % _NODES_IN_A_STEP:
                yield
            yield from self._walk(output)
            result = self.results[output]
            if result.valid:
                good.append(output)
                continue
            lines.extend(f"{entry['message']}: {entry['details']}" for entry in result.problems)
            new = list(islice(reversed(self.results), len(self.results) - known))
            found |= dict.fromkeys((node_id for node_id in reversed(new) if self._is_faulty(node_id)), len(bad))
            known = len(self.results)
            bad.append(output)
        node_errors = {node_id: self._error(node_id, Tail(bad, before)) for node_id, before in found.items()}
        if good:
            return ValidationResult(tuple(good), node_errors)
        error = PromptRejected.because(
            "prompt_outputs_failed_validation", "Prompt outputs failed validation", "\n".join(lines)
        )
        error.body["node_errors"] = node_errors
        raise error

    def _is_faulty(self, node_id: str) -> bool:
        result = self.results[node_id]
        return result.valid is False and bool(result.problems)

    def _error(self, node_id: str, dependents: Tail) -> dict[str, Any]:
        """Return the error of a faulty node.

        :param dependents: every output that failed then or later, related or not, as ComfyUI has it.
        """
        problems, class_type = self.results[node_id].problems, self.prompt[node_id]["class_type"]
        return {"errors": problems, "dependent_outputs": dependents, "class_type": class_type}

    def _walk(self, output: str) -> Iterator[None]:
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
                    if not len(self.results) % _NODES_IN_A_STEP:
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
        self.results[path.pop()] = _Result(valid=False, problems=[found])

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
            self.results |= {node_id: _Result(valid=False) for node_id in cycle}
            return
        details = " -> ".join(f"{node_id} ({self.prompt[node_id]['class_type']})" for node_id in (*cycle, cycle[0]))
        for node_id in cycle:
            found = problem("dependency_cycle", details, node_id=node_id, cycle_nodes=list(cycle))
            self.results[node_id] = _Result(valid=False, problems=[found])

    def _node(self, node_id: str) -> Walk:
        """Check one node; yield the id of each node that has to be checked before this check continues."""
        result = self.results[node_id] = _Result()
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

    def _link(self, node_id: str, declared: Input, result: _Result) -> Generator[str, None, bool]:
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
