"""Lists the licenses of what runs in Azure, and refuses one that nobody has agreed to.

    python -m packaging_tools.licenses     # writes THIRD-PARTY.md

Names and versions come from `requirements.txt`, licenses from the installed packages' own metadata.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from packaging_tools.contents import ROOT

LIST = ROOT / "THIRD-PARTY.md"
# Permissive, or weak copyleft at file level that leaves our sources alone (MPL-2.0).
AGREED = frozenset(
    {
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "MIT",
        "MIT-0",
        "MPL-2.0",
        "PSF-2.0",
        "ISC",
        "0BSD",
    }
)
# How older packages say it: free text or a classifier, in these words and no others.
_WORDS = {
    "apache software license": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache 2.0": "Apache-2.0",
    "apache 2": "Apache-2.0",
    "apache-2.0": "Apache-2.0",
    "bsd 3-clause license": "BSD-3-Clause",
    "bsd-3-clause": "BSD-3-Clause",
    "bsd": "BSD-3-Clause",
    "3-clause bsd license": "BSD-3-Clause",
    "mit license": "MIT",
    "mit": "MIT",
    "the mit license (mit)": "MIT",
    "mpl-2.0": "MPL-2.0",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "python software foundation license": "PSF-2.0",
    "psf-2.0": "PSF-2.0",
    "isc license (iscl)": "ISC",
}
# Packages whose metadata is ambiguous, with what their license file was read to say.
_READ = {"isodate": "BSD-3-Clause", "Jinja2": "BSD-3-Clause"}
_PIN = re.compile(r"^([A-Za-z0-9][\w.-]*)(?:\[[^]]*\])?==([^\s;\\]+)([^\\]*)", re.MULTILINE)


class UnknownLicense(Exception):
    """A package says nothing that can be understood, or something nobody agreed to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One package of the runtime. ``license`` is an SPDX expression."""

    name: str
    version: str
    license: str


def pinned() -> Iterator[tuple[str, str, str]]:
    """Give name, version and environment marker of every runtime requirement."""
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    for name, version, rest in _PIN.findall(text):
        yield name, version, rest.strip(" ;")


def components() -> list[Component]:
    """Give the runtime's packages with their licenses, sorted by name.

    Raises:
        UnknownLicense: names the package.

    """
    found = []
    for name, version, marker in pinned():
        try:
            installed = distribution(name)
        except PackageNotFoundError as error:
            if marker:  # of another system; it is not installed there where this runs either
                continue
            raise UnknownLicense(f"{name} is not installed: make setup") from error
        found.append(Component(name=name, version=version, license=license_of(installed)))
    return sorted(found, key=lambda one: one.name)


def license_of(installed: Distribution) -> str:
    """Give the SPDX expression of an installed package.

    Raises:
        UnknownLicense: it says none we know, or one that is not agreed to.

    """
    said = [*filter(None, [_READ.get(installed.name)]), *_said(installed)]
    for word in said:
        expression = _WORDS.get(word.lower(), word)
        if all(one in AGREED for one in re.split(r" (?:AND|OR) |[()]", expression) if one.strip()):
            return expression
    raise UnknownLicense(f"{installed.name} says {said or 'nothing'}")


def _said(installed: Distribution) -> Iterator[str]:
    metadata = installed.metadata
    if expression := metadata.get("License-Expression"):
        yield expression
    for classifier in metadata.get_all("Classifier") or ():
        if classifier.startswith("License :: "):
            yield classifier.rsplit(" :: ", 1)[1]
    text = metadata.get("License") or ""
    if text and "\n" not in text:
        yield text


def markdown() -> str:
    """Print the list as it is kept in the repository."""
    rows = "\n".join(f"| {one.name} | {one.version} | {one.license} |" for one in components())
    return (
        "# Third-party packages\n\n"
        "What runs in Azure besides our own code (`requirements.txt`), with the license each package\n"
        "declares. Printed by `python -m packaging_tools.licenses`; a test fails if it is not current or\n"
        "a license is new.\n\n"
        f"| package | version | license |\n|---|---|---|\n{rows}\n"
    )


if __name__ == "__main__":
    LIST.write_text(markdown(), encoding="utf-8")
    sys.stdout.write(f"{LIST}\n")
