"""A Functions host for one laptop: child processes that load an unmodified ``function_app.py``.

Each instance is ``python -m simulator.host``: Microsoft's own worker library
(``azure-functions-runtime``) indexes and runs the functions; this package imitates the .NET host
around it: queue, timer, HTTP and Event Grid triggers, queue outputs, keys, ``host.json``. The
parent (:mod:`simulator.host.fleet`) starts one to N instances, routes HTTP to them and does what
Azure does when one dies. What is imitated, and from which source, is in docs/simulator-host.md;
what is not is refused by name when an app is loaded.
"""
