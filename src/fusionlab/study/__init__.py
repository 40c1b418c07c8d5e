"""From a grid to records: plan, ledger, workers (standard library and floor 0 only)."""
