/* Runs a compiled model on an NVIDIA GPU: stable C interface, version 1.

   Needs libc and libdl, nothing else: no toolkit, no Python. The driver (libcuda.so.1) is opened at
   run time. Nothing of the folder is executed on the host; every file in it is checked first.

   Every function that can fail returns QC_OK or a code. What happened, where, is said by the buffer
   given to qc_open and, once a model is open, by qc_last_error.

   Threads: there is no global state. A model may be used by one thread at a time, by any thread;
   different models are independent. The model owns its working memory on the device, so two runs of
   one model must not overlap there either: runs given to different streams by qc_run_device must be
   ordered by the caller. Each call makes the device's primary context current and, before it
   returns, whatever was current before.

   Tensors are dense, row-major, in the model's own axis order. A quantized tensor stands for
   scale * (q - zero_point). */
#ifndef QCRT_H
#define QCRT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define QC_ABI 1

typedef enum {
  QC_OK = 0,
  QC_BAD_ARGUMENT = 1,   /* a null pointer, an index, a flag or a size out of range */
  QC_NO_FILE = 2,        /* a file of the folder cannot be opened or mapped */
  QC_CORRUPT = 3,        /* a file is short, damaged, or of another model */
  QC_WRONG_VERSION = 4,  /* the plan is of a format that this library does not read */
  QC_NO_DRIVER = 5,      /* the driver library cannot be opened, or is none */
  QC_OLD_DRIVER = 6,     /* the driver is older than every kernel image that fits the device */
  QC_NO_DEVICE = 7,      /* there is no such device */
  QC_NO_IMAGE = 8,       /* no kernel image fits the device */
  QC_NO_MEMORY = 9,      /* memory of the host or the device could not be had */
  QC_LAUNCH_FAILED = 10, /* a kernel could not be launched or failed while it ran */
  QC_DRIVER_FAILED = 11  /* another call of the driver failed */
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
   none (count 0: the numbers themselves). Pointers are valid until the model is closed. */
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

/* size: sizeof(qc_options), so that later versions can add fields. driver: path of the driver
   library, NULL for libcuda.so.1. device: which device, from 0. graphs: launch the model as one
   CUDA graph. unchecked: take weights that may be damaged, to find out what the damage does. */
typedef struct {
  size_t size;
  const char *driver;
  int32_t device;
  int32_t graphs;
  int32_t unchecked;
} qc_options;

#define QC_OPTIONS {sizeof(qc_options), NULL, 0, 1, 0}

/* The interface's version, and a code in words. */
int32_t qc_abi(void);
const char *qc_error_text(qc_status status);

/* folder: where plan.bin, weights.bin and the kernel images are. options: NULL for QC_OPTIONS.
   error: takes the text of what went wrong; may be NULL. */
qc_status qc_open(const char *folder, const qc_options *options, qc_model **model, char *error,
                  size_t error_bytes);
void qc_close(qc_model *model);

/* What the last call that failed on this model had to say; "" before there was one. */
const char *qc_last_error(const qc_model *model);

/* The model's name, its target, the device, the kernel image in use (sm_75, ptx_75, ...), and 1 when
   the driver is the emulator, which runs the same kernels on the CPU. */
const char *qc_name(const qc_model *model);
const char *qc_target(const qc_model *model);
const char *qc_device(const qc_model *model);
const char *qc_image(const qc_model *model);
int32_t qc_emulated(const qc_model *model);

/* Bytes on the device: working memory, and weights. */
size_t qc_arena_bytes(const qc_model *model);
size_t qc_weights_bytes(const qc_model *model);

int32_t qc_input_count(const qc_model *model);
int32_t qc_output_count(const qc_model *model);
int32_t qc_layer_count(const qc_model *model);

/* The tensor as a run takes or gives it: as raw integers (raw), or as the model's own type. */
qc_status qc_input(qc_model *model, int32_t index, int32_t raw, qc_tensor *tensor);
qc_status qc_output(qc_model *model, int32_t index, int32_t raw, qc_tensor *tensor);
/* A value that qc_trace shows. */
qc_status qc_layer(qc_model *model, int32_t index, qc_tensor *tensor);

/* Steps of the program: the graph's node that each belongs to, and its kernel. */
int32_t qc_step_count(const qc_model *model);
const char *qc_step_name(const qc_model *model, int32_t step);
const char *qc_step_kernel(const qc_model *model, int32_t step);

/* Flags: inputs are, outputs shall be, raw integers. */
#define QC_RAW_INPUTS 1u
#define QC_RAW_OUTPUTS 2u

/* Runs the model once on tensors in host memory, as qc_input(i) and qc_output(i) describe them, and
   waits for the result. */
qc_status qc_run(qc_model *model, const void *const *inputs, void *const *outputs, uint32_t flags);

/* The same on tensors in device memory, on the caller's stream (a CUstream; NULL: the default one),
   without waiting: what fails while it runs is found by whoever waits for the stream. */
qc_status qc_run_device(qc_model *model, const void *const *inputs, void *const *outputs, void *stream,
                        uint32_t flags);

/* Called after a step with the value that it completed, unpacked: 4-bit values as i8 or u8. */
typedef void (*qc_trace_function)(void *user, const qc_tensor *value, const void *data);

/* Runs the model step by step on host memory and shows each layer's value. outputs may be NULL. */
qc_status qc_trace(qc_model *model, const void *const *inputs, void *const *outputs, uint32_t flags,
                   qc_trace_function function, void *user);

/* Runs the model step by step, without a graph, and tells how long each step took on the device, with
   the gap before it: nanoseconds has qc_step_count places; a step that is not taken took 0. outputs
   may be NULL. */
qc_status qc_time(qc_model *model, const void *const *inputs, void *const *outputs, uint32_t flags,
                  int64_t *nanoseconds);

#ifdef __cplusplus
}
#endif
#endif
