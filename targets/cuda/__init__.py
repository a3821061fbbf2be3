"""Generated CUDA for INT4 and INT8 tensor cores."""
