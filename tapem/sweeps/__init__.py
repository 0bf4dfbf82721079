"""The folds over a tape, one file each: reverse, forward, batch."""
