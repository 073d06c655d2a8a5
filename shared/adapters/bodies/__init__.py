"""Azure's JSON bodies, parsed into our values once (STYLE 7). Pure: no SDK, no clock, no network.

Bodies differ by year, api-version and service (report §3.2, §6), so a field that is missing or of
an odd type is unknown, never an error. SDK models are mappings with the same names and are read
as they are.
"""
