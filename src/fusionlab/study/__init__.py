"""From a grid to records: plan, ledger, attempts, workers, launchers (standard library and `records` only)."""
