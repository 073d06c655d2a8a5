"""App settings as the host reads them: ``%NAME%``, connections, disabled functions."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

DEFAULT_CONNECTION = "AzureWebJobsStorage"
#: The emulator's published account (Azurite, "default storage account"): no secret.
EMULATOR_ACCOUNT = "devstoreaccount1"
EMULATOR_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)


class UnusableSetting(ValueError):
    """A setting the app's bindings need is missing or cannot be understood."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """App Service managed identity: where to ask for tokens, and the secret that lets us ask."""

    endpoint: str
    header: str
    client_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    account: str
    queue_url: str
    blob_url: str
    credential: str | Identity


def expand(text: str, settings: Mapping[str, str]) -> str:
    """Replace ``%NAME%`` by the setting of that name, which must exist."""

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name not in settings:
            raise UnusableSetting(f"%{name}% in {text!r}: there is no setting {name}")
        return settings[name]

    return re.sub(r"%([^%]+)%", value, text)


def is_disabled(function: str, settings: Mapping[str, str]) -> bool:
    """Tell whether ``AzureWebJobs.NAME.Disabled`` switches a function off."""
    wanted = f"azurewebjobs.{function}.disabled".lower()
    for name, value in settings.items():
        if name.lower().replace("_", ".") == wanted.replace("_", "."):
            return value.strip().lower() in {"true", "1"}
    return False


def connection(name: str, settings: Mapping[str, str]) -> Connection:
    """Find a storage connection: the exact name wins, then ``AzureWebJobs`` before it (facts §7.1).

    Either a connection string, or ``NAME__queueServiceUri`` and friends with a managed identity.
    """
    wanted = name or DEFAULT_CONNECTION
    for prefix in (wanted, f"AzureWebJobs{wanted}"):
        if text := settings.get(prefix, ""):
            return _from_string(prefix, text)
        if found := _by_identity(prefix, settings):
            return found
    raise UnusableSetting(
        f"connection {wanted!r}: neither a connection string nor {wanted}__queueServiceUri is set"
    )


def _from_string(name: str, text: str) -> Connection:
    parts = dict(part.split("=", 1) for part in text.strip().strip(";").split(";") if "=" in part)
    if parts.get("UseDevelopmentStorage", "").lower() == "true":
        return Connection(
            account=EMULATOR_ACCOUNT,
            queue_url=f"http://127.0.0.1:10001/{EMULATOR_ACCOUNT}",
            blob_url=f"http://127.0.0.1:10000/{EMULATOR_ACCOUNT}",
            credential=EMULATOR_KEY,
        )
    try:
        account, key = parts["AccountName"], parts["AccountKey"]
    except KeyError as missing:
        raise UnusableSetting(f"connection {name!r}: {missing.args[0]} is not in it") from None
    protocol = parts.get("DefaultEndpointsProtocol", "https")
    suffix = parts.get("EndpointSuffix", "core.windows.net")
    return Connection(
        account=account,
        queue_url=parts.get("QueueEndpoint", f"{protocol}://{account}.queue.{suffix}").rstrip("/"),
        blob_url=parts.get("BlobEndpoint", f"{protocol}://{account}.blob.{suffix}").rstrip("/"),
        credential=key,
    )


def _by_identity(name: str, settings: Mapping[str, str]) -> Connection | None:
    account = settings.get(f"{name}__accountName", "")
    default = f"https://{account}.%s.core.windows.net" if account else ""
    queue = settings.get(f"{name}__queueServiceUri") or settings.get(f"{name}__serviceUri", "")
    queue = queue or (default % "queue" if default else "")
    if not queue:
        return None
    blob = settings.get(f"{name}__blobServiceUri") or (default % "blob" if default else "")
    kind = settings.get(f"{name}__credential", "managedidentity")
    if kind != "managedidentity":
        raise UnusableSetting(f"connection {name!r}: credential {kind!r} is not hosted here")
    if not settings.get("IDENTITY_ENDPOINT"):
        raise UnusableSetting(f"connection {name!r}: it wants an identity and there is none")
    return Connection(
        account=account or queue.rstrip("/").rsplit("/", 1)[-1],
        queue_url=queue.rstrip("/"),
        blob_url=blob.rstrip("/"),
        credential=Identity(
            endpoint=settings["IDENTITY_ENDPOINT"],
            header=settings.get("IDENTITY_HEADER", ""),
            client_id=settings.get(f"{name}__clientId", ""),
        ),
    )
