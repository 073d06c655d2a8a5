"""Settings: the one reader of the environment.

Every setting has a type, a default that is safe, and one sentence; `local.settings.sample.json`,
README and `infra/` are held against this table by tests. Wrong or missing settings are reported
all at once, each with what to set.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from shared.clouds import CLOUDS, Cloud
from shared.domain.spelling import did_you_mean
from shared.errors import BadSettings


class Mode(StrEnum):
    OBSERVE = "observe"  # decides and reports everything, changes nothing
    ENFORCE = "enforce"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that differs between a laptop, a test and production."""

    cloud: Cloud
    tenant_id: str
    subscriptions: tuple[str, ...]  # lower case; empty: every subscription the identity can read
    mode: Mode
    enroll_since: datetime
    rules_uri: str
    rules_check_seconds: float
    clock: str  # "system", or the URL of the simulator's clock
    storage: str  # connection string (laptop), or "" with the URIs below
    queue_uri: str
    table_uri: str
    blob_uri: str
    identity_client_id: str
    instances: int  # N: the instance cap of the queue functions; budgets are shared by it
    changes_per_hour: int
    changes_per_day: int
    directory_seconds: float
    index_seconds: float
    sweep_seconds: float
    place_cap: int
    vault_in_flight: int
    backup_api: str
    vault_api: str
    compute_api: str
    owner_tags: tuple[str, ...]
    operators: tuple[str, ...]
    teams_webhook: str
    smtp_url: str
    mail_from: str
    acs_endpoint: str
    topic_endpoint: str
    page_url: str
    auth_client_id: str
    local_sign_in: str
    languages: tuple[str, ...]
    exporter: str
    otlp_endpoint: str
    monitor_connection: str

    @property
    def observing(self) -> bool:
        return self.mode is Mode.OBSERVE


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One row of the settings table: name, default, meaning. ``secret`` comes from Key Vault."""

    name: str
    default: str | None  # None: must be set
    text: str
    secret: bool = False


def _entry(name: str, default: str | None, text: str, *, secret: bool = False) -> Entry:
    return Entry(name=name, default=default, text=text, secret=secret)


# fmt: off
TABLE: tuple[Entry, ...] = (
    _entry("TENANT_ID", None, "Entra tenant; one deployment serves one."),
    _entry("SUBSCRIPTIONS", "", "Subscription ids, comma separated; empty or all: every one the identity can read."),
    _entry("MODE", "observe", "observe decides and reports, changes nothing; enforce enrolls."),
    _entry("ENROLL_SINCE", "9999-12-31T00:00:00Z", "In enforce, VMs created before this UTC time are touched only by backfill."),
    _entry("RULES_URI", None, "The rules file: a blob URL, or a path on a laptop."),
    _entry("RULES_CHECK_SECONDS", "60", "How often a newer rules file is looked for."),
    _entry("AZURE_CLOUD", "public", "public, usgov, china, or custom with the next four."),
    _entry("AZURE_CLOUD_ARM_ENDPOINT", "", "Custom cloud: ARM endpoint."),
    _entry("AZURE_CLOUD_ARM_AUDIENCE", "", "Custom cloud: token audience; empty: the endpoint."),
    _entry("AZURE_CLOUD_AUTHORITY", "", "Custom cloud: sign-in endpoint."),
    _entry("AZURE_CLOUD_CA_FILE", "", "Custom cloud: file with the CA to trust."),
    _entry("CLOCK", "system", "system, or the simulator's clock URL (only with a loopback ARM endpoint)."),
    _entry("AzureWebJobsStorage", "", "Connection string of the storage emulator; empty in Azure, where the identity is used.", secret=True),
    _entry("AzureWebJobsStorage__queueServiceUri", "", "Queue endpoint, used with the identity."),
    _entry("AzureWebJobsStorage__tableServiceUri", "", "Table endpoint, used with the identity."),
    _entry("AzureWebJobsStorage__blobServiceUri", "", "Blob endpoint, used with the identity."),
    _entry("AZURE_CLIENT_ID", "", "Client id of the user-assigned identity."),
    _entry("INSTANCES", "4", "Instance cap of the queue functions; budgets are divided by it."),
    _entry("CHANGES_PER_HOUR", "500", "Ceiling of changes per subscription and hour, all causes together."),
    _entry("CHANGES_PER_DAY", "2000", "Ceiling of changes per subscription and UTC day."),
    _entry("DIRECTORY_SECONDS", "900", "Age at which vaults and policies are listed again."),
    _entry("INDEX_SECONDS", "900", "Age at which the item index is loaded again."),
    _entry("SWEEP_SECONDS", "900", "How often every subscription is swept."),
    _entry("PLACE_CAP", "240", "New VMs per vault and UTC day; Azure's limit is 250 and its day boundary unknown."),
    _entry("VAULT_IN_FLIGHT", "480", "Enables in flight per vault, all instances together; an instance has its share of them."),
    _entry("BACKUP_API_VERSION", "2025-02-01", "Api-version of Azure Backup."),
    _entry("VAULT_API_VERSION", "2025-08-01", "Api-version of vaults."),
    _entry("COMPUTE_API_VERSION", "2024-07-01", "Api-version of virtual machines."),
    _entry("OWNER_TAGS", "owner,contact,backup-owner", "Tags that may name an owner, first wins; on VM, group, subscription."),
    _entry("OPERATORS", "", "Who hears of the service's own troubles: mail addresses or channel names."),
    _entry("TEAMS_WEBHOOK_URL", "", "Default Teams Workflows webhook.", secret=True),
    _entry("SMTP_URL", "", "smtp://user:password@host:port (STARTTLS) or smtps://.", secret=True),
    _entry("MAIL_FROM", "", "Sender of mails."),
    _entry("ACS_ENDPOINT", "", "Azure Communication Services endpoint for mail; empty: SMTP."),
    _entry("TOPIC_ENDPOINT", "", "Event Grid custom topic for outcomes; empty: none."),
    _entry("PAGE_URL", "", "Public address of this app, for links in notices."),
    _entry("AUTH_CLIENT_ID", "", "Entra application whose tokens open the coverage page."),
    _entry("LOCAL_SIGN_IN", "", "Laptop only: password of the local sign-in page (needs a loopback ARM endpoint).", secret=True),
    _entry("LANGUAGES", "en", "Languages of notices, first is the default: en, ko."),
    _entry("TELEMETRY_EXPORTER", "none", "none, console, otlp or azuremonitor."),
    _entry("OTEL_EXPORTER_OTLP_ENDPOINT", "", "Endpoint of the otlp exporter."),
    _entry("APPLICATIONINSIGHTS_CONNECTION_STRING", "", "Target of the azuremonitor exporter.", secret=True),
)
# fmt: on


def from_environment() -> Settings:
    """Parse this process's environment; see `read`."""
    return read(os.environ)


def read(environment: Mapping[str, str]) -> Settings:
    """Parse the environment.

    Raises:
        BadSettings: names every missing or wrong setting and what to set.

    """
    reader = _Reader(environment)
    cloud = _cloud(reader)
    loopback = urlsplit(cloud.arm).hostname in {"localhost", "127.0.0.1", "::1"}
    clock = reader.text("CLOCK")
    if clock != "system" and not loopback:
        reader.refuse("CLOCK", "may name a clock only if the ARM endpoint is loopback; set system")
    local_sign_in = reader.text("LOCAL_SIGN_IN")
    if local_sign_in and not loopback:
        reader.refuse("LOCAL_SIGN_IN", "is for a laptop only; remove it")
    storage = reader.text("AzureWebJobsStorage")
    uris = [reader.text(f"AzureWebJobsStorage__{kind}ServiceUri") for kind in _STORES]
    if not storage and not all(uris):
        reader.refuse(
            "AzureWebJobsStorage__queueServiceUri",
            "and __tableServiceUri and __blobServiceUri must be set (or AzureWebJobsStorage "
            "with the emulator's connection string)",
        )
    settings = Settings(
        cloud=cloud,
        tenant_id=reader.parsed("TENANT_ID", _guid),
        subscriptions=reader.parsed("SUBSCRIPTIONS", _scope),
        mode=reader.parsed("MODE", _mode),
        enroll_since=reader.parsed("ENROLL_SINCE", _instant),
        rules_uri=reader.text("RULES_URI"),
        rules_check_seconds=reader.parsed("RULES_CHECK_SECONDS", _positive),
        clock=clock,
        storage=storage,
        queue_uri=uris[0],
        table_uri=uris[1],
        blob_uri=uris[2],
        identity_client_id=reader.text("AZURE_CLIENT_ID"),
        instances=reader.parsed("INSTANCES", _count),
        changes_per_hour=reader.parsed("CHANGES_PER_HOUR", _count),
        changes_per_day=reader.parsed("CHANGES_PER_DAY", _count),
        directory_seconds=reader.parsed("DIRECTORY_SECONDS", _positive),
        index_seconds=reader.parsed("INDEX_SECONDS", _positive),
        sweep_seconds=reader.parsed("SWEEP_SECONDS", _positive),
        place_cap=reader.parsed("PLACE_CAP", _count),
        vault_in_flight=reader.parsed("VAULT_IN_FLIGHT", _count),
        backup_api=reader.text("BACKUP_API_VERSION"),
        vault_api=reader.text("VAULT_API_VERSION"),
        compute_api=reader.text("COMPUTE_API_VERSION"),
        owner_tags=reader.words("OWNER_TAGS"),
        operators=reader.words("OPERATORS"),
        teams_webhook=reader.text("TEAMS_WEBHOOK_URL"),
        smtp_url=reader.text("SMTP_URL"),
        mail_from=reader.text("MAIL_FROM"),
        acs_endpoint=reader.text("ACS_ENDPOINT"),
        topic_endpoint=reader.text("TOPIC_ENDPOINT"),
        page_url=reader.text("PAGE_URL"),
        auth_client_id=reader.text("AUTH_CLIENT_ID"),
        local_sign_in=local_sign_in,
        languages=reader.words("LANGUAGES"),
        exporter=reader.parsed("TELEMETRY_EXPORTER", _exporter),
        otlp_endpoint=reader.text("OTEL_EXPORTER_OTLP_ENDPOINT"),
        monitor_connection=reader.text("APPLICATIONINSIGHTS_CONNECTION_STRING"),
    )
    if reader.problems:
        raise BadSettings("\n".join(reader.problems))
    return settings


UNRESOLVED = "@Microsoft.KeyVault("
_STORES = ("queue", "table", "blob")


def _cloud(reader: _Reader) -> Cloud:
    name = reader.text("AZURE_CLOUD")
    if name in CLOUDS:
        return CLOUDS[name]
    if name != "custom":
        reader.refuse("AZURE_CLOUD", f"must be one of {', '.join([*CLOUDS, 'custom'])}")
        return CLOUDS["public"]
    arm = reader.text("AZURE_CLOUD_ARM_ENDPOINT").rstrip("/")
    if not arm.startswith("https://"):
        reader.refuse("AZURE_CLOUD_ARM_ENDPOINT", "must be an https URL for a custom cloud")
    return Cloud(
        name=name,
        arm=arm,
        audience=reader.text("AZURE_CLOUD_ARM_AUDIENCE") or arm,
        authority=reader.text("AZURE_CLOUD_AUTHORITY"),
        portal="https://portal.azure.com",
        ca_file=reader.text("AZURE_CLOUD_CA_FILE"),
    )


class _Reader:
    """Looks up table rows and collects problems instead of stopping at the first."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._entries = {entry.name: entry for entry in TABLE}
        self.problems: list[str] = []

    def refuse(self, name: str, reason: str) -> None:
        self.problems.append(f"{name} {reason}")

    def text(self, name: str) -> str:
        entry = self._entries[name]
        value = self._environment.get(name, "").strip()
        if value.startswith(UNRESOLVED):
            self.refuse(
                name,
                "is a Key Vault reference that the platform could not resolve: check the secret's "
                "name and that the app's identity may read it (role Key Vault Secrets User)",
            )
            return ""
        if value:
            return value
        if entry.default is None:
            self.refuse(name, f"must be set: {entry.text}")
            return ""
        return entry.default

    def words(self, name: str) -> tuple[str, ...]:
        return tuple(word.strip() for word in self.text(name).split(",") if word.strip())

    def parsed[T](self, name: str, parse: Callable[[str], T]) -> T:
        text = self.text(name)
        try:
            return parse(text)
        except ValueError as error:
            if text:
                self.refuse(name, f"is {text!r}: {error}")
            fallback: Any = None
            return fallback  # type: ignore[no-any-return]  # never seen: problems raise


def _mode(text: str) -> Mode:
    if text not in list(Mode):
        raise ValueError(f"must be {' or '.join(Mode)}; {did_you_mean(text, Mode)}")
    return Mode(text)


def _guid(text: str) -> str:
    return str(UUID(text))


def _guids(text: str) -> tuple[str, ...]:
    return tuple(_guid(word.strip()) for word in text.split(",") if word.strip())


def _scope(text: str) -> tuple[str, ...]:
    return () if text.lower() == "all" else _guids(text)


def _instant(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("needs a UTC offset, e.g. 2026-01-31T00:00:00Z")
    return moment.astimezone(UTC)


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < 1e9:
        raise ValueError("must be a positive number of seconds")
    return number


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError("must be a whole number of at least 1")
    return number


def _exporter(text: str) -> str:
    if text not in {"none", "console", "otlp", "azuremonitor"}:
        raise ValueError("must be none, console, otlp or azuremonitor")
    return text
