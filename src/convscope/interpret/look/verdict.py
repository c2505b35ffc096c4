"""What the checks say of an attribution, in a few words."""

from __future__ import annotations

from convscope.interpret.attribution.checks.record import AttributionChecks
from convscope.interpret.attribution.record import Attribution


def verdict(found: Attribution, checks: AttributionChecks | None) -> str:
    """Return what the checks say of an attribution, in a few words."""
    if not found.has_evidence:
        return "no positive evidence"
    if checks is None:
        return "not checked"
    return checks.verdict
