"""brush: the embedded data set, whose best possible accuracies are known (see `labels`)."""
