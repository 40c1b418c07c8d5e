"""Options of a command line -> one plain tree -> typed configs, and the parts built from them."""
