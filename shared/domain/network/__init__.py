"""Does the VM's network let it out to Azure Backup, storage and sign-in? Advice only (S16, S17).

The route table of the subnet first (a default route to an appliance hides everything behind it),
then the security groups of subnet and interface, as Azure applies them: outbound, the interface's
group before the subnet's, each by priority, both must allow.
"""

from shared.domain.network.model import (
    Access,
    Network,
    NextHop,
    Nsg,
    Route,
    Rule,
    Target,
    Traffic,
)
from shared.domain.network.path import network_path, of_vm, targets_for
from shared.domain.network.rules import Answer, evaluate

__all__ = [
    "Access",
    "Answer",
    "Network",
    "NextHop",
    "Nsg",
    "Route",
    "Rule",
    "Target",
    "Traffic",
    "evaluate",
    "network_path",
    "of_vm",
    "targets_for",
]
