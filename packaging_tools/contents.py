"""What belongs into the deployment package: the product and nothing else.

The same set that `.funcignore` leaves for azd; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILES = ("function_app.py", "host.json", "requirements.txt")
FOLDERS = ("shared",)
_NEVER = {".pyc", ".pyo"}


def product(root: Path = ROOT) -> Iterator[Path]:
    """Give every file of the product, relative to ``root``, sorted.

    Raises:
        FileNotFoundError: a file that must be there is not.

    """
    for name in FILES:
        if not (root / name).is_file():
            raise FileNotFoundError(root / name)
    found = [root / name for name in FILES]
    for folder in FOLDERS:
        found += [path for path in (root / folder).rglob("*") if path.is_file()]
    for path in sorted(path.relative_to(root) for path in found):
        if path.suffix not in _NEVER and "__pycache__" not in path.parts:
            yield path
