"""The deployment package: the product only, the same bytes twice, and it runs."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from packaging_tools import licenses, sbom
from packaging_tools.build import build
from packaging_tools.contents import ROOT, product
from shared.web.rendering import page

TEMPLATES = [
    path for path in product() if path.parent.name == "templates" and path.suffix != ".css"
]


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    return build(tmp_path_factory.mktemp("package"))


def names(package: Path) -> set[str]:
    with zipfile.ZipFile(package) as archive:
        return set(archive.namelist())


def test_twice_the_same_bytes(package, tmp_path):
    assert build(tmp_path).read_bytes() == package.read_bytes()
    with zipfile.ZipFile(package) as archive:
        assert {one.date_time for one in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert archive.namelist() == sorted(archive.namelist())


def test_it_holds_the_product_and_nothing_else(package):
    tops = {name.split("/")[0] for name in names(package)}

    assert tops == {"__pycache__", "function_app.py", "host.json", "requirements.txt", "shared"}
    assert not any(name.endswith((".ko", ".map")) for name in names(package))
    assert {"shared/bootstrap.py", "shared/domain/faultbook.json"} <= names(package)


def test_azd_would_deploy_the_same_sources(package, tmp_path):
    """`.funcignore` has the rules of a .gitignore: git itself says what it leaves."""
    tracked, ignored = (
        set(
            subprocess.run(
                ["git", "ls-files", "-co", "--exclude-standard", *more],
                cwd=ROOT, check=True, capture_output=True, text=True,
            ).stdout.splitlines()
        )
        for more in ([], ["--ignored", "--exclude-from=.funcignore"])
    )  # fmt: skip

    sources = {name for name in names(package) if not name.endswith(".pyc")}
    assert tracked - ignored == sources
    assert names(build(tmp_path, bytecode=False)) == sources


def test_no_path_of_this_machine_is_in_it(package):
    with zipfile.ZipFile(package) as archive:
        guilty = [name for name in archive.namelist() if str(ROOT).encode() in archive.read(name)]

    assert guilty == []


def test_every_module_and_template_is_compiled_and_not_checked_against_its_source(package):
    with zipfile.ZipFile(package) as archive:
        compiled = [name for name in archive.namelist() if name.endswith(".pyc")]
        flags = {int.from_bytes(archive.read(name)[4:8], "little") for name in compiled}

    sources = [path for path in product() if path.suffix == ".py" or path in TEMPLATES]
    assert len(compiled) == len(sources) > len(TEMPLATES) > 0
    assert flags == {0b01}  # PEP 552: hash-based, unchecked


def test_templates_come_from_the_package_compiled(package, tmp_path):
    with zipfile.ZipFile(package) as archive:
        archive.extractall(tmp_path)
    for template in TEMPLATES:
        (tmp_path / template).unlink()
    asking = (
        "import sys; from shared.notices import mail; from shared.web import rendering\n"
        "for name in sys.argv[1:]:\n"
        "    (mail if name.startswith('mail') else rendering).environment().get_template(name)\n"
        "print(rendering.page('sign_in.html', next='<', wrong=False).body.decode())"
    )
    run = subprocess.run(
        [sys.executable, "-c", asking, *(template.name for template in TEMPLATES)],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == page("sign_in.html", next="<", wrong=False).body.decode().strip()


def test_the_app_loads_from_the_package_alone(package, tmp_path):
    with zipfile.ZipFile(package) as archive:
        archive.extractall(tmp_path)
    run = subprocess.run(
        [
            sys.executable, "-c",
            "import function_app; print(len(function_app.app.get_functions()), function_app.__file__)",
        ],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert run.returncode == 0, run.stderr
    count, where = run.stdout.split(maxsplit=1)
    assert int(count) >= 15
    assert where.startswith(str(tmp_path))


def test_the_command_prints_the_path_as_its_last_line(tmp_path):
    run = subprocess.run(
        [sys.executable, "-m", "packaging_tools.build", "--to", tmp_path],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip

    last = Path(run.stdout.splitlines()[-1])
    assert last.parent == tmp_path
    assert zipfile.is_zipfile(last)


# --- supply chain --------------------------------------------------------------------------------


def test_every_license_is_known_and_agreed_to_and_listed():
    assert licenses.LIST.read_text(encoding="utf-8") == licenses.markdown(), (
        "run python -m packaging_tools.licenses and review the diff"
    )


class _Said:
    """A package's metadata, as far as licenses go."""

    def __init__(self, **said: list[str]) -> None:
        self.name, self.metadata = "p", self
        self._said = said

    def get(self, key: str) -> str | None:
        return next(iter(self._said.get(key, [])), None)

    def get_all(self, key: str) -> list[str]:
        return self._said.get(key, [])


@pytest.mark.parametrize(
    "said",
    [
        pytest.param({}, id="says nothing"),
        pytest.param({"License": ["Proprietary"]}, id="unknown words"),
        pytest.param({"License-Expression": ["GPL-3.0-only"]}, id="not agreed to"),
        pytest.param({"License-Expression": ["MIT AND GPL-2.0-only"]}, id="partly agreed to"),
    ],
)
def test_a_license_nobody_agreed_to_is_refused(said):
    with pytest.raises(licenses.UnknownLicense):
        licenses.license_of(_Said(**said))


def test_the_bill_of_materials_lists_every_package_with_its_license():
    bill = sbom.materials()
    listed = {(one["name"], one["version"]) for one in bill["components"]}

    assert listed == {(name, version) for name, version, _ in licenses.pinned()}
    assert bill["specVersion"] == "1.6"
    assert bill["metadata"]["component"]["name"] == "vm-backup-auto-enrollment"
    with_license = {one["name"] for one in bill["components"] if one.get("licenses")}
    assert with_license == {one.name for one in licenses.components()}


def test_every_requirement_is_pinned_and_hashed_and_names_no_index():
    for path in (ROOT / "requirements.txt", *(ROOT / "requirements").glob("*.txt")):
        text = path.read_text(encoding="utf-8").replace("\\\n", " ")
        lines = [
            line for line in text.splitlines() if line.strip() and not line.strip().startswith("#")
        ]
        assert all("==" in line and "--hash=sha256:" in line for line in lines), path
        assert "index-url" not in text
        assert "://" not in text
