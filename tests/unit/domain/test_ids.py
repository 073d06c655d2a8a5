"""ARM ids: equal in any case, refused when they must not enter a URL."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.ids import ArmId, item_of, vault_of, virtual_machine
from shared.errors import BadArmId

SUB = "11111111-2222-3333-4444-555555555555"
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.()-]{0,40}[A-Za-z0-9_)]", fullmatch=True)


@given(NAMES, NAMES)
def test_ids_round_trip_in_any_case(group, name):
    vm = virtual_machine(SUB, group, name)

    for text in (str(vm), str(vm).upper(), str(vm).lower(), vm.path() + "/"):
        if "%" not in text:
            assert ArmId.parse(text) == vm
            assert hash(ArmId.parse(text)) == hash(vm)
    assert ArmId.parse(str(vm)).name == name


def test_an_item_is_named_after_group_and_vm_and_lies_in_its_vault():
    vault = ArmId.parse(
        f"/subscriptions/{SUB}/resourceGroups/rg-b/providers/Microsoft.RecoveryServices/vaults/v1"
    )
    item = item_of(vault, virtual_machine(SUB, "rg-app", "vm1"))

    assert item.name == "VM;iaasvmcontainerv2;rg-app;vm1"
    assert "%3B" in item.path()
    assert vault_of(item) == vault


@pytest.mark.parametrize(
    "text",
    [
        None,
        7,
        "",
        "/",
        "/subscriptions/x",
        f"/subscriptions/{SUB}/resourceGroups/rg",
        f"/subscriptions/{SUB}/resourceGroups/rg/providers/P.Q/vms/a/b",
        "x" * 5000,
    ],
)
def test_what_is_no_resource_id_is_refused(text):
    with pytest.raises(BadArmId):
        ArmId.parse(text)
