"""Benchmarks: what the engine costs, and how near it is to what Azure's budgets allow.

``python -m bench [NAME] [--json FILE]``; results of the latest run are in docs/benchmarks.md.
"""
