"""Find the vault a request is about, or refuse as ARM does."""

from simulator.arm import Call
from simulator.backup import refusals
from simulator.backup.records import Vault
from simulator.world import World


def vault_of(world: World, call: Call) -> Vault:
    """Return the vault in a request's path; ARM itself answers 404 for one that is not there."""
    subscription, group, name = (call.params[key] for key in ("s", "rg", "v"))
    key = (
        f"/subscriptions/{subscription}/resourceGroups/{group}"
        f"/providers/Microsoft.RecoveryServices/vaults/{name}"
    ).lower()
    vault = world.backup.vaults.get(key)
    if vault is None:
        raise refusals.vault_not_found(name, group)
    return vault
