"""Types: what counts as a tensor, what an annotation allows, and why a call was refused."""
