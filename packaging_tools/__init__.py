"""Builds what is deployed: the package, its bill of materials, its list of licenses.

Not deployed itself. `python -m packaging_tools.build` (or `make package`) builds the zip.
"""
