"""How much the farm costs, beside something else in the same run on the same machine.

Prints a line for each row; exits with 1 if a row does not reach its goal.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import msgspec

from benchmarks import core, http, jobs  # noqa: F401 (each module registers its families)
from benchmarks.rows import FAMILIES, Effort, Result

HEAD = f"{'row':28} {'ours':>10} {'other':>10} {'unit':8} {'ratio':>6}  goal"


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="bench", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("rows", metavar="ROW", nargs="*", help=f"a row, or a family: {', '.join(FAMILIES)}; default: all")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, and smaller sizes")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the results there")
    options = parser.parse_args()
    if unknown := [row for row in options.rows if row.partition("/")[0] not in FAMILIES]:
        parser.error(f"no such row: {', '.join(unknown)}")
    effort = Effort(options.rows, rounds=5 if options.quick else 15, is_quick=options.quick)
    results: list[Result] = []
    print(HEAD)
    for name, measure in FAMILIES.items():
        for result in measure(effort) if effort.wants(name) else ():
            print(as_line(result), flush=True)
            results.append(result)
    if options.json:
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=2))
    sys.exit(not all(result.is_met for result in results))


def as_line(result: Result) -> str:
    """Return a row as text."""
    other = "" if result.other is None else f"{result.other:.4g}"
    ratio = "" if result.ratio is None else f"{result.ratio:.2f}"
    return f"{result.name:28} {result.ours:10.4g} {other:>10} {result.unit:8} {ratio:>6}  {goal_of(result)}".rstrip()


def goal_of(result: Result) -> str:
    """Return a goal as text, and whether it is met."""
    if result.goal is None:
        return ""
    unit = f" {result.unit}" if result.bounds == "ours" else " x"
    bound = f"{'>=' if result.at_least else '<='} {result.goal:g}{unit}"
    return f"{bound}: {'met' if result.is_met else 'MISSED'}"


if __name__ == "__main__":
    main()
