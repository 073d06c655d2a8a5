"""Endpoints, audiences and portals of the Azure clouds: the table behind `AZURE_CLOUD`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloud:
    """Endpoints of one Azure cloud. ``ca_file`` only for a simulated one."""

    name: str
    arm: str
    audience: str
    authority: str
    portal: str
    ca_file: str = ""

    @property
    def scope(self) -> str:
        return self.audience.rstrip("/") + "/.default"


CLOUDS: Mapping[str, Cloud] = {
    "public": Cloud(
        name="public",
        arm="https://management.azure.com",
        audience="https://management.azure.com",
        authority="https://login.microsoftonline.com",
        portal="https://portal.azure.com",
    ),
    "usgov": Cloud(
        name="usgov",
        arm="https://management.usgovcloudapi.net",
        audience="https://management.usgovcloudapi.net",
        authority="https://login.microsoftonline.us",
        portal="https://portal.azure.us",
    ),
    "china": Cloud(
        name="china",
        arm="https://management.chinacloudapi.cn",
        audience="https://management.chinacloudapi.cn",
        authority="https://login.chinacloudapi.cn",
        portal="https://portal.azure.cn",
    ),
}
