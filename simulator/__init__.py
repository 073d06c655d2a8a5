"""A simulated Azure, as one local process: what ARM, Compute, Recovery Services and friends answer.

Written from Microsoft's published specification and from recordings of real exchanges, never from
the product's adapters; the product and the simulator do not import each other (DESIGN §3.20). It
runs on laptops and in tests and is never deployed.
"""
