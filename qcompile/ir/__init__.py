"""The graph: nodes that are values, types with units, text that reads back."""
