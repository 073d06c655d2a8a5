"""Documents that are printed from data, so that they cannot disagree with the product.

    python -m docs.generate

writes `docs/checks.md` and `docs/from-the-documents.md`; a test fails if they are not current.
"""
