"""What a log can prove: each kind of finding is one rule in one module of this package, found by itself."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from comfyfarm.analysis.findings.finding import RULES, Defects, Finding, FindingRule, RuleContext, Severity, Thresholds

__all__ = ["RULES", "Defects", "Finding", "FindingRule", "RuleContext", "Severity", "Thresholds"]

for _module in sorted(each.name for each in iter_modules(__path__)):
    import_module(f"{__name__}.{_module}")
