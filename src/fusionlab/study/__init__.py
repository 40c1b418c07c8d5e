"""From a grid to records: plan, ledger, workers (standard library and `records` only)."""
