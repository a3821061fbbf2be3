"""What choices of widths cost on a target: bytes, bit operations, time and memory."""
