"""Native libraries: kernels by TVM, the rest in C."""
