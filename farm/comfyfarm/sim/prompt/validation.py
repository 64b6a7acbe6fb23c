"""The validation of a prompt: the outputs that can run, and ComfyUI's errors for the others.

The texts and the order of checks are those of docs/fidelity.md, "Validation".
"""

from collections.abc import Container, Generator, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import msgspec

from comfyfarm.sim.catalogue.catalogue import Catalogue
from comfyfarm.sim.errors import PromptRejected
from comfyfarm.sim.prompt.node_checks import NODES_IN_A_STEP, NodeChecks
from comfyfarm.sim.prompt.plain_prompts import Prompt, plain_outputs
from comfyfarm.sim.prompt.workflow import consumed


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
    return (yield from _check_outputs(prompt, outputs, catalogue))


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


def _check_outputs(
    prompt: Prompt, outputs: list[str], catalogue: Catalogue
) -> Generator[None, None, ValidationResult]:
    checks = NodeChecks(prompt, catalogue)
    good: list[str] = []
    bad: list[str] = []
    lines: list[str] = []
    found: dict[str, int] = {}      # by faulty node, the number of outputs that had failed before it was found
    known = 0
    for count, output in enumerate(outputs, 1):
        if not count % NODES_IN_A_STEP:
            yield
        yield from checks.check(output)
        result = checks.results[output]
        if result.valid:
            good.append(output)
            continue
        lines.extend(f"{entry['message']}: {entry['details']}" for entry in result.problems)
        new = list(islice(reversed(checks.results), len(checks.results) - known))
        found |= dict.fromkeys((node_id for node_id in reversed(new) if checks.results[node_id].is_faulty), len(bad))
        known = len(checks.results)
        bad.append(output)
    node_errors = {node_id: _node_error(checks, node_id, Tail(bad, before)) for node_id, before in found.items()}
    if good:
        return ValidationResult(tuple(good), node_errors)
    error = PromptRejected.because(
        "prompt_outputs_failed_validation", "Prompt outputs failed validation", "\n".join(lines)
    )
    error.body["node_errors"] = node_errors
    raise error


def _node_error(checks: NodeChecks, node_id: str, dependents: Tail) -> dict[str, Any]:
    """Return the error of a faulty node.

    :param dependents: every output that failed then or later, related or not, as ComfyUI has it.
    """
    problems, class_type = checks.results[node_id].problems, checks.prompt[node_id]["class_type"]
    return {"errors": problems, "dependent_outputs": dependents, "class_type": class_type}
