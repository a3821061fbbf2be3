/* Runs the model once and prints the first numbers of each output.

     cc -O2 main.c -ldl -o main && ./main [-i] [-o] [-w] ./model.so . [input.raw ...]

   Each input file holds one tensor, dense and row-major, as reals or, with -i, as the model's
   integers; inputs without a file are zeros. Outputs are reals or, with -o, integers; -w writes each
   to output0.raw, output1.raw, ... in the working folder instead. */

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include "model.h"

#define LOAD(name) __typeof__(&name) p_##name = (__typeof__(&name))dlsym(library, #name)

static void *read_file(const char *path, size_t bytes) {
  void *data = calloc(1, bytes + 1);
  FILE *file = path == NULL ? NULL : fopen(path, "rb");
  if (path != NULL && (file == NULL || fread(data, 1, bytes, file) != bytes)) {
    fprintf(stderr, "%s does not hold %zu bytes\n", path, bytes);
    exit(2);
  }
  if (file != NULL) fclose(file);
  return data;
}

static void print(const qc_tensor *t, const void *data) {
  printf("%s:", t->name);
  size_t sizes[] = {1, 1, 2, 4, 4, 1, 8};
  size_t count = t->bytes / sizes[t->type];
  for (size_t i = 0; i < count && i < 16; i++) switch (t->type) {
      case QC_U8: case QC_BOOL: printf(" %d", ((const uint8_t *)data)[i]); break;
      case QC_I8: printf(" %d", ((const int8_t *)data)[i]); break;
      case QC_I16: printf(" %d", ((const int16_t *)data)[i]); break;
      case QC_I32: printf(" %d", (int)((const int32_t *)data)[i]); break;
      case QC_I64: printf(" %lld", (long long)((const int64_t *)data)[i]); break;
      case QC_F32: printf(" %g", ((const float *)data)[i]); break;
    }
  printf(count > 16 ? " ...\n" : "\n");
}

static int write_file(int32_t index, const void *data, size_t bytes) {
  char name[64];
  snprintf(name, sizeof name, "output%d.raw", (int)index);
  FILE *file = fopen(name, "wb");
  int good = file != NULL && fwrite(data, 1, bytes, file) == bytes;
  if (file != NULL) good = fclose(file) == 0 && good;
  if (!good) fprintf(stderr, "%s cannot be written\n", name);
  return good;
}

int main(int count, char **arguments) {
  int32_t raw_in = 0, raw_out = 0, writes = 0;
  while (count > 1 && arguments[1][0] == '-') {
    raw_in |= arguments[1][1] == 'i';
    raw_out |= arguments[1][1] == 'o';
    writes |= arguments[1][1] == 'w';
    arguments++;
    count--;
  }
  if (count < 3) {
    fprintf(stderr, "usage: main [-i] [-o] [-w] model.so folder [input.raw ...]\n");
    return 2;
  }
  void *library = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) {
    fprintf(stderr, "%s\n", dlerror());
    return 2;
  }
  LOAD(qc_open); LOAD(qc_close); LOAD(qc_error); LOAD(qc_run_forms);
  LOAD(qc_input_count); LOAD(qc_output_count); LOAD(qc_input); LOAD(qc_output);
  qc_model *model;
  if (p_qc_open(arguments[2], &model) != QC_OK) {
    fprintf(stderr, "%s\n", p_qc_error());
    return 2;
  }
  int32_t ins = p_qc_input_count(), outs = p_qc_output_count();
  const void **inputs = calloc((size_t)ins + 1, sizeof *inputs);
  void **outputs = calloc((size_t)outs + 1, sizeof *outputs);
  qc_tensor t;
  for (int32_t i = 0; i < ins; i++) {
    p_qc_input(i, raw_in, &t);
    inputs[i] = read_file(3 + i < count ? arguments[3 + i] : NULL, t.bytes);
  }
  for (int32_t i = 0; i < outs; i++) {
    p_qc_output(i, raw_out, &t);
    outputs[i] = calloc(1, t.bytes + 1);
  }
  if (p_qc_run_forms(model, inputs, outputs, raw_in, raw_out) != QC_OK) {
    fprintf(stderr, "%s\n", p_qc_error());
    return 1;
  }
  for (int32_t i = 0; i < outs; i++) {
    p_qc_output(i, raw_out, &t);
    if (!writes) print(&t, outputs[i]);
    else if (!write_file(i, outputs[i], t.bytes)) return 1;
    free(outputs[i]);
  }
  for (int32_t i = 0; i < ins; i++) free((void *)inputs[i]);
  free(inputs);
  free(outputs);
  p_qc_close(model);
  dlclose(library);
  return 0;
}
