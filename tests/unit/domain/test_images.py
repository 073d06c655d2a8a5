"""Images: judged by facts. Whatever a VM was made from, it is enrolled if it is otherwise fit.

The aliases are those that the Azure command line ships; Azure's own built-in policy matches nine
of the fourteen (row F10).
"""

import pytest

from shared.domain.decide import decide
from shared.domain.decisions import Enroll
from shared.domain.findings import Severity
from shared.domain.model import Image, OsType
from tests.unit.domain.worlds import NOW, rules, snapshot, vm

L, W = OsType.LINUX, OsType.WINDOWS
SERVER = ("MicrosoftWindowsServer", "WindowsServer")
ALIASES = {
    "CentOS85Gen2": (L, "OpenLogic", "CentOS", "8_5-gen2"),
    "Debian11": (L, "Debian", "debian-11", "11-backports-gen2"),
    "FlatcarLinuxFreeGen2": (L, "kinvolk", "flatcar-container-linux-free", "stable-gen2"),
    "OpenSuseLeap154Gen2": (L, "SUSE", "opensuse-leap-15-4", "gen2"),
    "RHELRaw8LVMGen2": (L, "RedHat", "RHEL", "8-lvm-gen2"),
    "SuseSles15SP5": (L, "SUSE", "sles-15-sp5", "gen2"),
    "Ubuntu2204": (L, "Canonical", "0001-com-ubuntu-server-jammy", "22_04-lts-gen2"),
    "Ubuntu2404": (L, "Canonical", "ubuntu-24_04-lts", "server"),
    "Win2022Datacenter": (W, *SERVER, "2022-datacenter-g2"),
    "Win2022AzureEditionCore": (W, *SERVER, "2022-datacenter-azure-edition-core"),
    "Win2019Datacenter": (W, *SERVER, "2019-datacenter-gensecond"),
    "Win2016Datacenter": (W, *SERVER, "2016-datacenter-gensecond"),
    "Win2012R2Datacenter": (W, *SERVER, "2012-R2-Datacenter"),
    "Win2012Datacenter": (W, *SERVER, "2012-Datacenter"),
}
REMARKS = {
    "FlatcarLinuxFreeGen2": {"OS_UNSUPPORTED"},
    "Win2012R2Datacenter": {"OS_OLD"},
    "Win2012Datacenter": {"OS_OLD"},
}


def enrolled(**changes) -> set[str]:
    verdict = decide(snapshot(vm(**changes)), rules(), (), NOW)
    assert isinstance(verdict.decision, Enroll), verdict
    assert all(one.severity is Severity.ADVISORY for one in verdict.findings)
    return {one.code for one in verdict.findings}


@pytest.mark.parametrize("alias", ALIASES)
def test_a_vm_of_each_alias_is_enrolled_by_its_image_alone(alias) -> None:
    os, publisher, offer, sku = ALIASES[alias]
    image = Image(publisher=publisher, offer=offer, sku=sku, version="latest")
    assert enrolled(os=os, os_name=None, os_version=None, image=image) == REMARKS.get(alias, set())


def test_all_fourteen_aliases_are_here() -> None:
    assert len(ALIASES) == 14


@pytest.mark.parametrize(
    "changes, remarks",
    [
        pytest.param({"image": Image(id="/subscriptions/x/galleries/g/images/i")}, set(), id="gallery, system reported"),
        pytest.param({"image": Image(id="/subscriptions/x/images/i"), "os_name": None}, {"OS_UNTESTED"}, id="custom, system unknown"),
        pytest.param({"image": Image(), "has_os_profile": False}, set(), id="migrated, agent ready"),
        pytest.param({"image": Image(), "has_os_profile": False, "agent": None, "os_name": None}, {"AGENT_MIGRATED", "AGENT_NOT_READY", "OS_UNTESTED"}, id="migrated, nothing known"),
        pytest.param({"image": Image(publisher="contoso", offer="own", sku="1"), "os": L, "os_name": "haiku"}, {"OS_UNTESTED"}, id="publisher nobody knows"),
        pytest.param({"image": Image(publisher="canonical", sku="99_10"), "os": L, "os_name": "ubuntu"}, set(), id="newer than our list"),
        pytest.param({"size": "Standard_Brand_New_v42"}, set(), id="size nobody knows"),
    ],
)  # fmt: skip
def test_gallery_custom_and_migrated_images_are_enrolled_too(changes, remarks) -> None:
    assert enrolled(**changes) == remarks
