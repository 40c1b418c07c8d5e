"""Words of a command line -> one plain tree -> typed configs, and the parts that are built from them."""
