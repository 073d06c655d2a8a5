"""Two scripts as users write them, over Azure's SDK: started by `peers`, one process each."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

from azure.core.exceptions import HttpResponseError
from azure.identity import ManagedIdentityCredential
from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.recoveryservicesbackup import RecoveryServicesBackupClient

GROUP, VAULT, POLICY = "rg-backup", "rsv-0", "silver-0"
SPEED = float(os.environ["SPEED"])
VMS = sys.argv[2:]
_sleep = time.sleep


def shortened(seconds: float) -> None:
    """Sleep as long as the simulated clock needs: the SDK sleeps by this too."""
    _sleep(seconds / SPEED)


time.sleep = shortened  # type: ignore[assignment] # the same, for numbers that we use


@cache
def clients() -> tuple[ComputeManagementClient, RecoveryServicesBackupClient]:
    arm = os.environ["ARM"]
    scopes: dict[str, Any] = {"base_url": arm, "credential_scopes": [arm + "/.default"]}
    credential, subscription = ManagedIdentityCredential(), VMS[0].split("/")[2]
    made: Any = (
        ComputeManagementClient(credential, subscription, **scopes),
        RecoveryServicesBackupClient(credential, subscription, **scopes),
    )
    found: tuple[ComputeManagementClient, RecoveryServicesBackupClient] = made
    return found


@cache
def policy() -> Any:
    return clients()[1].protection_policies.get(VAULT, GROUP, POLICY)


def protect(vm: str, policy_id: str, every: float | None) -> None:
    """PUT the item and wait for its operation; ``every`` seconds, or as the SDK likes."""
    compute, backup = clients()
    _, _, _, _, group, *_, name = vm.split("/")
    compute.virtual_machines.get(group, name)
    names = f"iaasvmcontainerv2;{group};{name}"
    body: Any = {
        "properties": {
            "protectedItemType": "Microsoft.Compute/virtualMachines",
            "sourceResourceId": vm,
            "policyId": policy_id,
        }
    }
    seen: list[Any] = []
    backup.protected_items.begin_create_or_update(
        VAULT,
        GROUP,
        "Azure",
        f"IaasVMContainer;{names}",
        f"VM;{names}",
        body,
        polling=False,
        raw_response_hook=lambda response: seen.append(response.http_response),
    )
    operation = seen[-1].headers["azure-asyncoperation"].split("?")[0].rsplit("/", 1)[-1]
    while True:
        time.sleep(every or 2.0)
        told = backup.backup_operation_statuses.get(VAULT, GROUP, operation)
        if told.status != "InProgress":
            return


def plain() -> None:
    """One after the other; each looks up what it needs and waits."""
    for vm in VMS:
        list(
            clients()[1].backup_protected_items.list(
                VAULT, GROUP, filter="backupManagementType eq 'AzureIaasVM'"
            )
        )
        found: Any = clients()[1].protection_policies.get(VAULT, GROUP, POLICY)
        protect(vm, found.id, None)


def good() -> None:
    """Lookups once, 200 in flight, polls a minute apart, one more try."""
    identity = policy().id

    def one(vm: str) -> None:
        for _ in range(2):
            try:
                protect(vm, identity, 60.0)
            except HttpResponseError:
                time.sleep(60.0)
            else:
                return

    with ThreadPoolExecutor(200) as pool:
        list(pool.map(one, VMS))


SCRIPTS: dict[str, Callable[[], None]] = {"plain": plain, "good": good}

if __name__ == "__main__":
    SCRIPTS[sys.argv[1]]()
