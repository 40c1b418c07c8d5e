"""Contract tests: what every fusion, temporal head and tower must do, for ours and for yours."""
