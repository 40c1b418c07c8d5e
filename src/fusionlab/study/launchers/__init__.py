"""What starts, lists and cancels workers; what they do is the ledger's business."""
