"""The monadic door: steps as values, the driver that takes them, and programs of steps."""
