"""A page for people: what owners would see in Teams and in their mail client.

Cards are drawn by Microsoft's own renderer (npm package ``adaptivecards``), mails in a frame that
may run nothing, under a policy that loads nothing from elsewhere. Nothing here judges or changes a
message; what arrived twice is shown twice. ``?only=teams|mail``, ``?theme=dark``, ``?number=N``
(the N-th message) narrow what is shown.
"""

import json
from pathlib import Path

from aiohttp import web

from simulator.inbox import BOXES, inboxes_of
from simulator.world import World

ROOT = Path(__file__).resolve().parents[1]
RENDERER = ROOT / "node_modules" / "adaptivecards" / "dist" / "adaptivecards.min.js"
PAGE = Path(__file__).with_name("pages") / "inbox.html"
PROGRAM = Path(__file__).with_name("pages") / "inbox.js"
#: Nothing from elsewhere, no script but the two of this page, and none inside a mail.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; frame-src 'self'; "
    "base-uri 'none'; form-action 'none'"
)
SCRIPT = "application/javascript"


def add_routes(app: web.Application, world: World) -> None:
    """Serve the page below ``/_sim/inbox``."""
    boxes = inboxes_of(world)

    async def page(request: web.Request) -> web.Response:
        only = request.query.get("only", "")
        chosen = [name for name in BOXES if only in ("", name)]
        shown = {name: boxes.named(name).messages for name in chosen}
        number = request.query.get("number", "")
        if number.isdecimal():
            first = max(int(number) - 1, 0)
            shown = {name: kept[first : first + 1] for name, kept in shown.items()}
        # In a script element only "</" and "<!--" could end the text early.
        letters = json.dumps(shown).replace("<", "\\u003c")
        html = PAGE.read_text(encoding="utf-8").replace("{}", letters, 1)
        return web.Response(
            text=html, content_type="text/html", headers={"Content-Security-Policy": POLICY}
        )

    async def program(_request: web.Request) -> web.StreamResponse:
        return web.FileResponse(PROGRAM, headers={"Content-Type": SCRIPT})

    async def renderer(_request: web.Request) -> web.StreamResponse:
        if not RENDERER.exists():
            return web.Response(status=404, text="run npm ci: the card renderer is not installed")
        return web.FileResponse(RENDERER, headers={"Content-Type": SCRIPT})

    app.router.add_get("/_sim/inbox", page)
    app.router.add_get("/_sim/inbox/inbox.js", program)
    app.router.add_get("/_sim/inbox/adaptivecards.js", renderer)
