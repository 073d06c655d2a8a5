"""One command's way to the service: settings, the operator's login, ports.

Settings are those of the app: from a file (`--settings`: like local.settings.json, or what
`az functionapp config appsettings list` prints) and from the environment, which wins. The login is whatever azure-identity finds: az, PowerShell, a workload
identity, a managed identity.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ops.printing import Exit, plain, say
from shared.errors import AzureFault, BadArmId, BadRules, BadSettings, BadWish
from shared.ports import Ports
from shared.settings import UNRESOLVED, Settings, read
from shared.web.desk import Desk

if TYPE_CHECKING:
    from shared.adapters.assembly import Foundation
    from shared.notify import Notifier
    from shared.outbox import NoticeStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Everything a command may reach."""

    settings: Settings
    foundation: Foundation
    ports: Ports
    notifier: Notifier
    notices: NoticeStore
    desk: Desk


def settings_of(file: Path | None) -> Settings:
    """Read settings.

    Raises:
        BadSettings: they cannot be used, or the file is no settings file.

    """
    values: dict[str, str] = {}
    if file is not None:
        try:
            body = json.loads(file.read_text(encoding="utf-8"))
        except OSError as error:
            raise BadSettings(plain(error)) from error
        except ValueError as error:
            raise BadSettings(f"{file}: {error}") from error
        values = _values(body)
    return read({**values, **os.environ})


def _values(body: Any) -> dict[str, str]:
    """Take the settings out of a file; secrets that only the app can read are left out."""
    match body:
        case {"Values": dict(given)} | dict(given):
            pairs = given
        case list():
            pairs = {one.get("name"): one.get("value") for one in body if isinstance(one, dict)}
        case _:
            pairs = {}
    texts = {str(name): str(value) for name, value in pairs.items()}
    return {name: text for name, text in texts.items() if not text.startswith(UNRESOLVED)}


@asynccontextmanager
async def opened(file: Path | None) -> AsyncIterator[Session]:
    """Open a session, and close what it opened."""
    from azure.identity.aio import DefaultAzureCredential

    from shared.adapters.assembly import Foundation, assemble, desk
    from shared.adapters.clock import SimulatedClock, clock_of
    from shared.adapters.notice_store import TableNoticeStore

    settings = settings_of(file)
    clock = clock_of(settings.clock)
    await clock.synchronize()
    credential = DefaultAzureCredential(exclude_interactive_browser_credential=True)
    foundation = Foundation(settings, clock, credential=credential)
    ports, notifier = assemble(foundation)
    try:
        yield Session(
            settings=settings,
            foundation=foundation,
            ports=ports,
            notifier=notifier,
            notices=TableNoticeStore(foundation.stores),
            desk=desk(foundation, ports, notifier),
        )
    finally:
        await foundation.aclose()
        await credential.close()
        if isinstance(clock, SimulatedClock):
            await clock.aclose()


def run(file: Path | None, command: Callable[[Session], Awaitable[Exit | None]]) -> None:
    """Run a command's body and turn what went wrong into an exit code with a sentence."""

    async def inside() -> Exit | None:
        async with opened(file) as session:
            return await command(session)

    try:
        code = asyncio.run(inside())
    except BadSettings as error:
        say(f"Settings cannot be used:\n{error}")
        raise typer.Exit(Exit.UNREACHABLE) from error
    except BadRules as error:
        say(str(error))
        raise typer.Exit(Exit.FOUND) from error
    except (BadArmId, BadWish) as error:
        say(str(error))
        raise typer.Exit(Exit.USAGE) from error
    except AzureFault as fault:
        say(f"{fault.operation} failed: {fault.code or fault.status}: {fault.message}")
        raise typer.Exit(Exit.UNREACHABLE) from fault
    except OSError as error:
        say(plain(error))
        raise typer.Exit(Exit.USAGE if error.filename is not None else Exit.UNREACHABLE) from error
    except ExceptionGroup as failures:
        say("; ".join(str(one) for one in failures.exceptions))
        raise typer.Exit(Exit.UNREACHABLE) from failures
    if code:
        raise typer.Exit(code)
