"""From the lists of a data set to batches for two streams."""
