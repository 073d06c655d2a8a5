"""No secret in any file, and none in any commit."""

# ruff: noqa: ISC003 - planted secrets are in pieces, or the scan would find them here

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATTERNS = {
    "storage key": r"AccountKey=[A-Za-z0-9+/]{40,}={0,2}",
    "shared access key": r"SharedAccessKey=[A-Za-z0-9+/]{20,}={0,2}",
    "signature in a URL": r"[?&]sig=[A-Za-z0-9%_\-]{20,}",
    "private key": r"-----BEGIN (?:RSA |EC |OPENSSH )?PRIVATE KEY-----\s+[A-Za-z0-9+/]{20,}",
    "GitHub token": r"\bgh[pousr]_[A-Za-z0-9]{30,}|\bgithub_pat_[A-Za-z0-9_]{30,}",
    "npm token": r"\bnpm_[A-Za-z0-9]{30,}",
    "AWS key": r"\bAKIA[0-9A-Z]{16}\b",
    "Slack token": r"\bxox[abprs]-[A-Za-z0-9-]{10,}",
    "signed JSON web token": r"\beyJ[A-Za-z0-9_-]{16,}\.eyJ[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{20,}",
    "Entra client secret": r"\b[A-Za-z0-9_~.-]{3}8Q~[A-Za-z0-9_~.-]{31,34}\b",
    "password in a URL": r"\b(?:https?|smtps?|amqps?)://[^/\s:@'\"{}<>]+:[^/\s:@'\"{}<>$]{8,}@",
    "package index of somebody": r"(?:--index-url|index_url|registry)\s*[=:]\s*[\"']?https?://(?!pypi\.org|registry\.npmjs\.org)",
}
SCAN = re.compile(
    "|".join(f"(?P<p{n}>{text})" for n, text in enumerate(PATTERNS.values())).encode()
)
NAMES = list(PATTERNS)
# Published by Microsoft for every emulator, the same everywhere.
EMULATORS = (
    b"Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)
# What stands for a secret in tests and samples must say so.
OBVIOUS = re.compile(
    rb"example|sample|fake|dummy|user:password@|pass(?:word|phrase)?@|secret@|not-a-", re.IGNORECASE
)


def found_in(content: bytes) -> list[str]:
    found = []
    for match in SCAN.finditer(content.replace(EMULATORS, b"")):
        assert match.lastgroup is not None
        if not OBVIOUS.search(match[0]):
            found.append(f"{NAMES[int(match.lastgroup[1:])]}: {match[0][:24]!r}")
    return found


def test_no_tracked_file_holds_a_secret():
    listed = subprocess.run(
        ["git", "ls-files", "-z", "-co", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    ).stdout
    guilty = {
        name.decode(): found
        for name in listed.split(b"\0")
        if name
        and (path := ROOT / name.decode()).is_file()
        and not path.is_symlink()
        and (found := found_in(path.read_bytes()))
    }

    assert guilty == {}


def test_no_commit_ever_held_one():
    objects = subprocess.run(
        ["git", "cat-file", "--batch-all-objects", "--batch-check=%(objectname) %(objecttype) %(objectsize)"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    blobs = [line.split()[0] for line in objects.splitlines() if line.split()[1] != "tree"]
    assert blobs, "the repository has no objects: is this a checkout?"
    guilty = {}
    for start in range(0, len(blobs), 2000):
        batch = "\n".join(blobs[start : start + 2000]).encode()
        run = subprocess.run(
            ["git", "cat-file", "--batch"], cwd=ROOT, check=True, input=batch, capture_output=True
        )
        if found := found_in(run.stdout):
            guilty[start] = found

    assert guilty == {}


PLANTED = {
    "storage key": "AccountKey=" + "Zm9v" * 21 + "==",
    "shared access key": "SharedAccessKey=" + "Zm9vYmFy" * 4,
    "signature in a URL": "https://prod-1.logic.azure.com/x?sv=1.0&sig=" + "Zm9vYmFy" * 4,
    "private key": "-----BEGIN " + "PRIVATE KEY-----\n" + "MIIEvQIBADANBgkqhkiG9w0B",
    "GitHub token": "ghp" + "_" + "a1B2" * 9,
    "npm token": "npm" + "_" + "a1B2" * 9,
    "AWS key": "AKIA" + "ABCDEFGHIJKLMNOP",
    "Slack token": "xoxb" + "-1234567890-abcdef",
    "signed JSON web token": "eyJ"
    + "hbGciOiJSUzI1NiJ9"
    + ".eyJ"
    + "zdWIiOiIxMjM0NTY3"
    + "."
    + "c2lnbmF0dXJl" * 3,
    "Entra client secret": "abc" + "8Q~" + "a1B2c3D4" * 4,
    "password in a URL": "smtp://backup:" + "Tr0ub4dor&3x" + "@mail.contoso.net",
    "package index of somebody": "index_url" + " = https://mirror.contoso.net/simple",
}


@pytest.mark.parametrize("kind", PATTERNS)
def test_the_scan_sees_each_kind(kind):
    assert [one.split(":")[0] for one in found_in(PLANTED[kind].encode())] == [kind]
