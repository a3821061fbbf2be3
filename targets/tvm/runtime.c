/* The runtime of a compiled model: memory, threads, the run loop. What is particular to the model
   (steps, tensors, sizes) stands before this text in the same file. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define MAX_THREADS 256
#define SPINS_AT_STEP 4000
#define PORTIONS 4 /* in so many parts a step is dealt out to each thread */
#define SPINS_BEFORE_SLEEP 20000

/* What holds for one run. */
typedef struct {
  int32_t threads, raw_inputs, raw_outputs, tracing, timing;
} qc_mode;

/* How far a step has come: what is handed out (in the low half, the run's number in the high one)
   and what is done. */
typedef struct {
  _Alignas(64) atomic_uint_fast64_t given;
  atomic_uint_fast32_t done;
} qc_progress;

struct qc_model {
  qc_frame frame;
  void *mapped;
  size_t mapped_bytes;
  uint8_t *unpacked;
  int32_t started;
  pthread_t thread[MAX_THREADS];
  pthread_mutex_t lock;
  pthread_cond_t wake;
  _Alignas(64) atomic_uint job;
  int32_t threads;
  int32_t ending;
  int32_t timing;
  qc_mode mode;
  qc_trace trace;
  qc_change change;
  void *user, *changing;
  int64_t nanoseconds[QC_STEPS + 1];
  qc_progress progress[QC_STEPS + 1];
};

static _Thread_local char message[512];

static qc_status fail(qc_status status, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(message, sizeof message, format, arguments);
  va_end(arguments);
  return status;
}

static void relax_cpu(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* borders */

static void fill_run(uint8_t *at, int64_t elements, const qc_border *b) {
  if (b->bytes == 1) {
    memset(at, (int)(b->fill & 0xff), (size_t)elements);
    return;
  }
  for (int64_t i = 0; i < elements; i++) memcpy(at + i * b->bytes, &b->fill, (size_t)b->bytes);
}

/* Fills what lies around the inner box of axes `axis` and on, in the block at `at`. */
static void fill_border(uint8_t *at, const qc_border *b, int32_t axis) {
  int64_t block = 1;
  for (int32_t i = axis + 1; i < b->rank; i++) block *= b->extent[i];
  int64_t before = b->before[axis], after = b->after[axis];
  int64_t inside = b->extent[axis] - before - after;
  fill_run(at, before * block, b);
  fill_run(at + (before + inside) * block * b->bytes, after * block, b);
  if (axis + 1 == b->last) return;
  for (int64_t i = 0; i < inside; i++)
    fill_border(at + (before + i) * block * b->bytes, b, axis + 1);
}

/* tracing */

static void gather(uint8_t *to, const uint8_t *from, const qc_value *v, int32_t axis) {
  int64_t inner = 1;
  for (int32_t i = axis + 1; i < v->tensor.rank; i++) inner *= v->tensor.shape[i];
  if (axis == v->tensor.rank) {
    memcpy(to, from, (size_t)v->bytes);
    return;
  }
  for (int64_t i = 0; i < v->tensor.shape[axis]; i++)
    gather(to + i * inner * v->bytes, from + i * v->stride[axis] * v->bytes, v, axis + 1);
}

/* The other way round. */
static void scatter(uint8_t *to, const uint8_t *from, const qc_value *v, int32_t axis) {
  int64_t inner = 1;
  for (int32_t i = axis + 1; i < v->tensor.rank; i++) inner *= v->tensor.shape[i];
  if (axis == v->tensor.rank) {
    memcpy(to, from, (size_t)v->bytes);
    return;
  }
  for (int64_t i = 0; i < v->tensor.shape[axis]; i++)
    scatter(to + i * v->stride[axis] * v->bytes, from + i * inner * v->bytes, v, axis + 1);
}

static void report(qc_model *model, const qc_step *step) {
  if (step->value < 0) return;
  const qc_value *value = &qc_values[step->value];
  uint8_t *dense = malloc(value->tensor.bytes + 1);
  if (dense == NULL) return;
  gather(dense, model->frame.arena + value->offset, value, 0);
  if (model->trace != NULL) model->trace(model->user, &value->tensor, dense);
  if (model->change != NULL) {
    model->change(model->changing, &value->tensor, dense);
    scatter(model->frame.arena + value->offset, dense, value, 0);
  }
  free(dense);
}

/* threads */

static int skipped(const qc_step *step, qc_mode mode) {
  switch (step->phase) {
    case QC_ENTER_REAL: return mode.raw_inputs;
    case QC_ENTER_RAW: return !mode.raw_inputs;
    case QC_LEAVE_REAL: return mode.raw_outputs;
    case QC_LEAVE_RAW: return !mode.raw_outputs;
    default: return 0;
  }
}

enum { STEP_TAKEN = -1, RUN_OVER = -2 };

/* Takes the next `count` or fewer of a step's units: the first one, or why there is none. */
static int64_t take(qc_progress *progress, uint32_t run, uint32_t units, uint32_t count) {
  uint_fast64_t old = atomic_load_explicit(&progress->given, memory_order_acquire);
  for (;;) {
    if ((uint32_t)(old >> 32) != run) return RUN_OVER;
    uint32_t first = (uint32_t)old;
    if (first >= units) return STEP_TAKEN;
    uint_fast64_t next = old + (count < units - first ? count : units - first);
    if (atomic_compare_exchange_weak_explicit(&progress->given, &old, next, memory_order_acq_rel,
                                              memory_order_acquire))
      return first;
  }
}

/* Units first ... last - 1 of a step: its border, if it has one, then its tasks. */
static void do_units(qc_model *model, const qc_step *step, uint32_t first, uint32_t last) {
  if (step->border >= 0) {
    if (first == 0) {
      const qc_border *b = &qc_borders[step->border];
      fill_border(model->frame.arena + b->offset, b, 0);
      first = 1;
    }
    first--;
    last--;
  }
  if (first < last) step->run(&model->frame, (int32_t)first, (int32_t)last);
}

/* One thread's part in one step; 0 when the run is over. Whoever is free takes the next units, so
   that a thread that is held up holds up no more than what it has taken. */
static int help(qc_model *model, int32_t s, uint32_t run, int32_t threads) {
  const qc_step *step = &qc_steps[s];
  qc_progress *progress = &model->progress[s];
  uint32_t units = (uint32_t)step->tasks + (step->border >= 0);
  uint32_t count = units / (uint32_t)(threads * PORTIONS);
  int64_t first;
  if (count == 0) count = 1;
  while ((first = take(progress, run, units, count)) >= 0) {
    uint32_t last = (uint32_t)first + (count < units - first ? count : units - (uint32_t)first);
    do_units(model, step, (uint32_t)first, last);
    atomic_fetch_add_explicit(&progress->done, last - (uint32_t)first, memory_order_release);
  }
  if (first == RUN_OVER) return 0;
  for (int64_t spins = 0; atomic_load_explicit(&progress->done, memory_order_acquire) != units; spins++) {
    if ((uint32_t)(atomic_load_explicit(&progress->given, memory_order_relaxed) >> 32) != run) return 0;
    if (spins < SPINS_AT_STEP) relax_cpu();
    else sched_yield();
  }
  return 1;
}

/* What the calling thread does of one run: all of it, or its part. */
static void lead(qc_model *model, qc_mode mode, uint32_t run) {
  for (int32_t s = 0; s < QC_STEPS; s++) {
    const qc_step *step = &qc_steps[s];
    if (skipped(step, mode)) continue;
    int64_t start = mode.timing ? now() : 0;
    if (mode.threads > 1) help(model, s, run, mode.threads);
    else do_units(model, step, 0, (uint32_t)step->tasks + (step->border >= 0));
    if (mode.timing) model->nanoseconds[s] = now() - start;
    if (mode.tracing) report(model, step);
  }
}

/* A helping thread. It may come late or miss a run: each unit is taken for a run by number. */
static void *work(void *argument) {
  qc_model *model = argument;
  uint32_t seen = 0;
  for (;;) {
    for (int64_t spins = 0; atomic_load_explicit(&model->job, memory_order_acquire) == seen; spins++) {
      if (spins < SPINS_BEFORE_SLEEP) {
        relax_cpu();
        continue;
      }
      pthread_mutex_lock(&model->lock);
      while (atomic_load_explicit(&model->job, memory_order_acquire) == seen)
        pthread_cond_wait(&model->wake, &model->lock);
      pthread_mutex_unlock(&model->lock);
    }
    pthread_mutex_lock(&model->lock);
    seen = atomic_load_explicit(&model->job, memory_order_relaxed);
    const qc_mode mode = model->mode;
    int32_t ending = model->ending;
    pthread_mutex_unlock(&model->lock);
    if (ending) return NULL;
    for (int32_t s = 0; s < QC_STEPS; s++)
      if (!skipped(&qc_steps[s], mode) && !help(model, s, seen, mode.threads)) break;
  }
}

/* Starts a run for the helping threads and gives its number. */
static uint32_t post_job(qc_model *model, qc_mode mode, int32_t ending) {
  pthread_mutex_lock(&model->lock);
  uint32_t run = atomic_load_explicit(&model->job, memory_order_relaxed) + 1;
  run += run == 0;
  for (int32_t s = 0; s < QC_STEPS; s++) {
    atomic_store_explicit(&model->progress[s].done, 0, memory_order_relaxed);
    atomic_store_explicit(&model->progress[s].given, (uint_fast64_t)run << 32, memory_order_release);
  }
  model->mode = mode;
  model->ending = ending;
  atomic_store_explicit(&model->job, run, memory_order_release);
  pthread_cond_broadcast(&model->wake);
  pthread_mutex_unlock(&model->lock);
  return run;
}

static void stop_threads(qc_model *model) {
  if (model->started == 0) return;
  post_job(model, model->mode, 1);
  for (int32_t i = 0; i < model->started; i++) pthread_join(model->thread[i], NULL);
  model->started = 0;
  model->ending = 0;
  model->threads = 1;
  atomic_store(&model->job, 0);
}

EXPORT qc_status qc_set_threads(qc_model *model, int32_t count) {
  if (model == NULL) return fail(QC_BAD_ARGUMENT, "qc_set_threads: no model");
  if (count < 1 || count > MAX_THREADS)
    return fail(QC_BAD_ARGUMENT, "%d threads: give 1 to %d", count, MAX_THREADS);
  if (count == model->threads) return QC_OK;
  stop_threads(model);
  for (int32_t i = 1; i < count; i++) {
    if (pthread_create(&model->thread[i - 1], NULL, work, model) != 0) {
      stop_threads(model);
      return fail(QC_NO_MEMORY, "thread %d of %d could not be started", i + 1, count);
    }
    model->started = i;
  }
  model->threads = count;
  return QC_OK;
}

/* opening */

/* The sum of all words, each mixed with its place. */
static uint64_t fingerprint(const uint8_t *data, size_t bytes) {
  uint64_t total = bytes;
  for (size_t i = 0; i < bytes / 8; i++) {
    uint64_t word;
    memcpy(&word, data + 8 * i, 8);
    word += (i + 1) * 0x9e3779b97f4a7c15u;
    word = (word ^ word >> 32) * 0xff51afd7ed558ccdu;
    total += word ^ word >> 29;
  }
  return total;
}

static qc_status check_cpu(void) {
#if defined(__x86_64__)
  __builtin_cpu_init();
#endif
#define QC_NEED(name, present) \
  if (!(present)) return fail(QC_WRONG_CPU, "this processor lacks %s, which the library (%s) uses", name, QC_ISA);
  QC_FEATURES
#undef QC_NEED
  return QC_OK;
}

static qc_status map_weights(qc_model *model, const char *path, int checked) {
  char file[4096];
  struct stat about;
  int is_folder = stat(path, &about) == 0 && S_ISDIR(about.st_mode);
  snprintf(file, sizeof file, is_folder ? "%s/weights.bin" : "%s", path);
  int handle = open(file, O_RDONLY | O_CLOEXEC);
  if (handle < 0) return fail(QC_NO_FILE, "%s: %s", file, strerror(errno));
  if (fstat(handle, &about) != 0 || about.st_size != (off_t)QC_WEIGHTS_BYTES) {
    close(handle);
    return fail(QC_BAD_FILE, "%s has %lld bytes, the model needs %lld", file,
                (long long)about.st_size, (long long)QC_WEIGHTS_BYTES);
  }
  void *mapped = mmap(NULL, QC_WEIGHTS_BYTES, PROT_READ, MAP_PRIVATE, handle, 0);
  close(handle);
  if (mapped == MAP_FAILED) return fail(QC_NO_FILE, "%s: cannot be mapped: %s", file, strerror(errno));
  model->mapped = mapped;
  model->mapped_bytes = QC_WEIGHTS_BYTES;
  model->frame.weights = mapped;
  if (checked && fingerprint(mapped, QC_WEIGHTS_BYTES) != QC_WEIGHTS_FINGERPRINT)
    return fail(QC_BAD_FILE, "%s is damaged or belongs to another model", file);
  return QC_OK;
}

/* Code number i of a packed array; it may read one byte more than that has. */
static int32_t code_at(const uint8_t *data, int64_t i, int32_t bits) {
  const uint8_t *at = data + (i * bits >> 3);
  uint32_t word = (uint32_t)at[0] | (uint32_t)at[1] << 8;
  return (int32_t)(word >> (i * bits & 7) & ((1u << bits) - 1));
}

/* Writes element `place` of an array. */
static void put_element(uint8_t *to, int32_t elem, int64_t place, int32_t value, float scale) {
  float real = (float)value * scale;
  int16_t half = (int16_t)value;
  switch (elem) {
    case QC_F32: memcpy(to + 4 * place, &real, 4); return;
    case QC_I16: memcpy(to + 2 * place, &half, 2); return;
    default: to[place] = (uint8_t)value;
  }
}

/* One run along the last axis: `index` says where the other axes are, `first` which code is next. */
static int spread_run(const qc_spread *s, const uint8_t *file, uint8_t *to, const int64_t *index, int64_t first) {
  const uint8_t *codes = file + s->source;
  const int32_t *last = (const int32_t *)(file + s->table[s->rank - 1]);
  int64_t length = s->extent[s->rank - 1], base = 0, channel = 0, within = 0, size = 1, runs;
  for (int32_t a = 0; a < s->rank; a++) {
    int64_t at = a == s->rank - 1 ? 0 : index[a];
    if (a < s->rank - 1) {
      int32_t place = ((const int32_t *)(file + s->table[a]))[at];
      if (place < 0) return 1;
      base += place;
    }
    if (a == s->axis) channel = at;
    else within = within * s->extent[a] + at, size *= s->extent[a];
  }
  int along = s->axis == s->rank - 1; /* neighbours are of one channel each */
  runs = s->group > 0 ? (size + s->group - 1) / s->group : 0;
  for (int64_t j = 0; j < length; j++) {
    if (last[j] < 0) continue;
    int64_t place = base + last[j], c = along ? j : channel, w = along ? within : within + j;
    if (place >= s->count) return 0;
    int32_t value = code_at(codes, first + j, s->bits) - s->less;
    if (s->group > 0) value *= file[s->steps + c * runs + w / s->group];
    float scale = s->scales < 0 ? 1.0f : ((const float *)(file + s->scales))[c];
    put_element(to, s->elem, place, value, scale);
  }
  return 1;
}

/* One constant of the file to its place in memory; 0 when a table leads out of that. */
static int spread(const qc_spread *s, const uint8_t *file, uint8_t *to) {
  int64_t index[QC_MAX_RANK] = {0}, first = 0, length = s->extent[s->rank - 1];
  for (;;) {
    if (!spread_run(s, file, to, index, first)) return 0;
    first += length;
    int32_t a = s->rank - 2;
    while (a >= 0 && ++index[a] == s->extent[a]) index[a--] = 0;
    if (a < 0) return 1;
  }
}

/* Memory for constants that are narrow in the file and wide for the kernels. */
static qc_status unpack_weights(qc_model *model) {
  if (QC_SPREADS == 0) return QC_OK;
  model->unpacked = aligned_alloc(64, QC_UNPACKED_BYTES);
  if (model->unpacked == NULL)
    return fail(QC_NO_MEMORY, "no memory for %lld bytes of weights", (long long)QC_UNPACKED_BYTES);
  memset(model->unpacked, 0, QC_UNPACKED_BYTES);
  for (int32_t i = 0; i < QC_SPREADS; i++)
    if (!spread(&qc_spreads[i], model->mapped, model->unpacked + qc_spreads[i].to))
      return fail(QC_BAD_FILE, "weights.bin is damaged: weight %d has no place", i);
  model->frame.unpacked = model->unpacked;
  return QC_OK;
}

static qc_status open_model(const char *path, int checked, qc_model **model) {
  if (path == NULL || model == NULL) return fail(QC_BAD_ARGUMENT, "qc_open: a null pointer");
  *model = NULL;
  qc_status status = check_cpu();
  if (status != QC_OK) return status;
  qc_model *made = aligned_alloc(64, (sizeof *made + 63) / 64 * 64);
  if (made == NULL) return fail(QC_NO_MEMORY, "no memory for the model's state");
  memset(made, 0, sizeof *made);
  made->threads = 1;
  pthread_mutex_init(&made->lock, NULL);
  pthread_cond_init(&made->wake, NULL);
  status = map_weights(made, path, checked);
  if (status == QC_OK) status = unpack_weights(made);
  if (status == QC_OK) {
    made->frame.arena = aligned_alloc(4096, ((size_t)QC_ARENA_BYTES + 8191) / 4096 * 4096);
    if (made->frame.arena == NULL)
      status = fail(QC_NO_MEMORY, "no memory for an arena of %lld bytes", (long long)QC_ARENA_BYTES);
    else
      memset(made->frame.arena, 0, (size_t)QC_ARENA_BYTES);
  }
  if (status != QC_OK) {
    qc_close(made);
    return status;
  }
  *model = made;
  return QC_OK;
}

EXPORT qc_status qc_open(const char *path, qc_model **model) { return open_model(path, 1, model); }

EXPORT qc_status qc_open_unchecked(const char *path, qc_model **model) {
  return open_model(path, 0, model);
}

EXPORT void qc_close(qc_model *model) {
  if (model == NULL) return;
  stop_threads(model);
  if (model->mapped != NULL) munmap(model->mapped, model->mapped_bytes);
  free(model->unpacked);
  free(model->frame.arena);
  pthread_mutex_destroy(&model->lock);
  pthread_cond_destroy(&model->wake);
  free(model);
}

/* running */

EXPORT qc_status qc_run_forms(qc_model *model, const void *const *inputs, void *const *outputs,
                              int32_t raw_inputs, int32_t raw_outputs) {
  if (model == NULL || inputs == NULL || outputs == NULL)
    return fail(QC_BAD_ARGUMENT, "qc_run: a null pointer");
  for (int32_t i = 0; i < QC_INPUTS; i++)
    if (inputs[i] == NULL) return fail(QC_BAD_ARGUMENT, "input %d is a null pointer", i);
  for (int32_t i = 0; i < QC_OUTPUTS; i++)
    if (outputs[i] == NULL) return fail(QC_BAD_ARGUMENT, "output %d is a null pointer", i);
  model->frame.inputs = (const uint8_t *const *)inputs;
  model->frame.outputs = (uint8_t *const *)outputs;
  int32_t tracing = model->trace != NULL || model->change != NULL;
  qc_mode mode = {model->threads, raw_inputs, raw_outputs, tracing, model->timing};
  if (mode.tracing) mode.threads = 1;
  lead(model, mode, mode.threads > 1 ? post_job(model, mode, 0) : 0);
  return QC_OK;
}

EXPORT qc_status qc_run(qc_model *model, const void *const *inputs, void *const *outputs) {
  return qc_run_forms(model, inputs, outputs, 1, 1);
}

EXPORT qc_status qc_run_real(qc_model *model, const void *const *inputs, void *const *outputs) {
  return qc_run_forms(model, inputs, outputs, 0, 0);
}

EXPORT qc_status qc_set_trace(qc_model *model, qc_trace function, void *user) {
  if (model == NULL) return fail(QC_BAD_ARGUMENT, "qc_set_trace: no model");
  model->trace = function;
  model->user = user;
  return QC_OK;
}

EXPORT qc_status qc_set_change(qc_model *model, qc_change function, void *user) {
  if (model == NULL) return fail(QC_BAD_ARGUMENT, "qc_set_change: no model");
  model->change = function;
  model->changing = user;
  return QC_OK;
}

EXPORT qc_status qc_set_timing(qc_model *model, int32_t on) {
  if (model == NULL) return fail(QC_BAD_ARGUMENT, "qc_set_timing: no model");
  model->timing = on;
  return QC_OK;
}

EXPORT int64_t qc_step_nanoseconds(const qc_model *model, int32_t step) {
  return model == NULL || step < 0 || step >= QC_STEPS ? 0 : model->nanoseconds[step];
}

/* describing */

static qc_status describe(const qc_tensor *table, int32_t count, int32_t index, int32_t raw, qc_tensor *tensor) {
  if (tensor == NULL || index < 0 || index >= count)
    return fail(QC_BAD_ARGUMENT, "tensor %d of %d", index, count);
  *tensor = table[2 * index + (raw != 0)];
  return QC_OK;
}

EXPORT qc_status qc_input(int32_t index, int32_t raw, qc_tensor *tensor) {
  return describe(qc_input_tensors, QC_INPUTS, index, raw, tensor);
}

EXPORT qc_status qc_output(int32_t index, int32_t raw, qc_tensor *tensor) {
  return describe(qc_output_tensors, QC_OUTPUTS, index, raw, tensor);
}

EXPORT int32_t qc_abi(void) { return QC_ABI; }
EXPORT const char *qc_isa(void) { return QC_ISA; }
EXPORT const char *qc_name(void) { return QC_NAME; }
EXPORT const char *qc_error(void) { return message; }
EXPORT int32_t qc_input_count(void) { return QC_INPUTS; }
EXPORT int32_t qc_output_count(void) { return QC_OUTPUTS; }
EXPORT size_t qc_arena_bytes(void) { return QC_ARENA_BYTES; }
EXPORT int32_t qc_step_count(void) { return QC_STEPS; }

EXPORT const char *qc_step_name(int32_t step) {
  return step < 0 || step >= QC_STEPS ? "" : qc_steps[step].name;
}

EXPORT const char *qc_step_kernel(int32_t step) {
  return step < 0 || step >= QC_STEPS ? "" : qc_steps[step].kernel;
}
