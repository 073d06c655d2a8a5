"""Where tokens come from: the managed-identity endpoint and the parts of Entra that clients ask.

azure-identity and az run against these unmodified (az-peer §1, variants A and C). The plain-http
managed-identity endpoint is App Service's, api-version 2019-08-01.
"""

import secrets
from collections.abc import Mapping

from aiohttp import web

from simulator.arm import Json, PrincipalKind
from simulator.tokens import Directory, public_keys
from simulator.world import World

#: What the endpoint wants in X-IDENTITY-HEADER; IDENTITY_HEADER of a function app here.
IDENTITY_HEADER = secrets.token_hex(16)
MSI_PATH = "/msi/token"


def add_routes(app: web.Application, world: World) -> None:
    """Serve the identity endpoints of one world."""
    entra = _Entra(world)
    add = app.router.add_route
    add("GET", MSI_PATH, entra.managed_identity)
    add("GET", "/metadata/endpoints", entra.cloud)
    add("GET", "/common/discovery/instance", entra.instance)
    add("GET", "/{tenant}/v2.0/.well-known/openid-configuration", entra.configuration)
    add("GET", "/{tenant}/.well-known/openid-configuration", entra.configuration)
    add("GET", "/{tenant}/discovery/v2.0/keys", entra.keys)
    add("POST", "/{tenant}/oauth2/v2.0/token", entra.token)
    add("POST", "/{tenant}/oauth2/token", entra.token)


class _Entra:
    def __init__(self, world: World) -> None:
        self._world = world

    @property
    def _directory(self) -> Directory:
        return self._world.directory  # a reset makes a new one

    @property
    def _base(self) -> str:
        return self._world.arm_url

    async def managed_identity(self, request: web.Request) -> web.Response:
        directory = self._directory
        if request.headers.get("X-IDENTITY-HEADER") != IDENTITY_HEADER:
            return _failed(401, "unauthorized", "X-IDENTITY-HEADER is missing or wrong.")
        if directory.world.knobs.flag("identity.failing"):
            return _failed(500, "internal", "The identity endpoint was ordered to fail.")
        resource = request.query.get("resource", "")
        if not resource or request.query.get("api-version") != "2019-08-01":
            return _failed(
                400, "invalid_request", "resource and api-version=2019-08-01 are needed."
            )
        person = directory.managed_identity
        if asked := request.query.get("client_id"):
            person = directory.person(asked)
        token, expires = directory.token(person, resource)
        return web.json_response(
            {
                "access_token": token,
                "expires_on": str(expires),
                "resource": resource,
                "token_type": "Bearer",
                "client_id": person.app_id,
            }
        )

    async def token(self, request: web.Request) -> web.Response:
        form = {key: str(value) for key, value in (await request.post()).items()}
        if request.match_info["tenant"].lower() not in self._tenants():
            return _failed(400, "invalid_request", "AADSTS90002: Tenant not found.", code=90002)
        grant = form.get("grant_type", "")
        if grant not in {"client_credentials", "password", "refresh_token"}:
            return _failed(400, "unsupported_grant_type", f"AADSTS70003: {grant!r} is not served.")
        client = form.get("client_id") or form.get("username") or ""
        if not client:
            return _failed(400, "invalid_request", "AADSTS900144: client_id is missing.")
        person = self._directory.person(form.get("username") or client)
        given = form.get("client_secret") or form.get("password") or form.get("client_assertion")
        if person.secret and given != person.secret and grant != "refresh_token":
            return _failed(
                401,
                "invalid_client",
                "AADSTS7000215: Invalid client secret provided.",
                code=7000215,
            )
        scopes = form.get("scope", "").split()
        resource = form.get("resource", "")
        wanted = next((scope for scope in scopes if "://" in scope), resource)
        audience = wanted.removesuffix("/.default").removesuffix("/user_impersonation")
        user = person.kind is PrincipalKind.USER
        token, expires = self._directory.token(
            person, audience or self._base, scopes="user_impersonation" if user else ""
        )
        lifetime = int(self._world.knobs.number("identity.token_seconds"))
        answer: dict[str, Json] = {
            "token_type": "Bearer",
            "expires_in": lifetime,
            "ext_expires_in": lifetime,
            "access_token": token,
        }
        if resource:
            answer |= {"expires_on": str(expires), "resource": resource}
        return web.json_response(answer)

    async def configuration(self, request: web.Request) -> web.Response:
        tenant = request.match_info["tenant"]
        issuer = self._directory.issuer()
        authority = f"{self._base}/{tenant}"
        return web.json_response(
            {
                "issuer": issuer,
                "token_endpoint": f"{authority}/oauth2/v2.0/token",
                "authorization_endpoint": f"{authority}/oauth2/v2.0/authorize",
                "device_authorization_endpoint": f"{authority}/oauth2/v2.0/devicecode",
                "jwks_uri": f"{authority}/discovery/v2.0/keys",
                "response_modes_supported": ["query", "fragment", "form_post"],
                "response_types_supported": ["code", "id_token", "token"],
                "subject_types_supported": ["pairwise"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "token_endpoint_auth_methods_supported": [
                    "client_secret_post",
                    "private_key_jwt",
                    "client_secret_basic",
                ],
                "scopes_supported": ["openid", "profile", "email", "offline_access"],
            }
        )

    async def keys(self, _request: web.Request) -> web.Response:
        return web.json_response(public_keys())

    async def instance(self, request: web.Request) -> web.Response:
        tenant = self._world.tenant_id
        host = request.host
        return web.json_response(
            {
                "tenant_discovery_endpoint": f"{self._base}/{tenant}/v2.0/.well-known/"
                "openid-configuration",
                "api-version": "1.1",
                "metadata": [
                    {"preferred_network": host, "preferred_cache": host, "aliases": [host]}
                ],
            }
        )

    async def cloud(self, request: web.Request) -> web.Response:
        """Describe this cloud as ARM describes its own (az reads it at ``az cloud register``)."""
        base, tenant = self._base, self._world.tenant_id
        described: dict[str, Json] = {
            "name": "AzureSimulator",
            "portal": base,
            "authentication": {
                "loginEndpoint": base,
                "audiences": [f"{base}/", base],
                "tenant": tenant,
                "identityProvider": "AAD",
            },
            "resourceManager": base,
            "galleryEndpoint": base,
            "graphEndpoint": base,
            "graphAudience": base,
            "graph": base,
            "microsoftGraphResourceId": base,
            "media": base,
            "batch": base,
            "sqlManagement": base,
            "activeDirectoryDataLake": base,
            "vmImageAliasDoc": f"{base}/aliases.json",
            "suffixes": {
                "storage": "localhost",
                "keyVaultDns": "vault.localhost",
                "acrLoginServer": "registry.localhost",
                "sqlServerHostname": "database.localhost",
            },
        }
        listed = request.query.get("api-version", "") in {"2019-05-01", "2020-09-01"}
        return web.json_response([described] if listed else described)

    def _tenants(self) -> frozenset[str]:
        return frozenset({self._world.tenant_id.lower(), "organizations", "common"})


def _failed(status: int, error: str, description: str, *, code: int = 0) -> web.Response:
    body: Mapping[str, Json] = {
        "error": error,
        "error_description": description,
        "error_codes": [code],
    }
    return web.json_response(body, status=status)
