"""Settings: what is wrong is said all at once, each with what to set."""

from __future__ import annotations

import pytest

from shared.errors import BadSettings
from shared.settings import Mode, read

GOOD = {
    "TENANT_ID": "11111111-1111-4111-8111-111111111111",
    "RULES_URI": "rules.yaml",
    "AzureWebJobsStorage": "UseDevelopmentStorage=true",
}


def said(**changes: str) -> str:
    with pytest.raises(BadSettings) as caught:
        read({**GOOD, **changes})
    return str(caught.value)


def test_a_new_deployment_observes():
    assert read(GOOD).mode is Mode.OBSERVE


@pytest.mark.parametrize("text", ["", "all"])
def test_nothing_named_is_every_subscription(text):
    assert read({**GOOD, "SUBSCRIPTIONS": text}).subscriptions == ()


def test_everything_that_is_missing_is_named_at_once():
    with pytest.raises(BadSettings) as caught:
        read({})
    lines = str(caught.value).splitlines()

    assert [line.split()[0] for line in lines] == [
        "AzureWebJobsStorage__queueServiceUri",
        "TENANT_ID",
        "RULES_URI",
    ]


@pytest.mark.parametrize(
    "name, value, says",
    [
        pytest.param("MODE", "observ", "must be observe or enforce; did you mean 'observe'?", id="mode"),
        pytest.param("TENANT_ID", "contoso", "badly formed", id="no guid"),
        pytest.param("SUBSCRIPTIONS", "a,b", "badly formed", id="no guids"),
        pytest.param("ENROLL_SINCE", "2026-01-31", "needs a UTC offset", id="a day without offset"),
        pytest.param("INSTANCES", "0", "at least 1", id="no instance"),
        pytest.param("SWEEP_SECONDS", "-5", "positive", id="negative seconds"),
        pytest.param("AZURE_CLOUD", "moon", "must be one of", id="another cloud"),
        pytest.param("CLOCK", "http://127.0.0.1:1/", "loopback", id="a clock in production"),
        pytest.param("LOCAL_SIGN_IN", "x", "laptop", id="local sign-in in production"),
        pytest.param(
            "SMTP_URL",
            "@Microsoft.KeyVault(SecretUri=https://kv.vault.azure.net/secrets/smtp/)",
            "Key Vault Secrets User",
            id="a reference that did not resolve",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_what_to_set(name, value, says):
    text = said(**{name: value})

    assert text.startswith(f"{name} ")
    assert says in text


def test_a_secret_is_never_repeated():
    assert "hunter2" not in said(MODE="x", SMTP_URL="smtp://me:hunter2@mail")
