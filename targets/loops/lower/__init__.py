"""Integer graph → loop nests, by kind of operation."""
