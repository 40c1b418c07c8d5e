"""The price of a plan: hours, memory and disk; from earlier records, or calibrated."""
