"""Every route, who may take it, and what no handler needs to think of.

`respond` authenticates before anything else happens, refuses a change that no form of ours sent,
turns what the caller got wrong into a 400, and guards every answer with the same headers. A test
walks `ROUTES` with no, wrong and lesser credentials.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from shared.errors import AzureFault, BadArmId, BadRules, BadSettings, EnrollmentError
from shared.loading import loading
from shared.web import api, auth
from shared.web.auth import Caller, Refusal, Role
from shared.web.desk import Desk
from shared.web.http import Answer, Request, as_json, guarded, see

HOME = "/api/coverage"
SIGN_IN = f"{HOME}/sign-in"
Handler = Callable[[Desk, Request, Caller], Awaitable[Answer]]
Opened = Callable[[], Awaitable[Desk]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One thing that can be asked for, below ``/api``."""

    method: str
    path: str
    role: Role
    handler: str  # module.function in shared.web: a page is not loaded for an API call
    keyed: bool = False  # for programs: the host has asked for the function's key (ADR 5)


ROUTES: tuple[Route, ...] = (
    Route(method="POST", path="vms/enroll", role=Role.OPERATOR, handler="api.enroll", keyed=True),
    Route(method="GET", path="vms/explain", role=Role.READER, handler="api.explain", keyed=True),
    Route(method="GET", path="coverage", role=Role.READER, handler="pages.overview"),
    Route(method="GET", path="coverage/vm", role=Role.READER, handler="vm_page.show"),
    Route(method="GET", path="coverage/jobs", role=Role.READER, handler="pages.jobs"),
    Route(method="GET", path="coverage/export.csv", role=Role.READER, handler="exports.as_csv"),
    Route(method="GET", path="coverage/export.json", role=Role.READER, handler="exports.as_json"),
    Route(method="GET", path="coverage/act", role=Role.OPERATOR, handler="actions.confirm"),
    Route(method="POST", path="coverage/act", role=Role.OPERATOR, handler="actions.act"),
    Route(method="POST", path="coverage/sign-out", role=Role.READER, handler="pages.sign_out"),
    Route(method="GET", path="doctor", role=Role.OPERATOR, handler="doctor.examine"),
)


async def respond(what: str, request: Request, open_desk: Opened) -> Answer:
    """Answer one request; ``what`` is its path below ``/api``."""
    path = what.strip("/").lower()
    try:
        answer = await _answer(path, request, open_desk)
    except BadArmId as error:
        answer = _refused(request, 400, "vm", str(error))
    except AzureFault as fault:
        answer = _refused(request, 503, "azure", f"{fault.operation} does not answer: {fault.code}")
    except (BadRules, BadSettings):
        answer = _refused(request, 503, "configuration", "rules or settings cannot be used")
    return guarded(answer, request)


async def _answer(path: str, request: Request, open_desk: Opened) -> Answer:
    if path == "health":
        return await _health(open_desk)
    desk = await open_desk()
    if path == "coverage/sign-in" and desk.ports.settings.local_sign_in:
        return _sign_in(desk, request)
    route = next((one for one in ROUTES if one.path == path and one.method == request.method), None)
    role = route.role if route is not None else Role.READER
    if route is not None and route.keyed:
        caller: Caller | Refusal = Caller(name="function key", roles=frozenset({route.role}))
    else:
        caller = await auth.admitted(request, role, desk.ports.settings, desk.keys)
    if isinstance(caller, Refusal):
        return _stopped(desk, request, caller)
    if route is None:
        return _refused(request, 404, "route", "there is no such page")
    if route.method == "POST" and not caller.sent(request):
        return _refused(request, 403, "form", "the form has expired; go back and load it again")
    return await _handler(route)(desk, request, caller)


def _handler(route: Route) -> Handler:
    from importlib import import_module

    module, _, name = route.handler.partition(".")
    with loading():
        found: Handler = getattr(import_module(f"shared.web.{module}"), name)
    return found


async def _health(open_desk: Opened) -> Answer:
    try:
        return await api.health(await open_desk())
    except EnrollmentError:
        return as_json(503, {"status": "unhealthy"})


# --- who is not let in ---------------------------------------------------------------------------


def _stopped(desk: Desk, request: Request, refusal: Refusal) -> Answer:
    """Show the way to sign in to a browser; tell a program why not."""
    if refusal.status == 401 and request.wants_page and request.method == "GET":
        back = HOME + request.url.partition(HOME)[2] if HOME in request.url else HOME
        if desk.ports.settings.local_sign_in:
            return see(f"{SIGN_IN}?next={quote(back, safe='')}")
        from shared.web.rendering import page

        link = f"/.auth/login/aad?post_login_redirect_uri={quote(back, safe='')}"
        return page("stopped.html", status=401, title="Sign in", text=refusal.why, link=link)
    answer = _refused(request, refusal.status, "sign-in", refusal.why)
    if refusal.status == 401 and not request.wants_page:
        headers = {**answer.headers, "WWW-Authenticate": "Bearer"}
        return Answer(status=401, body=answer.body, kind=answer.kind, headers=headers)
    return answer


def _sign_in(desk: Desk, request: Request) -> Answer:
    """Local sign-in: the form, and what it sends."""
    import time

    from shared.web.rendering import page

    if request.method == "GET":
        return page("sign_in.html", next=_inside(request.params.get("next", "")), wrong=False)
    form = request.form()
    back = _inside(form.get("next", ""))
    cookie = auth.signed_in(
        form.get("password", ""),
        desk.ports.settings,
        secure=request.secure,
        now=time.time(),
    )
    if not cookie:
        return page("sign_in.html", status=401, next=back, wrong=True)
    return see(back, cookie=cookie)


def _inside(target: str) -> str:
    """Give a place of ours to go on to, whatever the query says."""
    parts = urlsplit(target)
    ours = parts.path == HOME or parts.path.startswith(HOME + "/")
    if parts.scheme or parts.netloc or not ours or "\\" in target or not target.isprintable():
        return HOME
    return target


def _refused(request: Request, status: int, error: str, message: str) -> Answer:
    if request.wants_page:
        from shared.web.rendering import page

        titles = {400: "That cannot be asked", 403: "Not allowed", 404: "Not here"}
        title = titles.get(status, "Not now" if status >= 500 else "Sign in")
        return page("stopped.html", status=status, title=title, text=message, link="")
    return as_json(status, {"error": error, "message": message})
