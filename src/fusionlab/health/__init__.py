"""The doctor: what is wrong with files, lists and flow, and what brush's probes can read."""
