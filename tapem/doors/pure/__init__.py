"""The pure door: an immutable tape, the handles to its nodes, and the gradients of a sweep."""
