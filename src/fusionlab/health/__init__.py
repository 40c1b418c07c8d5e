"""The doctor: checks of files, lists and flow, and the probes of brush."""
