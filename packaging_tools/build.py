"""Builds the deployment package: the same bytes from the same sources, anywhere, any time.

    python -m packaging_tools.build [--to FOLDER] [--sources-only] [--with-dependencies]

The last line printed is the zip's path. It holds the sources and beside them compiled modules and
templates that are not checked against them (docs/adr/0007): an instance compiles nothing. Azure
installs `requirements.txt` (remote build); ``--with-dependencies`` puts the pinned and hashed
requirements inside, compiled as well, for a network whose builds cannot reach a package index.
"""

from __future__ import annotations

import argparse
import hashlib
import py_compile
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from jinja2 import FileSystemLoader

from packaging_tools.contents import ROOT, product
from shared.loading import COMPILED
from shared.notices import mail
from shared.web import rendering

NAME = "vm-backup-auto-enrollment.zip"
TO = ROOT / "build" / "package"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest a zip can say; no build time leaks in
_PLACE = PurePosixPath(".python_packages/lib/site-packages")  # where the worker looks
# What pip writes about the machine it ran on, and scripts that nothing there calls.
_LOCAL = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"}


def build(folder: Path, *, bytecode: bool = True, dependencies: bool = False) -> Path:
    """Write the package into a folder and give its path."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="package-") as scratch:
        members = {PurePosixPath(path.as_posix()): ROOT / path for path in product()}
        if dependencies:
            members |= dict(_installed(Path(scratch) / "site"))
        if bytecode:
            members |= dict(_compiled(members, Path(scratch) / "bytecode"))
            members |= dict(_templates(Path(scratch) / "templates"))
        return _zipped(members, folder / NAME)


def _zipped(members: dict[PurePosixPath, Path], target: Path) -> Path:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as package:
        for name in sorted(members):
            info = zipfile.ZipInfo(str(name), date_time=_EPOCH)
            info.external_attr = 0o100644 << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            info.create_system = 3  # Unix, wherever it was built
            package.writestr(info, members[name].read_bytes())
    return target


def _compiled(
    members: dict[PurePosixPath, Path], scratch: Path
) -> Iterator[tuple[PurePosixPath, Path]]:
    for name, source in members.items():
        if name.suffix != ".py":
            continue
        tag = sys.implementation.cache_tag
        target = name.parent / COMPILED / f"{name.stem}.{tag}.pyc"
        yield target, _bytecode(source, name, scratch / target)


def _templates(scratch: Path) -> Iterator[tuple[PurePosixPath, Path]]:
    """Compile the templates of page and mail to modules, where `shared.loading` looks for them."""
    for folder, environment in (
        (rendering.HERE, rendering.environment()),
        (mail.HERE, mail.environment()),
    ):
        place = PurePosixPath(folder.relative_to(ROOT).as_posix(), COMPILED)
        environment.overlay(loader=FileSystemLoader(folder)).compile_templates(
            scratch / place, extensions=["html", "txt"], zip=None, ignore_errors=False
        )
        for source in (scratch / place).glob("*.py"):
            name = place / source.name
            yield name.with_suffix(".pyc"), _bytecode(source, name, source.with_suffix(".pyc"))


def _bytecode(source: Path, name: PurePosixPath, target: Path) -> Path:
    py_compile.compile(
        str(source),
        cfile=str(target),
        dfile=str(name),  # no path of this machine in tracebacks or bytes
        doraise=True,
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )
    return target


def _installed(scratch: Path) -> Iterator[tuple[PurePosixPath, Path]]:
    command = [
        sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--require-hashes",
        "--only-binary", ":all:", "--python-version", "3.13", "--platform", "manylinux_2_28_x86_64",
        "--platform", "manylinux2014_x86_64", "--platform", "any", "--target", str(scratch),
        "--requirement", str(ROOT / "requirements.txt"),
    ]  # fmt: skip
    subprocess.run(command, check=True)
    for path in sorted(scratch.rglob("*")):
        inside = path.relative_to(scratch)
        if path.is_file() and path.name not in _LOCAL and inside.parts[0] != "bin":
            yield _PLACE / inside.as_posix(), path


def main() -> None:
    """Build and print the path last."""
    parser = argparse.ArgumentParser(description="Builds the deployment package.")
    parser.add_argument("--to", type=Path, default=TO, help="folder (default build/package)")
    parser.add_argument("--sources-only", action="store_true", help="leave compiled modules out")
    parser.add_argument(
        "--with-dependencies", action="store_true", help="put the pinned requirements inside"
    )
    asked = parser.parse_args()
    path = build(asked.to, bytecode=not asked.sources_only, dependencies=asked.with_dependencies)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    with zipfile.ZipFile(path) as package:
        said = f"{len(package.namelist())} files, {path.stat().st_size:,} bytes, sha256 {digest}"
    sys.stdout.write(f"{said}\n{path}\n")


if __name__ == "__main__":
    main()
