"""Measure what the farm costs, beside something else in the same run on the same machine (docs/performance.md).

Prints a line for each row; exits with 1 if a row misses its goal, or is worse than its limit if it has one.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import msgspec

from benchmarks import analysis, core, growth, http, jobs, metrics, page, start  # noqa: F401 (they register their families)
from benchmarks.rows import FAMILIES, Effort, Result

ORDER = ("get", "post", "object_info", "job", "frames", "core", "memory", "start", "analysis", "growth", "metrics")


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="bench", description=(__doc__ or "").split("\n")[0])
    help_rows = f"a row, or the beginning of its name: {', '.join(ORDER)}; without one, all"
    parser.add_argument("rows", metavar="ROW", nargs="*", help=help_rows)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, and smaller sizes")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the results there")
    parser.add_argument("--write-docs", action="store_true", help="write them into docs/performance.md; takes no ROW")
    options = parser.parse_args()
    if unknown := [row for row in options.rows if row.partition("/")[0] not in ORDER]:
        parser.error(f"no such row: {', '.join(unknown)}")
    if options.rows and options.write_docs:
        parser.error("the page has every row")
    results = measure(Effort(options.rows, rounds=5 if options.quick else 15, is_quick=options.quick))
    if options.json:
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=2))
    if options.write_docs:
        page.write(results)
    sys.exit(not results or not all(result.is_as_good_as_known for result in results))


def measure(effort: Effort) -> list[Result]:
    """Measure the rows that are wanted, and print each at once."""
    results: list[Result] = []
    print(page.HEAD)
    for name in ORDER:
        for result in FAMILIES[name](effort) if effort.wants(name) else ():
            print(page.as_line(result), flush=True)
            results.append(result)
    return results


if __name__ == "__main__":
    main()
