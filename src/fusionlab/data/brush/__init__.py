"""brush: the embedded data set, an instrument whose ceilings are known. `labels` says what it asks and what can be
known.
"""
