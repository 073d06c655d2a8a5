"""Findings: what stands in the way of a VM's backup, or is worth knowing about it.

A finding is a value, never an exception: we looked, and the answer is no (or: mind this).
Its texts are for people; its code is for machines, tests, the runbook and rules.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """What a finding does to the decision."""

    BLOCKER = "blocker"  # no enrollment until somebody acts
    NEEDS_ENHANCED = "needs-enhanced-policy"  # an Enhanced policy lifts it, a Standard one does not
    WAIT = "wait"  # passes by itself; look again
    ADVISORY = "advisory"  # shown on the VM's page and in explain, never a notice by itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    """One way to remove a finding: what to do, and commands that can be pasted."""

    text: str
    az: str = ""
    powershell: str = ""
    link: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One answer of a readiness check, of placement, of Azure, or of the lifecycle.

    ``evidence`` is the observed value in words; ``source`` names the document or recording behind
    the check and ``source_date`` its date (ISO), so that an old rule can be questioned.
    """

    code: str
    severity: Severity
    text: str
    evidence: str
    remedies: tuple[Remedy, ...] = ()
    source: str = ""
    source_date: str = ""


def blocking(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """Keep the findings that a person must act on."""
    return tuple(f for f in findings if f.severity is Severity.BLOCKER)
