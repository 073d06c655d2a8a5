"""A tenant that signs tokens, good ones and every kind of bad one."""

from __future__ import annotations

import time
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.usecases.house import ENVIRONMENT

CLIENT = "99999999-0000-4000-8000-000000000009"
TENANT = ENVIRONMENT["TENANT_ID"]
ISSUER = f"https://login.microsoftonline.com/{TENANT}/v2.0"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
FOREIGN = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def published(key: rsa.RSAPrivateKey, kid: str) -> dict[str, Any]:
    return jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True) | {
        "kid": kid,
        "use": "sig",
        "alg": "RS256",
    }


class Keys:
    """`web.auth.SigningKeys` of the tenant."""

    async def key(self, kid: str) -> jwt.PyJWK | None:
        return jwt.PyJWK(published(KEY, "k1")) if kid == "k1" else None


def token(*roles: str, key: Any = KEY, kid: str = "k1", algorithm: str = "RS256", **changes) -> str:
    now = int(time.time())
    claims = {
        "aud": CLIENT,
        "iss": ISSUER,
        "iat": now,
        "nbf": now - 60,
        "exp": now + 3600,
        "tid": TENANT,
        "oid": "77777777-0000-4000-8000-000000000007",
        "preferred_username": "ann@contoso.example",
        "roles": list(roles),
        **changes,
    }
    kept = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(kept, key, algorithm=algorithm, headers={"kid": kid})
