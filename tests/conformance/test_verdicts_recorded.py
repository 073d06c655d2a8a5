"""Every recorded VM of four years gets the verdict that was worked out beforehand."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.adapters.bodies.machines import parse_vm
from shared.domain.decide import decide
from shared.domain.decisions import Ignore, Wait
from shared.domain.ids import ArmId
from shared.domain.model import Past, Policy, PolicyKind, Snapshot, Vault
from shared.domain.rules import parse
from tests.conformance import expected_verdicts

pytestmark = pytest.mark.conformance

NOW = datetime(2030, 1, 1, tzinfo=UTC)  # later than every recorded VM: none is too young
RULES = parse(
    """
version: 1
tiers: {tag: backup-tier, default: t, names: {t: {standard: std, enhanced: enh}}}
vaults: {central: {tags: {backup-vault: central}}}
default: {options: {tell: []}}
"""
)


def world(body: dict) -> Snapshot:
    """Put a vault with both kinds of policy beside the VM."""
    vm_id = ArmId.parse(body["id"])
    vm = parse_vm(body, vm_id)
    vault = Vault(
        id=ArmId.of(
            vm_id.subscription, "rg-backup", "Microsoft.RecoveryServices", (("vaults", "rsv"),)
        ),
        location=vm.location,
        tags={"backup-vault": "central"},
    )
    policies = tuple(
        Policy(
            id=vault.id.child("backupPolicies", name),
            kind=kind,
            schedule=None,
            retention=None,
            instant_restore_days=None,
            time_zone="UTC",
        )
        for name, kind in (("std", PolicyKind.STANDARD), ("enh", PolicyKind.ENHANCED))
    )
    return Snapshot(
        id=vm_id,
        at=NOW,
        vm=vm,
        vaults=(vault,),
        policies={vault.id.key: policies},
        past=Past(first_seen=NOW - timedelta(days=1)),  # old answers hold no time of creation
    )


def told(body: dict) -> tuple[str, list[str]]:
    verdict = decide(world(body), RULES, (), NOW)
    codes = sorted({one.code for one in verdict.findings} - {"POLICY_UNREADABLE"})
    match verdict.decision:
        case Ignore(reason=reason):
            return "Ignore", ["SCALE_SET" if "scale set" in reason else "MANAGED"]
        case Wait(why="being deleted"):
            return "Wait", ["DELETING"]
        case _:
            return verdict.kind, codes


def test_the_expectations_are_those_of_the_recordings(ground_truth, golden) -> None:
    golden("verdicts.tsv", expected_verdicts.table(ground_truth / "recordings"))


def test_every_recorded_vm_gets_the_expected_verdict(ground_truth) -> None:
    wrong = []
    seen = 0
    for where, body in expected_verdicts.recorded(ground_truth / "recordings"):
        seen += 1
        found, expected = told(body), expected_verdicts.expected(body)
        if found != expected:
            wrong.append(f"{where}: {found} instead of {expected}")
    assert not wrong, "\n".join(wrong)
    assert seen > 250
