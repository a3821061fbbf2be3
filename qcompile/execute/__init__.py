"""onnxruntime at work: for foreign operators, and as the other opinion."""
