"""Readers: ONNX and torch.export to the float graph."""
