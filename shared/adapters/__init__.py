"""The edge: the only importers of `azure.*`. Each module answers one port of `shared.ports`."""
