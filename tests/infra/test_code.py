"""infra/ against the code: settings, queues, tables, containers, functions, filters, metrics."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

from shared.adapters.queues import QueueName
from shared.adapters.stores import TableName
from shared.domain import events
from shared.settings import TABLE
from shared.settings import read as read_settings
from tests.infra.bicep import INFRA, ROOT, Expr, Value, read

APP = read(INFRA / "modules/app.bicep")
STORAGE = read(INFRA / "modules/storage.bicep")
EVENTS = read(INFRA / "modules/events.bicep")
DEFAULTS = {entry.name: entry.default for entry in TABLE}

# Settings that make no sense in Azure, each with its reason.
NOT_IN_AZURE = {
    "AzureWebJobsStorage": "the emulator's connection string; in Azure the identity signs in",
    "AZURE_CLOUD_ARM_ENDPOINT": "only for AZURE_CLOUD=custom, the simulator's",
    "AZURE_CLOUD_ARM_AUDIENCE": "only for AZURE_CLOUD=custom, the simulator's",
    "AZURE_CLOUD_AUTHORITY": "only for AZURE_CLOUD=custom, the simulator's",
    "AZURE_CLOUD_CA_FILE": "only for AZURE_CLOUD=custom, the simulator's",
    "LOCAL_SIGN_IN": "the laptop's sign-in; settings.py refuses it elsewhere",
}
# Settings of the Functions host and its worker, not of the product (facts §7.2, §7.7).
OF_THE_HOST = {
    "AzureWebJobsStorage__credential",
    "AzureWebJobsStorage__clientId",
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
    "PYTHON_ENABLE_OPENTELEMETRY",
}


def app_settings() -> dict[str, Value]:
    settings = APP.variables["settings"]
    assert isinstance(settings, dict)
    further = re.findall(r"^  (\w+): (.+)$", text_of_variable("furtherSettings"), re.MULTILINE)
    return settings | {name: f"{{{value}}}" for name, value in further}


def text_of_variable(name: str) -> str:
    found = APP.variables[name]
    assert isinstance(found, Expr)
    return found.text


# --- settings ------------------------------------------------------------------------------------


def test_every_setting_the_app_reads_is_set_and_no_other():
    assert set(app_settings()) == (set(DEFAULTS) - set(NOT_IN_AZURE)) | OF_THE_HOST


def test_all_of_them_reach_the_app():
    properties = APP.resources["appSettings"].body["properties"]

    assert properties.text == "union(settings, furtherSettings, tuning)"
    assert APP.resources["appSettings"].body["name"] == "appsettings"


def test_fixed_values_are_the_tables_defaults():
    fixed = {
        name: value
        for name, value in app_settings().items()
        if isinstance(value, str) and name in DEFAULTS and not value.startswith("{")
    }

    assert fixed.pop("TELEMETRY_EXPORTER") == "azuremonitor"
    assert {name: DEFAULTS[name] for name in fixed} == fixed


def test_parameters_that_become_settings_default_to_the_tables_values():
    main = read(INFRA / "main.bicep")
    pairs = {
        "mode": "MODE",
        "enrollSince": "ENROLL_SINCE",
        "mailFrom": "MAIL_FROM",
        "acsEndpoint": "ACS_ENDPOINT",
        "topicEndpoint": "TOPIC_ENDPOINT",
        "authClientId": "AUTH_CLIENT_ID",
        "otlpEndpoint": "OTEL_EXPORTER_OTLP_ENDPOINT",
    }

    assert {param: main.params[param].default for param in pairs} == {
        param: DEFAULTS[name] for param, name in pairs.items()
    }
    assert main.params["languages"].default == (DEFAULTS["LANGUAGES"] or "").split(",")


def test_the_instance_cap_is_what_the_governor_is_told():
    site = APP.resources["app"].body["properties"]
    scale = site["functionAppConfig"]["scaleAndConcurrency"]

    assert scale["maximumInstanceCount"].text == "instances"
    assert app_settings()["INSTANCES"].text == "string(instances)"
    default = read(INFRA / "main.bicep").params["instances"].default
    assert str(default) == DEFAULTS["INSTANCES"]


def test_secrets_come_from_the_vault_and_from_nowhere_else():
    references = APP.variables["references"]
    settings = app_settings()
    secret = {entry.name for entry in TABLE if entry.secret} - set(NOT_IN_AZURE)

    # With local authentication off the connection string is an address (modules/telemetry.bicep).
    assert secret == {"TEAMS_WEBHOOK_URL", "SMTP_URL", "APPLICATIONINSIGHTS_CONNECTION_STRING"}
    assert settings["TEAMS_WEBHOOK_URL"].text == "useTeamsWebhook ? references.teams : ''"
    assert settings["SMTP_URL"].text == "useSmtp ? references.smtp : ''"
    assert all(one.text.startswith("'@Microsoft.KeyVault(") for one in references.values())
    component = read(INFRA / "modules/telemetry.bicep").resources["component"]
    assert component.body["properties"]["DisableLocalAuth"] is True


def test_the_clouds_are_those_of_the_settings():
    wanted = set(APP.variables["clouds"].values())

    for name in wanted:
        settings = read_settings(
            {
                "TENANT_ID": "00000000-0000-4000-8000-000000000000",
                "RULES_URI": "rules.yaml",
                "AzureWebJobsStorage": "UseDevelopmentStorage=true",
                "AZURE_CLOUD": name,
            }
        )
        assert settings.cloud.name == name
    assert "custom" not in wanted


def test_the_python_and_the_settings_worker_are_the_projects():
    runtime = APP.resources["app"].body["properties"]["functionAppConfig"]["runtime"]
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")

    assert f'requires-python = ">={runtime["version"]}"' in project
    assert runtime["name"] == "python"


# --- storage -------------------------------------------------------------------------------------


def bindings() -> dict[str, dict[str, str]]:
    """Give function name -> its decorators' keyword arguments, from function_app.py."""
    tree = ast.parse((ROOT / "function_app.py").read_text(encoding="utf-8"))
    return {
        node.name: {
            f"{call.func.attr}.{keyword.arg}": ast.unparse(keyword.value).strip("'")
            for call in node.decorator_list
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)
            for keyword in call.keywords
        }
        for node in tree.body
        if isinstance(node, ast.AsyncFunctionDef) and node.decorator_list
    }


def test_queues_are_those_the_functions_bind_and_the_adapter_names():
    listed = STORAGE.lists(STORAGE.variables["queues"])
    bound = {
        value
        for arguments in bindings().values()
        for name, value in arguments.items()
        if name.endswith(".queue_name")
    }

    assert set(listed) == bound
    assert {name for name in listed if not str(name).endswith("-poison")} == set(QueueName)


def test_every_queue_has_its_poison_queue():
    listed = set(STORAGE.lists(STORAGE.variables["queues"]))

    assert {f"{name}-poison" for name in QueueName} <= listed


def test_tables_are_those_of_the_stores():
    assert set(STORAGE.lists(STORAGE.variables["tables"])) == set(TableName)


def test_containers_hold_the_package_and_the_rules():
    deployment = APP.resources["app"].body["properties"]["functionAppConfig"]["deployment"]

    assert set(STORAGE.lists(STORAGE.variables["containers"])) == {"deployments", "rules"}
    assert deployment["storage"]["value"].text == "'${blobUri}deployments'"
    assert app_settings()["RULES_URI"].text == "'${blobUri}rules/rules.yaml'"


@pytest.mark.parametrize(
    "variable, resource", [("queues", "queue"), ("tables", "table"), ("containers", "container")]
)
def test_lists_become_resources(variable, resource):
    assert f"in {variable}: {{" in (INFRA / "modules/storage.bicep").read_text(encoding="utf-8")
    assert STORAGE.resources[resource].repeated


def test_nothing_of_ours_has_a_shared_key():
    account = STORAGE.resources["account"].body["properties"]
    undelivered = read(INFRA / "modules/dead-letter.bicep").resources["account"].body["properties"]

    assert account["allowSharedKeyAccess"] is False
    assert undelivered["allowSharedKeyAccess"].text == "allowSharedKey"
    for path in INFRA.rglob("*.bicep"):
        assert not re.search(r"listKeys|listAccountSas|listServiceSas|AccountKey", path.read_text())


# --- events --------------------------------------------------------------------------------------


def test_events_go_to_the_function_that_takes_events():
    (function,) = [
        name for name, args in bindings().items() if "event_grid_trigger.arg_name" in args
    ]
    delivery = EVENTS.resources["delivery"].body["properties"]["destination"]

    assert delivery["properties"]["resourceId"].text == f"'${{appId}}/functions/{function}'"
    always_ready = APP.resources["app"].body["properties"]["functionAppConfig"]
    assert f"function:{function}" in always_ready["scaleAndConcurrency"]["alwaysReady"].text


def test_operations_listened_to_are_those_the_intake_looks_at():
    operations, subject = EVENTS.variables["filters"]["arm"]["advancedFilters"]

    assert {value.lower() for value in operations["values"]} == events._LOOKED_AT
    assert (operations["operatorType"], operations["key"]) == ("StringIn", "data.operationName")
    assert subject["values"] == ["/providers/Microsoft.Compute/virtualMachines/"]


@pytest.mark.parametrize("kind", ["arm", "notifications"])
def test_event_types_are_those_the_intake_understands(kind):
    known = {"arm": events._ARM, "notifications": events._NOTIFICATION}[kind]

    for name in EVENTS.variables["filters"][kind]["includedEventTypes"]:
        assert known.fullmatch(name.lower()), name


def filter_as_event_grid_sees(operation: str, subject: str) -> bool:
    found = True
    for one in EVENTS.variables["filters"]["arm"]["advancedFilters"]:
        text = {"data.operationName": operation, "subject": subject}[one["key"]].lower()
        values = [value.lower() for value in one["values"]]
        found &= (
            text in values if one["operatorType"] == "StringIn" else any(v in text for v in values)
        )
    return found


VM = "/subscriptions/s/resourcegroups/g/providers/microsoft.compute/virtualmachines/vm"


@pytest.mark.parametrize(
    "operation, subject, passes",
    [
        pytest.param("Microsoft.Compute/virtualMachines/write", VM, True, id="a VM is written"),
        pytest.param("MICROSOFT.COMPUTE/VIRTUALMACHINES/DELETE", VM, True, id="deleted, odd case"),
        pytest.param("Microsoft.Resources/tags/write", f"{VM}/providers/Microsoft.Resources/tags/default", True, id="tags of a VM"),
        pytest.param("Microsoft.Resources/tags/write", "/subscriptions/s/resourceGroups/g", False, id="tags of a group"),
        pytest.param("Microsoft.Compute/virtualMachines/extensions/write", f"{VM}/extensions/x", False, id="extension storm"),
        pytest.param("Microsoft.Compute/disks/write", "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/disks/d", False, id="disk"),
    ],
)  # fmt: skip
def test_the_filter_lets_through_what_matters_and_no_storm(operation, subject, passes):
    assert filter_as_event_grid_sees(operation, subject) is passes


def test_filters_stay_within_event_grids_limits():
    for kind in EVENTS.variables["filters"].values():
        values = [value for one in kind["advancedFilters"] for value in one["values"]]
        assert len(kind["advancedFilters"]) <= 25  # facts §5.6
        assert len(values) <= 25
        assert max(map(len, values)) <= 512


def test_the_policys_event_subscription_is_the_modules():
    template = json.loads((INFRA / "policy-onboard.json").read_text(encoding="utf-8"))
    (resource,) = template["resources"]
    module = EVENTS.resources["delivery"]

    assert resource["name"] == module.body["name"]
    assert resource["apiVersion"] == module.api
    properties, ours = resource["properties"], module.body["properties"]
    assert properties["filter"] == EVENTS.variables["filters"]["arm"]
    assert properties["retryPolicy"] == ours["retryPolicy"]
    assert properties["eventDeliverySchema"] == ours["eventDeliverySchema"]
    batch = {k: v for k, v in ours["destination"]["properties"].items() if k != "resourceId"}
    assert {
        k: v for k, v in properties["destination"]["properties"].items() if k != "resourceId"
    } == batch


def test_the_policy_looks_for_what_it_deploys():
    group = read(INFRA / "management-group.bicep")
    details = group.resources["definition"].body["properties"]["policyRule"]["then"]["details"]
    (resource,) = json.loads((INFRA / "policy-onboard.json").read_text())["resources"]

    assert (details["type"], details["name"]) == (resource["type"], resource["name"])
    assert set(details["deployment"]["properties"]["parameters"]) == {"functionId"}


# --- alerts and workbook -------------------------------------------------------------------------

ALERTS = json.loads((INFRA / "alerts.json").read_text(encoding="utf-8"))
every_alert = pytest.mark.parametrize("alert", ALERTS, ids=[one["name"] for one in ALERTS])


def metrics() -> dict[str, set[str]]:
    """Give metric -> labels, from every call of `telemetry` in the product."""
    found: dict[str, set[str]] = {}
    for path in (ROOT / "shared").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in {"count", "measure", "level"}
                and ast.unparse(node.func.value) == "telemetry"
                and isinstance(node.args[0], ast.Constant)
            ):
                labels = {str(keyword.arg) for keyword in node.keywords}
                found.setdefault(str(node.args[0].value), set()).update(labels)
    return found


@every_alert
def test_an_alert_asks_for_metrics_that_the_product_emits(alert):
    asked = set(re.findall(r"'(enrollment\.\w+)'", alert["query"]))
    known = metrics()

    assert asked == set(alert["metrics"]) != set()
    assert asked <= set(known)
    labels = set(re.findall(r"Properties\.(\w+)", alert["query"]))
    assert labels <= set().union(*(known[name] for name in asked))


@every_alert
def test_an_alert_gives_one_number_even_of_silence(alert):
    stages = [stage.strip() for stage in alert["query"].split("|")]

    assert " by " not in stages[-1], "a grouped result is empty when nothing was recorded"
    assert re.search(r"\bvalue = ", stages[-1])
    assert alert["operator"] in {"GreaterThan", "LessThan"}
    window, every = (alert[name] for name in ("window", "every"))
    assert {window, every} <= {"PT15M", "PT1H", "P1D"}


@every_alert
def test_an_alert_names_a_section_of_the_runbook(alert):
    assert alert["section"] == f"alert-{alert['name']}"
    assert alert["section"] in anchors()


def anchors() -> set[str]:
    """Give the anchors that GitHub makes of the runbook's headings, and those set by hand."""
    text = (ROOT / "docs/runbook.md").read_text(encoding="utf-8")
    headings = re.findall(r"^#{2,4} (.+)$", text, re.MULTILINE)
    made = {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings}
    return made | set(re.findall(r'<a id="([\w-]+)"></a>', text))


def test_silence_is_alerted_on():
    names = {alert["name"] for alert in ALERTS}

    assert {"no-sweep", "no-events", "notices-parked", "messages-parked"} <= names


def test_the_workbook_asks_for_metrics_that_the_product_emits():
    text = (INFRA / "workbook.json").read_text(encoding="utf-8")
    known = metrics()

    asked = set(re.findall(r"'(enrollment\.\w+)'", text))
    assert asked <= set(known)
    labels = set(re.findall(r"Properties\.(\w+)", text))
    assert labels <= set().union(*(known[name] for name in asked))


# --- hook and outputs ----------------------------------------------------------------------------


def test_the_hook_uses_outputs_that_there_are_and_azds_own_names():
    hook = (INFRA / "hooks/postdeploy.sh").read_text(encoding="utf-8")
    outputs = set(read(INFRA / "main.bicep").outputs)
    used = set(re.findall(r"\bSERVICE_[A-Z_]+", hook))

    assert used <= outputs


def test_azds_file_names_what_there_is():
    text = (ROOT / "azure.yaml").read_text(encoding="utf-8")
    for path in re.findall(r"run: (\S+)", text):
        assert (ROOT / path).stat().st_mode & 0o100, f"{path} must be executable"
    (service,) = re.findall(r"^  (\w+):\n    project: \.$", text, re.MULTILINE)
    tags = APP.resources["app"].body["tags"]
    assert f"'azd-service-name': '{service}'" in tags.text
    main = (INFRA / "main.bicep").read_text(encoding="utf-8")
    assert "'azd-env-name': environmentName" in main


@pytest.mark.parametrize(
    "path",
    sorted(set(INFRA.glob("*.json")) - {INFRA / "scan-exceptions.json"}),
    ids=lambda path: path.name,
)
def test_data_files_are_used(path: Path):
    text = "".join(one.read_text(encoding="utf-8") for one in INFRA.rglob("*.bicep"))

    assert f"{path.name}'" in text
