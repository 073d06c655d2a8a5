"""Write every generated document."""

from pathlib import Path

from docs.generate import checks, documents

FOLDER = Path(__file__).parents[1]


def main() -> None:
    (FOLDER / "checks.md").write_text(checks.markdown(), encoding="utf-8")
    (FOLDER / "from-the-documents.md").write_text(documents.markdown(), encoding="utf-8")


if __name__ == "__main__":
    main()
