"""Whom TLS trusts: the system's CAs and, in a simulated cloud, its own."""

from __future__ import annotations

import ssl
from functools import lru_cache


@lru_cache(maxsize=1)  # reading the system's CAs takes some 15 ms of a cold start
def trusted(ca_file: str) -> ssl.SSLContext:
    """Give the context that all connections of the process share."""
    context = ssl.create_default_context()
    if ca_file:
        context.load_verify_locations(ca_file)
    return context
