"""Letters as tests need them: one of every kind, and one full of attacker text."""

from __future__ import annotations

from datetime import timedelta

from shared.domain.deliveries import Kind, Target
from shared.domain.findings import Finding, Remedy, Severity
from shared.domain.ids import virtual_machine
from shared.domain.letters import Letter, Links, Story
from tests.fakes.azure import START
from tests.unit.notices.post import SUBSCRIPTION, finding

LINKS = Links(
    portal="https://portal.azure.com",
    tenant="99999999-0000-4000-8000-000000000001",
    page="https://backup.contoso.com",
)
POLICY = Finding(
    code="POLICY_KIND",
    severity=Severity.NEEDS_ENHANCED,
    text="This VM is a Trusted Launch VM, which only an Enhanced policy protects; the tier gold has a Standard policy only.",
    evidence="securityType TrustedLaunch; policy gold-daily is Standard",
    remedies=(
        Remedy(
            text="The rules declare the Enhanced policy gold-enhanced; an operator can create it.",
            az="az backup policy create --policy @gold-enhanced.json --name gold-enhanced --vault-name rsv-kr --resource-group backup --backup-management-type AzureIaasVM",
            powershell="New-AzRecoveryServicesBackupProtectionPolicy -Name 'gold-enhanced' -WorkloadType AzureVM -PolicySubType Enhanced",
        ),
        Remedy(
            text="Or, for Trusted Launch without Ultra or Premium SSD v2 disks, let the rules take"
            " a Standard policy: `trusted_launch: prefer-enhanced`."
        ),
    ),
    source="Azure VM backup, support for Trusted Launch",
    source_date="2026-01-15",
)


def story(name: str = "vm-payroll-01", kind: Kind = Kind.OPENED, **fields: object) -> Story:
    vm = virtual_machine(SUBSCRIPTION, "rg-payroll", name)
    values: dict[str, object] = {
        "notice": "4ea7a8af0a7fbf71",
        "kind": kind,
        "vm": vm,
        "title": name,
        "findings": (finding(), POLICY),
        "since": START - timedelta(hours=5),
        "region": "koreacentral",
        "rule": "production",
        "owner": "VM tag owner",
        "next_step": "We look again regularly and whenever the VM changes. Once the cause is gone, it"
        " goes on by itself.",
        "portal": LINKS.to_portal(vm),
        "page": LINKS.to_page(vm),
    }
    if kind is Kind.RESOLVED:
        values |= {"ended": START, "how": "enrolled"}
    return Story(**{**values, **fields})  # type: ignore[arg-type]


def letter(*stories: Story, language: str = "en", channel: str = "teams") -> Letter:
    told = stories or (story(),)
    return Letter(
        id="4ea7a8af0a7fbf71-1a",
        key="4ea7a8af0a7fbf71-1a.0.0",
        kind=told[0].kind if len(told) == 1 else Kind.DIGEST,
        to=Target(channel, "default"),
        at=START,
        stories=told,
        language=language,
    )


def digest(number: int = 12, language: str = "en") -> Letter:
    told = [
        story(f"vm-web-{index:03}", findings=(finding(),), notice=f"{index:016x}")
        for index in range(number)
    ]
    told += [
        story("vm-db-1", findings=(POLICY,)),
        story("vm-db-2", Kind.REMINDER, findings=(POLICY,)),
        story("vm-old", Kind.RESOLVED),
    ]
    return letter(*told, language=language)


def service(language: str = "en") -> Letter:
    trouble = Finding(
        code="CEILING_REACHED",
        severity=Severity.BLOCKER,
        text="The ceiling of changes was reached; further VMs wait. Raise CHANGES_PER_HOUR if this is intended.",
        evidence="500 changes this hour",
    )
    told = story(vm=None, title="CEILING_REACHED", findings=(trouble,), region="", rule="")
    return letter(
        Story(
            notice=told.notice,
            kind=Kind.OPENED,
            vm=None,
            title=told.title,
            findings=told.findings,
            since=told.since,
            owner="operators",
        ),
        language=language,
    )


SAMPLES = {
    "opened": lambda language: letter(language=language),
    "updated": lambda language: letter(story(kind=Kind.UPDATED, flaps=2), language=language),
    "reminder": lambda language: letter(story(kind=Kind.REMINDER), language=language),
    "escalation": lambda language: letter(story(kind=Kind.ESCALATION), language=language),
    "resolved": lambda language: letter(story(kind=Kind.RESOLVED), language=language),
    "digest": lambda language: digest(language=language),
    "service": service,
}

HOSTILE = {
    "script": "<script>alert(1)</script>",
    "image": "<img src=x onerror=alert(1)>",
    "link": "](javascript:alert(1))",
    "markdown": "[click](https://evil.example) **bold** `code`",
    "mention": "@everyone <at>all</at>",
    "formula": "=cmd|'/c calc'!A1",
    "direction": "abc\u202egnp.exe\u2066x\u200f",
    "long": "A" * 10_000,
    "header": "x\r\nBcc: victim@example.com\r\n\r\nbody",
    "template": "{{ 7*7 }} {% raw %} {0.__class__} %s ${x}",
    "null": "a\x00b\x1b[31mred\x07",
    "surrogate": "a\ud800b",
    "entity": "&lt;b&gt; &amp; &#x3c;",
}


def hostile(text: str, *, kind: Kind = Kind.OPENED, language: str = "en") -> Letter:
    """Put the text wherever text from outside may stand."""
    found = Finding(
        code="NO_VAULT_IN_REGION",
        severity=Severity.BLOCKER,
        text=f"Text with {text}",
        evidence=f"tag backup-tier = {text}",
        remedies=(Remedy(text=f"Do {text}", az=f"az {text}", powershell=text, link=text),),
        source=text,
        source_date=text[:10],
    )
    told = Story(
        notice="4ea7a8af0a7fbf71",
        kind=kind,
        vm=virtual_machine(SUBSCRIPTION, "rg", "vm"),
        title=text,
        findings=(found,),
        since=START - timedelta(hours=1),
        region=text,
        rule=text,
        owner=text,
        next_step=text,
        ended=START if kind is Kind.RESOLVED else None,
        how=text,
        portal=f"javascript:{text}",
        page=text,
    )
    return letter(told, language=language)
