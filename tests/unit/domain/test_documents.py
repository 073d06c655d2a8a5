"""Every line of the guides has an answer, and the texts say what the guides said."""

import re
from pathlib import Path

import pytest

from docs.generate import checks, documents
from shared.domain.catalogue import CATALOGUE
from shared.domain.decide import decide
from shared.domain.decisions import Enroll
from shared.domain.limits import LIMITS
from shared.domain.model import NetworkPath, OsType, Reachability
from shared.domain.remedies import agent, disks, network
from shared.domain.rules import parse
from shared.errors import BadRules
from tests.unit.domain.worlds import NOW, RULES, rules, snapshot, vm

ROOT = Path(__file__).parents[3]
CONTENT = documents.load()
LINES, MATRIX = CONTENT["lines"], CONTENT["matrix"]
BLOCKED = NetworkPath(answer=Reachability.BLOCKED, decided_by="x", remedy_az="az x", nsg="nsg-1")


def words(*remedies) -> str:
    return "\n".join(f"{one.text}\n{one.az}\n{one.powershell}" for one in remedies)


def test_no_line_of_the_guides_is_forgotten() -> None:
    assert [line["n"] for line in LINES] == list(range(1, 121))
    parts = {part["id"] for part in CONTENT["parts"]}
    for line in LINES:
        assert line["part"] in parts
        assert set(line["in"]) <= set(CONTENT["documents"])
        assert re.fullmatch(r"S\d+( S\d+)*", line["rows"])


@pytest.mark.parametrize("line", LINES + MATRIX, ids=[str(one["n"]) for one in LINES + MATRIX])
def test_a_line_or_row_has_a_test_or_a_reason_to_be_obsolete(line) -> None:
    assert line.get("codes") or line.get("does") or line.get("obsolete")
    assert line.get("test") or line.get("obsolete")
    for code in line.get("codes", ()):
        assert code in CATALOGUE
    for place in line.get("where", ()):
        assert (ROOT / place).exists(), place
    for one in line.get("test", ()):
        file, name = one.split("::")
        assert f"def {name}(" in (ROOT / file).read_text(encoding="utf-8"), one


def test_every_seed_row_is_behind_some_line() -> None:
    rows = {row for line in LINES for row in line["rows"].split()}
    assert rows == {f"S{number}" for number in range(1, 31)}


def test_every_contradiction_says_who_says_what_and_what_decides() -> None:
    assert len(CONTENT["contradictions"]) == 10
    for one in CONTENT["contradictions"]:
        assert one["decides"]
        assert all(s["in"] and s["date"] and s["value"] for s in one["statements"])


def test_the_generated_documents_are_current(golden_of) -> None:
    golden_of("docs/checks.md", checks.markdown())
    golden_of("docs/from-the-documents.md", documents.markdown())


@pytest.fixture
def golden_of(request):
    def compare(name: str, text: str) -> None:
        if request.config.getoption("--update-golden"):
            (ROOT / name).write_text(text, encoding="utf-8")
        assert (ROOT / name).read_text(encoding="utf-8") == text, "run python -m docs.generate"

    return compare


def test_the_list_of_checks_holds_every_code_and_limit() -> None:
    text = checks.markdown()
    for code in CATALOGUE:
        assert f"| `{code}` |" in text
    for row in LIMITS.rows:
        assert f"| `{row.name}` |" in text


# --- texts that lines of the guides ask for ------------------------------------------------------


@pytest.mark.parametrize(
    "name, fine",
    [
        ("a1", True),
        ("A" * 50, True),
        ("a", False),
        ("A" * 51, False),
        ("1a", False),
        ("a_b", False),
        ("rsv-{region}", True),
    ],
)
def test_names_of_vaults_are_checked(name, fine) -> None:
    text = RULES + f"new_vaults: {{name: '{name}'}}\n"
    if fine:
        parse(text)
    else:
        with pytest.raises(BadRules, match="makes no vault name"):
            parse(text)


def test_the_agents_remedies_say_what_the_guides_say() -> None:
    windows = words(*agent.install(vm()))
    for word in ("administrator", "MSI", "over what is there", "WaAppAgent.exe", "2.6.1198.718"):
        assert word in windows
    linux = words(*agent.install(vm(os=OsType.LINUX)))
    for word in ("root", "distribution's own", "not from GitHub", "install or update"):
        assert word in linux
    assert len(agent.install(vm(os=None))) == 2


def test_the_storage_firewalls_two_settings_come_in_the_guides_order() -> None:
    text = words(*disks.convert_to_managed(vm()))
    assert text.index("all networks") < text.index("selected networks")
    assert "trusted Microsoft services" in text
    assert "no file restore" in text


def test_the_three_ways_out_come_with_what_they_cost() -> None:
    rule, firewall, proxy = network.blocked(BLOCKED)
    assert "Costs nothing" in rule.text
    assert "opens all" in rule.text
    assert "nsg-1; it then serves every VM" in rule.text
    assert "FQDN tag" in firewall.text
    assert "cannot be changed" in firewall.text
    assert "full control" in proxy.text
    assert "a VM to run" in proxy.text


def test_no_remedy_of_the_network_lists_addresses_of_azure() -> None:
    text = words(
        *network.blocked(BLOCKED),
        *network.unknown(),
        network.windows_proxy(),
        network.linux_proxy(),
        network.proxy_server(),
    )
    found = set(re.findall(r"\b\d{1,3}(?:\.\d{1,3}){3}\b", text))
    assert found <= {"168.63.129.16"}  # the platform's one address


def test_the_proxy_remedy_says_what_the_guides_say() -> None:
    proxy = network.proxy().text
    for word in (
        "*.blob.core.windows.net",
        "only the account",
        "one outbound address",
        "nothing else may change",
        "407",
        "not supported",
    ):
        assert word in proxy
    windows = words(network.windows_proxy())
    for word in (
        "netsh winhttp",
        "PsExec",
        "S-1-5-18",
        "DefaultConnectionSettings",
        "SavedLegacySettings",
        "ProxyEnable",
        "ProxyServer",
        "every outgoing HTTP",
    ):
        assert word in windows
    linux = words(network.linux_proxy())
    for word in (
        "/etc/environment",
        "http_proxy",
        "HttpProxy.Host",
        "HttpProxy.Port",
        "/etc/waagent.conf",
        "Python 2.7",
    ):
        assert word in linux
    server = words(network.proxy_server())
    for word in (
        "/32",
        "Internet",
        "Storage.<region>",
        "80 443",
        "not the range",
        "-LocalPort",
        "-Direction Inbound",
        "only if",
        "Add-AzNetworkSecurityRuleConfig",
    ):
        assert word in server
    assert "80-443" not in server
    assert "Set-AzureNetworkSecurityRule" not in server  # fmt: skip


def test_addresses_are_no_reason_to_refuse_a_vm() -> None:
    """No endpoint, a fixed address: an ARM VM is enrolled without a word about either."""
    verdict = decide(snapshot(vm(nics=("nic-with-reserved-ip",))), rules(), (), NOW)
    assert isinstance(verdict.decision, Enroll)
    assert verdict.findings == ()
