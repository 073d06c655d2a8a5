"""Remedies about the way out (rows S16, S17): rule, proxy or firewall, each with its price.

Azure's guide of today asks for no way out where the agent is current, so these are shown as
advice, and as a cause only after an error that names the network. Never a list of addresses.
"""

from __future__ import annotations

from shared.domain.findings import Remedy
from shared.domain.model import NetworkPath

GUIDE = "https://learn.microsoft.com/azure/backup/backup-azure-arm-vms-prepare"


def blocked(path: NetworkPath) -> tuple[Remedy, ...]:
    """Give the rule to add, and the two other ways with what they cost."""
    where = f" to {path.nsg}; it then serves every VM behind it" if path.nsg else ""
    return (
        Remedy(
            text=f"Add this outbound rule{where}. Costs nothing and needs no upkeep, but opens all"
            " of Azure's storage in the region.",
            az=path.remedy_az,
            powershell=path.remedy_powershell,
            link=GUIDE,
        ),
        firewall(),
        proxy(),
    )


def unknown() -> tuple[Remedy, ...]:
    return (firewall(), platform())


def firewall() -> Remedy:
    return Remedy(
        text="Where an Azure Firewall stands in the way: an application rule with the FQDN tag"
        " AzureBackup. Easy where a firewall exists; the tag's content cannot be changed.",
        az="az network firewall application-rule create --firewall-name <firewall>"
        " --resource-group <group> --collection-name azure-backup --name azure-backup --protocols"
        " Https=443 --source-addresses <subnet-prefix> --fqdn-tags AzureBackup --priority <free>"
        " --action Allow",
        link=GUIDE,
    )


def proxy() -> Remedy:
    return Remedy(
        text="Or a proxy: full control over addresses and one exit, at the price of a VM to run."
        " It must keep one outbound address, nothing else may change its settings, and it must not"
        " ask for a password (407 in its log: authenticated proxies are not supported). Allow"
        " https://*.blob.core.windows.net/*, or only the account used.",
        link=GUIDE,
    )


def platform() -> Remedy:
    return Remedy(
        text="In the guest, leave 168.63.129.16 open on TCP 80, 443 and 32526, and let the address"
        " come by DHCP.",
        link="https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16",
    )


def windows_proxy() -> Remedy:
    return Remedy(
        text="Windows: set the proxy for the machine, as administrator. It then serves every"
        " outgoing HTTP and HTTPS call of the machine, not only backup. Today netsh does it; older"
        " guides start the Internet settings as SYSTEM with PsExec -i -s. If it is set for a user"
        " only, copy that user's settings to S-1-5-18 (values DefaultConnectionSettings,"
        " SavedLegacySettings, ProxyEnable, ProxyServer).",
        powershell="netsh winhttp set proxy proxy-server='<proxy-host>:<port>'\n"
        "netsh winhttp show proxy\n"
        "# only if the proxy was set for the present user:\n"
        "$from = 'HKCU:\\Software\\Microsoft\\Windows\\CurrentVersion\\Internet Settings'\n"
        "$to = 'Registry::HKEY_USERS\\S-1-5-18\\Software\\Microsoft\\Windows\\CurrentVersion"
        "\\Internet Settings'\n"
        "foreach ($name in 'DefaultConnectionSettings', 'SavedLegacySettings') {\n"
        '  Set-ItemProperty "$to\\Connections" $name (Get-ItemProperty "$from\\Connections").$name'
        " }\n"
        "foreach ($name in 'ProxyEnable', 'ProxyServer') {\n"
        "  Set-ItemProperty $to $name (Get-ItemProperty $from).$name }",
    )


def linux_proxy() -> Remedy:
    return Remedy(
        text="Linux: set the proxy for the machine and for the agent, as root, then restart the"
        " agent. The agent's proxy needs Python 2.7 or later.",
        az="echo 'http_proxy=http://<proxy-host>:<port>' | sudo tee -a /etc/environment\n"
        "printf 'HttpProxy.Host=<proxy-host>\\nHttpProxy.Port=<port>\\n' | sudo tee -a"
        " /etc/waagent.conf\n"
        "sudo systemctl restart walinuxagent || sudo systemctl restart waagent",
    )


def proxy_server() -> Remedy:
    return Remedy(
        text="On the proxy itself: let the virtual network in on the proxy's port (its own firewall:"
        " inbound, TCP, that local port, any remote port), and let the proxy out by a rule from its"
        " /32 to Internet, or to Storage.<region>, on ports 80 and 443 (two ports, not the range)."
        " Add other ports only if your storage needs them.",
        az="az network nsg rule create --resource-group <group> --nsg-name <proxy-nsg> --name"
        " allow-backup-proxy --priority <free> --direction Outbound --access Allow --protocol Tcp"
        " --source-address-prefixes <proxy-address>/32 --source-port-ranges '*'"
        " --destination-address-prefixes Internet --destination-port-ranges 80 443",
        powershell="New-NetFirewallRule -DisplayName 'Backup proxy' -Direction Inbound -Protocol"
        " TCP -LocalPort <port> -Action Allow\n"
        "Get-AzNetworkSecurityGroup -ResourceGroupName <group> -Name <proxy-nsg> |\n"
        "  Add-AzNetworkSecurityRuleConfig -Name allow-backup-proxy -Priority <free> -Direction"
        " Outbound -Access Allow -Protocol Tcp -SourceAddressPrefix <proxy-address>/32"
        " -SourcePortRange * -DestinationAddressPrefix Internet -DestinationPortRange 80,443 |\n"
        "  Set-AzNetworkSecurityGroup",
    )
