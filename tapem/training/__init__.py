"""Training a model, and keeping what it learned."""
