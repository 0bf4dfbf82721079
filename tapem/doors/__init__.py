"""The three doors: the types of an op's operands decide whether a call records a node, returns a step, or computes."""
