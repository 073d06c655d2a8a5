"""Rows of the demo's table find their VM, also where two groups use one name."""

from __future__ import annotations

import pytest

from demo.machines import NoSuchVm, chosen, item_path, named_in, spoken_of


def vm(group: str, name: str = "web") -> str:
    return (
        f"/subscriptions/s1/resourceGroups/{group}/providers"
        f"/Microsoft.Compute/virtualMachines/{name}"
    )


SEED = {
    "resources": [{"id": vm("rg-A")}, {"id": "/subscriptions/s1/resourceGroups/rg-A"}],
    "timeline": [
        {"at": 0, "put": {"id": vm("rg-b")}},
        {"at": 5, "put": {"id": vm("rg-a")}},
        {"at": 6, "request": {"method": "PUT", "path": vm("rg-b", "db") + "?api-version=1"}},
        {"at": 7, "delete": vm("rg-b")},
    ],
}


@pytest.mark.parametrize(
    "word, meant",
    [
        pytest.param("db", vm("rg-b", "db"), id="a name that one VM has"),
        pytest.param("rg-a/web", vm("rg-A"), id="group and name, any case"),
        pytest.param(vm("RG-B"), vm("rg-b"), id="an id"),
    ],
)
def test_a_row_finds_its_vm(word, meant):
    assert chosen(SEED, [word])[word].lower() == meant.lower()


@pytest.mark.parametrize(
    "word, says",
    [("web", "2 VMs; write group/name"), ("eb", "no VM"), ("", "no VM"), ("rg-c/web", "no VM")],
)
def test_a_row_without_its_one_vm_is_refused(word, says):
    with pytest.raises(NoSuchVm, match=says):
        chosen(SEED, [word])


def test_a_backup_is_its_own_vms_and_not_its_namesakes():
    vault = "/subscriptions/s1/resourceGroups/rg-v/providers/Microsoft.RecoveryServices/vaults/v"

    assert spoken_of(item_path(vault, vm("rg-A")) + "?x=1") == vm("rg-a").lower()
    assert spoken_of(vm("rg-b")) == vm("rg-b").lower()
    assert spoken_of(vault) == ""


@pytest.mark.parametrize(
    "text, there",
    [
        (f"https://portal/#@t/resource{vm('rg-a')}", True),
        (vm("rg-a").replace("/", "%2F") + "&x", True),
        (vm("rg-a", "web2"), False),
        (vm("rg-b"), False),
    ],
    ids=["plain", "quoted", "a longer name", "another group"],
)
def test_a_letter_is_about_the_vm_whose_id_it_holds(text, there):
    assert named_in(text, vm("rg-A")) is there
