"""The operator's command line: `python -m ops`. Not deployed; it uses the operator's own login."""
