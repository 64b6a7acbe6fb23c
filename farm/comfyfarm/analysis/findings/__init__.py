"""The findings that a log can prove: one rule for each, registered when its module is imported here."""

from importlib import import_module
from pkgutil import iter_modules

from comfyfarm.analysis.findings.finding import RULES, Defects, Finding, FindingRule, RuleContext, Severity
from comfyfarm.analysis.thresholds import Thresholds

__all__ = ["RULES", "Defects", "Finding", "FindingRule", "RuleContext", "Severity", "Thresholds"]

for _name in sorted(module.name for module in iter_modules(__path__)):
    import_module(f"{__name__}.{_name}")
