"""The doctor's knowledge: what can be wrong with a data set, one file for each kind of finding."""
