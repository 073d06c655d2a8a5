"""Write every generated document."""

from pathlib import Path

from docs.generate import checks, documents, runbook

FOLDER = Path(__file__).parents[1]


def main() -> None:
    (FOLDER / "checks.md").write_text(checks.markdown(), encoding="utf-8")
    (FOLDER / "from-the-documents.md").write_text(documents.markdown(), encoding="utf-8")
    book = FOLDER / "runbook.md"
    book.write_text(runbook.printed(book.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
