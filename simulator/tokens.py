"""Tokens of the simulated Entra tenant: RS256-signed JWTs, and what ARM accepts of them.

Lifetimes are in real seconds: SDKs compare ``exp`` with the clock on their own wall.
"""

import base64
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Self

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from simulator.arm import BY_GATEWAY, Json, Principal, PrincipalKind, Refusal
from simulator.world import World

KEY_ID = "azure-simulator"
ARM_AUDIENCES = frozenset({"https://management.azure.com", "https://management.core.windows.net"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody who can sign in: an app or a user, with the roles their tokens claim."""

    app_id: str
    object_id: str
    kind: PrincipalKind = PrincipalKind.SERVICE
    name: str = ""
    roles: tuple[str, ...] = ()
    secret: str = ""

    @property
    def principal(self) -> Principal:
        return Principal(object_id=self.object_id, app_id=self.app_id, kind=self.kind)

    @classmethod
    def parse(cls, fields: Mapping[str, Json]) -> Self:
        roles = fields.get("roles")
        return cls(
            app_id=str(fields.get("appId", "")).lower(),
            object_id=str(fields["objectId"]).lower(),
            kind=PrincipalKind(str(fields.get("kind", PrincipalKind.SERVICE))),
            name=str(fields.get("name", "")),
            roles=tuple(str(role) for role in roles) if isinstance(roles, list) else (),
            secret=str(fields.get("secret", "")),
        )


@cache
def _signing_key() -> rsa.RSAPrivateKey:
    """One key per process: making one is the slowest thing the simulator does."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def public_keys() -> dict[str, Json]:
    """The JWKS that lets an app validate these tokens as it would Entra's."""
    numbers = _signing_key().public_key().public_numbers()
    return {
        "keys": [
            {
                "kty": "RSA",
                "use": "sig",
                "alg": "RS256",
                "kid": KEY_ID,
                "n": _base64url(numbers.n),
                "e": _base64url(numbers.e),
            }
        ]
    }


@dataclass(slots=True)
class Directory:
    """The principals of one world and the tokens they were given."""

    world: World
    people: dict[str, Person] = field(default_factory=dict)
    managed_identity: Person = field(init=False)
    _accepted: dict[str, tuple[float, Principal]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        knobs = self.world.knobs
        knobs.declare("identity.token_seconds", 86_400, "life of a token, in real seconds")
        knobs.declare("identity.failing", False, "the managed-identity endpoint answers 500")
        self.managed_identity = Person(
            app_id=self.world.stable_guid("managed-identity", "app"),
            object_id=self.world.stable_guid("managed-identity", "object"),
            name="managed identity of the function app",
        )

    def add(self, person: Person) -> None:
        self.people[person.app_id] = person

    def person(self, app_id: str) -> Person:
        """Return who signs in with a client id; an unknown one is an app with stable ids."""
        app_id = app_id.lower()
        if app_id == self.managed_identity.app_id:
            return self.managed_identity
        known = self.people.get(app_id)
        return known or Person(app_id=app_id, object_id=self.world.stable_guid("app", app_id))

    def issuer(self) -> str:
        return f"{self.world.arm_url}/{self.world.tenant_id}/v2.0"

    def token(
        self, person: Person, audience: str, *, roles: Sequence[str] = (), scopes: str = ""
    ) -> tuple[str, int]:
        """Sign a token; return it with its real expiry (unix seconds)."""
        now = int(time.time())
        expires = now + int(self.world.knobs.number("identity.token_seconds"))
        claims: dict[str, Json] = {
            "aud": audience,
            "iss": self.issuer(),
            "iat": now,
            "nbf": now - 300,
            "exp": expires,
            "appid": person.app_id,
            "azp": person.app_id,
            "oid": person.object_id,
            "sub": person.object_id,
            "tid": self.world.tenant_id,
            "idtyp": "app" if person.kind is PrincipalKind.SERVICE else "user",
            "ver": "2.0",
        }
        if claimed := [*person.roles, *roles]:
            claims["roles"] = claimed
        if scopes:
            claims["scp"] = scopes
        if person.name and person.kind is PrincipalKind.USER:
            claims["preferred_username"] = person.name
        signed = jwt.encode(claims, _signing_key(), algorithm="RS256", headers={"kid": KEY_ID})
        return signed, expires

    def authenticate(self, authorization: str) -> Principal:
        """Return who a request's Authorization header names, or refuse with ARM's 401."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise self._unauthorized(
                "AuthenticationFailed",
                "Authentication failed. The 'Authorization' header is missing or invalid.",
            )
        known = self._accepted.get(token)
        if known is not None and known[0] > time.time():
            return known[1]
        try:
            claims = jwt.decode(
                token,
                _signing_key().public_key(),
                algorithms=["RS256"],
                options={"verify_aud": False, "require": ["exp", "aud", "oid"]},
            )
        except jwt.ExpiredSignatureError as expired:
            raise self._unauthorized(
                "ExpiredAuthenticationToken", "The access token expiry UTC time is in the past."
            ) from expired
        except jwt.InvalidTokenError as invalid:
            raise self._unauthorized(
                "InvalidAuthenticationToken", "The access token is invalid."
            ) from invalid
        here = {self.world.arm_url, self.world.arm_url.replace("localhost", "127.0.0.1")}
        if str(claims["aud"]).rstrip("/") not in ARM_AUDIENCES | here:
            raise self._unauthorized(
                "InvalidAuthenticationTokenAudience",
                f"The access token has been obtained for wrong audience or resource "
                f"'{claims['aud']}'.",
            )
        if claims.get("tid") != self.world.tenant_id:
            raise self._unauthorized(
                "InvalidAuthenticationTokenTenant",
                f"The access token is from the wrong issuer. It must match the tenant "
                f"'{self.world.tenant_id}'.",
            )
        user = claims.get("idtyp") == "user"
        principal = Principal(
            object_id=str(claims["oid"]),
            app_id=str(claims.get("appid", "")),
            kind=PrincipalKind.USER if user else PrincipalKind.SERVICE,
        )
        self._accepted[token] = (float(claims["exp"]), principal)
        return principal

    def _unauthorized(self, code: str, message: str) -> Refusal:
        authority = f"{self.world.arm_url}/{self.world.tenant_id}"
        challenge = (
            f'Bearer authorization_uri="{authority}", error="invalid_token", '
            f'error_description="{message}"'
        )
        return Refusal(401, code, message, headers={**BY_GATEWAY, "WWW-Authenticate": challenge})


def _base64url(number: int) -> str:
    packed = number.to_bytes((number.bit_length() + 7) // 8)
    return base64.urlsafe_b64encode(packed).rstrip(b"=").decode()
