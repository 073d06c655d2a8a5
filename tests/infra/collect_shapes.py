"""Writes `shapes.json`: what Azure's own SDK models say about each property that infra/ sets.

Run by hand after a change that uses a new property or type; review the diff. It refuses a property
that the model does not have, so nothing gets into the table unseen. Needs the packages in MODELS,
which are of no use to anything else here and therefore are in no requirements file.

    python -m tests.infra.collect_shapes
"""

from __future__ import annotations

import importlib
import json
import re
import sys
from enum import Enum
from importlib.metadata import version
from typing import Any

from tests.infra.bicep import FILES, INFRA, Expr, read
from tests.infra.shapes import used

TABLE = INFRA.parent / "tests" / "infra" / "shapes.json"
_STORAGE = ("azure-mgmt-storage", "azure.mgmt.storage.models")
_WEB = ("azure-mgmt-web", "azure.mgmt.web.models")
_MONITOR = "azure-mgmt-monitor"  # 6.x: later ones have no diagnostic settings
_INSIGHTS = ("azure-mgmt-applicationinsights", "azure.mgmt.applicationinsights.models")
_ROLES = ("azure-mgmt-authorization", "azure.mgmt.authorization.models")
_NETWORK = ("azure-mgmt-network", "azure.mgmt.network.models")
_DNS = ("azure-mgmt-privatedns", "azure.mgmt.privatedns.models")
_EVENTS = ("azure-mgmt-eventgrid", "azure.mgmt.eventgrid.models")
_POLICY = ("azure-mgmt-resource-policy", "azure.mgmt.resource.policy.models")
MODELS: dict[str, tuple[str, str, str]] = {
    "Microsoft.Authorization/policyAssignments": (*_POLICY, "PolicyAssignment"),
    "Microsoft.Authorization/policyDefinitions": (*_POLICY, "PolicyDefinition"),
    "Microsoft.Authorization/roleAssignments": (*_ROLES, "RoleAssignmentCreateParameters"),
    "Microsoft.Authorization/roleDefinitions": (*_ROLES, "RoleDefinition"),
    "Microsoft.EventGrid/systemTopics": (*_EVENTS, "SystemTopic"),
    "Microsoft.EventGrid/systemTopics/eventSubscriptions": (*_EVENTS, "EventSubscription"),
    "Microsoft.Insights/actionGroups": (
        _MONITOR, "azure.mgmt.monitor.v2023_01_01.models", "ActionGroupResource",
    ),
    "Microsoft.Insights/components": (*_INSIGHTS, "ApplicationInsightsComponent"),
    "Microsoft.Insights/diagnosticSettings": (
        _MONITOR, "azure.mgmt.monitor.v2021_05_01_preview.models", "DiagnosticSettingsResource",
    ),
    "Microsoft.Insights/scheduledQueryRules": (
        _MONITOR, "azure.mgmt.monitor.v2022_08_01_preview.models", "ScheduledQueryRuleResource",
    ),
    "Microsoft.Insights/workbooks": (*_INSIGHTS, "Workbook"),
    "Microsoft.KeyVault/vaults": (
        "azure-mgmt-keyvault", "azure.mgmt.keyvault.models", "VaultCreateOrUpdateParameters",
    ),
    "Microsoft.ManagedIdentity/userAssignedIdentities": (
        "azure-mgmt-msi", "azure.mgmt.msi.models", "Identity",
    ),
    "Microsoft.Network/networkSecurityGroups": (*_NETWORK, "NetworkSecurityGroup"),
    "Microsoft.Network/privateDnsZones": (*_DNS, "PrivateZone"),
    "Microsoft.Network/privateDnsZones/virtualNetworkLinks": (*_DNS, "VirtualNetworkLink"),
    "Microsoft.Network/privateEndpoints": (*_NETWORK, "PrivateEndpoint"),
    "Microsoft.Network/privateEndpoints/privateDnsZoneGroups": (*_NETWORK, "PrivateDnsZoneGroup"),
    "Microsoft.Network/virtualNetworks": (*_NETWORK, "VirtualNetwork"),
    "Microsoft.OperationalInsights/workspaces": (
        "azure-mgmt-loganalytics", "azure.mgmt.loganalytics.models", "Workspace",
    ),
    "Microsoft.RecoveryServices/vaults": (
        "azure-mgmt-recoveryservices", "azure.mgmt.recoveryservices.models", "Vault",
    ),
    "Microsoft.Resources/resourceGroups": (
        "azure-mgmt-resource", "azure.mgmt.resource.resources.models", "ResourceGroup",
    ),
    "Microsoft.Storage/storageAccounts": (*_STORAGE, "StorageAccountCreateParameters"),
    "Microsoft.Storage/storageAccounts/blobServices": (*_STORAGE, "BlobServiceProperties"),
    "Microsoft.Storage/storageAccounts/blobServices/containers": (*_STORAGE, "BlobContainer"),
    "Microsoft.Storage/storageAccounts/managementPolicies": (*_STORAGE, "ManagementPolicy"),
    "Microsoft.Storage/storageAccounts/queueServices": (*_STORAGE, "QueueServiceProperties"),
    "Microsoft.Storage/storageAccounts/queueServices/queues": (*_STORAGE, "StorageQueue"),
    "Microsoft.Storage/storageAccounts/tableServices": (*_STORAGE, "TableServiceProperties"),
    "Microsoft.Storage/storageAccounts/tableServices/tables": (*_STORAGE, "Table"),
    "Microsoft.Web/serverfarms": (*_WEB, "AppServicePlan"),
    "Microsoft.Web/sites": (*_WEB, "Site"),
    "Microsoft.Web/sites/basicPublishingCredentialsPolicies": (
        *_WEB, "CsmPublishingCredentialsPoliciesEntity",
    ),
    "Microsoft.Web/sites/config": (*_WEB, "StringDictionary"),
}  # fmt: skip
FREE = "free"  # below here the caller chooses the names


class Unknown(Exception):
    """A property that the model does not have."""


def _fields(module: Any, model: type) -> dict[str, str]:
    """Give path -> type text of a model, in either style of Azure's SDKs, subtypes included."""
    found: dict[str, str] = {}
    for one in (model, *_below(model)):
        if hasattr(one, "_attribute_map"):
            for field in one._attribute_map.values():
                name = field["key"].replace("\\\\.", "\0").replace("\\.", "\0")
                found.setdefault(name.replace("\0", "·"), field["type"])
        else:
            one()  # the fields of this style are known after the first instance
            for attribute, field in one._attr_to_rest_field.items():
                found.setdefault(field._rest_name, str(_annotation(one, attribute)))
    return found


def _below(model: type) -> list[type]:
    return [deeper for child in model.__subclasses__() for deeper in (child, *_below(child))]


def _annotation(model: type, attribute: str) -> object:
    return next(
        one.__annotations__[attribute]
        for one in model.__mro__
        if attribute in vars(one).get("__annotations__", {})
    )


def _named(module: Any, kind: str) -> list[Any]:
    words = re.findall(r"\w+", kind)
    return [
        getattr(module, word) for word in words if isinstance(getattr(module, word, None), type)
    ]


def _resolve(module: Any, model: type, steps: list[str]) -> str | list[str]:
    """Follow a path; give the allowed values of an enumeration, `free`, or `value`."""
    fields = _fields(module, model)
    for length in range(1, len(steps) + 1):
        name = ".".join(step.removesuffix("[]") for step in steps[:length])
        if name in fields:
            return _inner(module, fields[name], steps[length:])
    if any(field.startswith(".".join(steps) + ".") for field in fields):
        return "value"  # an object that the SDK flattens away
    raise Unknown(f"{model.__name__} has no {'.'.join(steps)}; it has {sorted(fields)}")


def _inner(module: Any, kind: str, rest: list[str]) -> str | list[str]:
    if re.match(r"(typing\.)?(Optional\[)?(typing\.)?(dict|Dict)\[str|\{", kind) or kind in {
        "object", "Any", "typing.Any", "Optional[Any]", "typing.Optional[typing.Any]",
    }:  # fmt: skip
        return FREE
    types = _named(module, kind)
    enums = [one for one in types if issubclass(one, Enum)]
    models = [one for one in types if not issubclass(one, Enum)]
    if rest:
        for one in models:
            return _resolve(module, one, rest)
        raise Unknown(f"{'.'.join(rest)} in {kind}")
    return [str(member.value) for one in enums for member in one] or "value"


def main() -> int:
    table: dict[str, Any] = {}
    unknown = []
    for path in FILES:
        for resource in read(path).resources.values():
            package, modulename, name = MODELS[resource.type]
            table.setdefault(
                f"{resource.type}@{resource.api}",
                {"source": f"{package} {version(package)}: {modulename}.{name}", "properties": {}},
            )
        for resource, (where, literal) in used(path):
            _, modulename, name = MODELS[resource.type]
            module = importlib.import_module(modulename)
            properties = table[f"{resource.type}@{resource.api}"]["properties"]
            steps = where.split(".")
            if any(properties.get(".".join(steps[:count])) == FREE for count in range(len(steps))):
                continue
            try:
                properties[where] = _resolve(module, getattr(module, name), steps)
            except Unknown as error:
                shown = "" if isinstance(literal, (Expr, dict, list)) else f" = {literal!r}"
                unknown.append(f"{path.name}: {resource.symbol}.{where}{shown}: {error}")
    for entry in table.values():
        entry["properties"] = dict(sorted(entry["properties"].items()))
    TABLE.write_text(json.dumps(dict(sorted(table.items())), indent=1) + "\n", encoding="utf-8")
    sys.stdout.write("\n".join(unknown) or f"{TABLE.name}: {len(table)} types\n")
    return 1 if unknown else 0


if __name__ == "__main__":
    sys.exit(main())
