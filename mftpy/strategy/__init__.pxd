"""``cimport mftpy.strategy``: see `mftpy.strategy.structs` for the records and `mftpy.strategy.decide` for the decision."""
