"""What may act on the axes of each operation: one table from operations to laws."""
