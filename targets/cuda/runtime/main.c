/* Runs the model of a folder and prints the device, the time of a run and the first outputs.

     cc -O2 main.c qcrt.c -ldl -o main && ./main [-i] [-r] [-s] [-n runs] [-o out.bin] folder [input.bin ...]

   Each input file holds one tensor, dense and row-major, as reals or, with -i, as the model's
   integers; inputs without a file are zeros. Outputs are reals or, with -r, integers; -o writes all
   of them, one after another, to a file instead. -s launches step by step instead of as one graph.
   The environment variable QC_DRIVER names a driver library instead of libcuda.so.1. */

#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "qcrt.h"

static void *read_file(const char *path, size_t bytes) {
  void *data = calloc(1, bytes + 1);
  FILE *file = path == NULL ? NULL : fopen(path, "rb");
  if (data == NULL || (path != NULL && (file == NULL || fread(data, 1, bytes, file) != bytes || fgetc(file) != EOF))) {
    fprintf(stderr, "%s does not hold %zu bytes\n", path == NULL ? "memory" : path, bytes);
    exit(2);
  }
  if (file != NULL) fclose(file);
  return data;
}

static void print(const qc_tensor *t, const void *data) {
  static const size_t sizes[] = {1, 1, 2, 4, 4, 1, 8};
  size_t count = t->bytes / sizes[t->type];
  printf("%s:", t->name);
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

static int write_all(const char *path, qc_model *model, void *const *outputs, int32_t raw) {
  FILE *file = fopen(path, "wb");
  int good = file != NULL;
  qc_tensor t;
  for (int32_t i = 0; good && i < qc_output_count(model); i++)
    good = qc_output(model, i, raw, &t) == QC_OK && fwrite(outputs[i], 1, t.bytes, file) == t.bytes;
  if (file != NULL) good = fclose(file) == 0 && good;
  if (!good) fprintf(stderr, "%s cannot be written\n", path);
  return good;
}

static double milliseconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Runs the model and prints the device and the median time. */
static qc_status measure(qc_model *model, const void *const *inputs, void *const *outputs, uint32_t flags, int runs) {
  double *times = calloc((size_t)runs, sizeof *times);
  qc_status status = times == NULL ? QC_NO_MEMORY : QC_OK;
  for (int i = 0; i < runs && status == QC_OK; i++) {
    double start = milliseconds();
    status = qc_run(model, inputs, outputs, flags);
    times[i] = milliseconds() - start;
  }
  if (status == QC_OK) {
    qsort(times, (size_t)runs, sizeof *times, by_size);
    printf("%s for %s on %s%s, kernels %s: %.3f ms (median of %d, copies included)\n", qc_name(model),
           qc_target(model), qc_device(model), qc_emulated(model) ? " (emulated)" : "", qc_image(model),
           times[runs / 2], runs);
  }
  free(times);
  return status;
}

int main(int count, char **arguments) {
  uint32_t flags = 0;
  int runs = 1, option;
  const char *to = NULL;
  qc_options options = QC_OPTIONS;
  while ((option = getopt(count, arguments, "irsn:o:")) != -1) switch (option) {
      case 'i': flags |= QC_RAW_INPUTS; break;
      case 'r': flags |= QC_RAW_OUTPUTS; break;
      case 's': options.graphs = 0; break;
      case 'n': runs = atoi(optarg); break;
      case 'o': to = optarg; break;
      default: runs = 0;
    }
  if (optind >= count || runs < 1) {
    fprintf(stderr, "usage: main [-i] [-r] [-s] [-n runs] [-o out.bin] folder [input.bin ...]\n");
    return 2;
  }
  options.driver = getenv("QC_DRIVER");
  char error[1024];
  qc_model *model;
  if (qc_open(arguments[optind], &options, &model, error, sizeof error) != QC_OK) {
    fprintf(stderr, "%s\n", error);
    return 2;
  }
  int32_t ins = qc_input_count(model), outs = qc_output_count(model);
  int32_t raw_in = (flags & QC_RAW_INPUTS) != 0, raw_out = (flags & QC_RAW_OUTPUTS) != 0;
  const void **inputs = calloc((size_t)ins + 1, sizeof *inputs);
  void **outputs = calloc((size_t)outs + 1, sizeof *outputs);
  if (inputs == NULL || outputs == NULL) return 2;
  qc_tensor t;
  for (int32_t i = 0; i < ins; i++) {
    qc_input(model, i, raw_in, &t);
    inputs[i] = read_file(optind + 1 + i < count ? arguments[optind + 1 + i] : NULL, t.bytes);
  }
  for (int32_t i = 0; i < outs; i++) {
    qc_output(model, i, raw_out, &t);
    outputs[i] = read_file(NULL, t.bytes);
  }
  qc_status status = measure(model, inputs, outputs, flags, runs);
  int good = status == QC_OK;
  if (!good) fprintf(stderr, "%s: %s\n", qc_error_text(status), qc_last_error(model));
  else if (to != NULL) good = write_all(to, model, outputs, raw_out);
  else
    for (int32_t i = 0; i < outs; i++) {
      qc_output(model, i, raw_out, &t);
      print(&t, outputs[i]);
    }
  for (int32_t i = 0; i < ins; i++) free((void *)inputs[i]);
  for (int32_t i = 0; i < outs; i++) free(outputs[i]);
  free(inputs);
  free(outputs);
  qc_close(model);
  return good ? 0 : 1;
}
