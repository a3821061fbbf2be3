/* The library of one compiled model: stable C interface, version 1.

   Needs libc, libm and pthread, nothing else. All functions return QC_OK or an error code; the text
   behind the last error of this thread is given by qc_error(). A model may be used by one thread at
   a time; different models are independent.

   Tensors are dense, row-major, in the model's own axis order. A quantized tensor stands for
   scale * (q - zero_point). */
#ifndef QC_MODEL_H
#define QC_MODEL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define QC_ABI 1

typedef enum {
  QC_OK = 0,
  QC_BAD_ARGUMENT = 1, /* a null pointer, an index or a count out of range */
  QC_NO_FILE = 2,      /* the weights file cannot be opened or mapped */
  QC_BAD_FILE = 3,     /* the weights file is short, damaged, or of another model */
  QC_WRONG_CPU = 4,    /* this processor lacks an instruction that the library uses */
  QC_NO_MEMORY = 5     /* memory or a thread could not be had */
} qc_status;

typedef enum {
  QC_U8 = 0,
  QC_I8 = 1,
  QC_I16 = 2,
  QC_I32 = 3,
  QC_F32 = 4,
  QC_BOOL = 5,
  QC_I64 = 6
} qc_type;

#define QC_MAX_RANK 8

/* scales, zero_points: one for the tensor (count 1), one for each index of `axis` (count > 1), or
   none (count 0: the numbers themselves). */
typedef struct {
  const char *name;
  qc_type type;
  int32_t rank;
  int64_t shape[QC_MAX_RANK];
  size_t bytes;
  int32_t count;
  int32_t axis;
  const float *scales;
  const int32_t *zero_points;
} qc_tensor;

typedef struct qc_model qc_model;

/* The interface's version, the instruction set and the model's name. */
int32_t qc_abi(void);
const char *qc_isa(void);
const char *qc_name(void);

/* path: weights.bin or the folder that holds it. The file is mapped; what it holds in fewer bits
   than the kernels read is spread in memory. */
qc_status qc_open(const char *path, qc_model **model);
/* The same with weights that may be damaged: to find out what the damage does. */
qc_status qc_open_unchecked(const char *path, qc_model **model);
void qc_close(qc_model *model);
const char *qc_error(void);

/* How many threads run the model, 1 at first. Results do not depend on it. */
qc_status qc_set_threads(qc_model *model, int32_t count);

int32_t qc_input_count(void);
int32_t qc_output_count(void);

/* The tensor as qc_run takes or gives it (raw) or as qc_run_real does (the model's own type). */
qc_status qc_input(int32_t index, int32_t raw, qc_tensor *tensor);
qc_status qc_output(int32_t index, int32_t raw, qc_tensor *tensor);

/* Runs the model once. inputs[i] and outputs[i] point to tensors as qc_input(i) and qc_output(i)
   describe them: qc_run takes and gives the integers (raw), qc_run_real reals, qc_run_forms what
   the two flags say. */
qc_status qc_run(qc_model *model, const void *const *inputs, void *const *outputs);
qc_status qc_run_real(qc_model *model, const void *const *inputs, void *const *outputs);
qc_status qc_run_forms(qc_model *model, const void *const *inputs, void *const *outputs,
                       int32_t raw_inputs, int32_t raw_outputs);

/* Called after each step with the value that it computed. A null function ends tracing. */
typedef void (*qc_trace)(void *user, const qc_tensor *value, const void *data);
qc_status qc_set_trace(qc_model *model, qc_trace function, void *user);

/* The same, and what the function leaves at `data` is the value from then on. Libraries of an
   earlier compiler lack this one. */
typedef void (*qc_change)(void *user, const qc_tensor *value, void *data);
qc_status qc_set_change(qc_model *model, qc_change function, void *user);

/* Bytes of working memory per opened model, weights left out. */
size_t qc_arena_bytes(void);

/* Steps of the program and, after a run with timing on, the nanoseconds that each took. */
int32_t qc_step_count(void);
const char *qc_step_name(int32_t step);
const char *qc_step_kernel(int32_t step);
qc_status qc_set_timing(qc_model *model, int32_t on);
int64_t qc_step_nanoseconds(const qc_model *model, int32_t step);

#ifdef __cplusplus
}
#endif
#endif
