"""The product: everything that runs in Azure besides `function_app.py`.

Read in this order: `domain/decisions.py` (what happens to a VM), `reconcile.py` (how one VM is
looked at), `watch.py` and `sweep.py` (how many are), `bootstrap.py` (what is plugged where).
"""

VERSION = "0.1.0"  # as pyproject.toml says
