"""Loading at a cold start: code without searching it for garbage, templates without compiling them.

An SDK makes hundreds of thousands of objects while it is imported, all of which stay. The
collector would look through them again and again: about a tenth of the time to the first PUT.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import BaseLoader

COMPILED = "__pycache__"  # beside templates, as beside modules


@contextmanager
def loading() -> Iterator[None]:
    """Collect nothing while modules are imported, and leave them out of every later collection."""
    known, collecting = len(sys.modules), gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if len(sys.modules) > known:
            gc.freeze()
        if collecting:
            gc.enable()


def templates(folder: Path) -> BaseLoader:
    """Give a folder's templates: as the package brings them compiled (ADR 7), else their sources."""
    from jinja2 import ChoiceLoader, FileSystemLoader, ModuleLoader

    return ChoiceLoader([ModuleLoader(folder / COMPILED), FileSystemLoader(folder)])
