"""The array primitives, by family: each op is one declaration that carries its rules."""
