"""Transforms: derivatives, batching, custom rules and control flow, each a fold over what was traced."""
