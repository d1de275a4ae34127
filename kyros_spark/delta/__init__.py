"""Everything that knows Delta: reading, writing, versions, micro-batches, upkeep, leases."""
