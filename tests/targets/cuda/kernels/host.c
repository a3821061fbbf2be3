/* Runs a matrix product of the emulator library named first, in all four orders of threads, and
   compares it with plain loops: host LIBRARY KERNEL BITS SHARED. For machines without Python. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { M = 100, N = 72, K = 160 };

typedef int launcher(const char*, const unsigned*, const unsigned*, unsigned, void**, char*, int);

static int element(const unsigned char* rows, int row_bytes, int row, int k, int bits) {
  if (bits == 8) return (signed char)rows[row * row_bytes + k];
  const int nibble = rows[row * row_bytes + k / 2] >> 4 * (k % 2) & 15;
  return nibble > 7 ? nibble - 16 : nibble;
}

int main(int count, char** arguments) {
  if (count != 5) return 2;
  void* library = dlopen(arguments[1], RTLD_NOW);
  if (library == NULL) return fprintf(stderr, "%s\n", dlerror()), 2;
  launcher* launch = (launcher*)dlsym(library, "qcemu_launch");
  void (*set_order)(int) = (void (*)(int))dlsym(library, "qcemu_set_order");
  const int bits = atoi(arguments[3]);
  int m = M, n = N, row_bytes = K * bits / 8, sums[M * N];
  unsigned char *a = aligned_alloc(16, M * K), *b = aligned_alloc(16, N * K);
  for (int i = 0; i < M * K; i++) a[i] = (unsigned char)(i * 2654435761u >> 13);
  for (int i = 0; i < N * K; i++) b[i] = (unsigned char)(i * 2246822519u >> 17);
  int* d = sums;
  const unsigned grid[3] = {1, 1, 1}, block[3] = {256, 1, 1};
  for (int order = 0; order < 4; order++) {
    char message[500];
    void* values[] = {&a, &b, &d, &m, &n, &row_bytes};
    memset(sums, 0xA5, sizeof sums);
    set_order(order);
    if (launch(arguments[2], grid, block, (unsigned)atoi(arguments[4]), values, message, 500))
      return fprintf(stderr, "%s\n", message), 1;
    for (int i = 0; i < M * N; i++) {
      int sum = 0;
      for (int k = 0; k < K; k++)
        sum += element(a, row_bytes, i / N, k, bits) * element(b, row_bytes, i % N, k, bits);
      if (sums[i] != sum)
        return fprintf(stderr, "order %d, sum %d: %d is not %d\n", order, i, sums[i], sum), 1;
    }
  }
  puts("equal");
  return 0;
}
