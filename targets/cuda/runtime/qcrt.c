/* Runs a compiled model on an NVIDIA GPU. qcrt.h says what the functions promise. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "qcrt.h"
#include "qcrt_driver.h"
#include "qcrt_plan.h"

#define EXPORT __attribute__((visibility("default")))
#define FORMS 4 /* inputs raw or not, outputs raw or not */
#define FLAGS (QC_RAW_INPUTS | QC_RAW_OUTPUTS)
#define SHARED_WITHOUT_ASKING (48 * 1024)
#define LEAST_BYTES 256

#define TRY(call)                             \
  do {                                        \
    const qc_status status_ = (call);         \
    if (status_ != QC_OK) return status_;     \
  } while (0)

/* A driver's function, called for what it stands for; a code with the function's name if it fails. */
#define CALL(model, function, ...) \
  called(model, (model)->driver.function(__VA_ARGS__), "cu" #function)

/* A file of the folder, mapped. */
typedef struct {
  const uint8_t *data;
  size_t bytes;
} qc_file;

struct qc_model {
  char folder[4096];
  char message[1024];
  qc_options options;

  qc_file plan_file;
  qc_room *rooms;
  qc_plan plan;

  qc_driver driver;
  int32_t emulated;
  int version;
  CUdevice device;
  int major, minor;
  char device_name[256];
  int context_kept;
  CUcontext context;
  CUstream stream;

  const qc_image_about *image;
  char image_name[32];
  CUmodule *modules; /* of each kernel */
  CUfunction *functions;

  CUdeviceptr arena, weights;
  CUdeviceptr *inputs, *outputs;
  CUdeviceptr *values; /* the arguments of all launches, one after another */
  void **arguments;    /* where each of them is */
  CUgraphExec graphs[FORMS];
};

static qc_status fail(qc_model *model, qc_status status, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(model->message, sizeof model->message, format, arguments);
  va_end(arguments);
  return status;
}

static const char *cuda_text(const qc_model *model, CUresult result) {
  const char *text = NULL;
  if (model->driver.GetErrorString == NULL || model->driver.GetErrorString(result, &text) != CUDA_OK || text == NULL)
    return "unknown error";
  return text;
}

/* A kernel's failure shows in whatever call comes after it. */
static int is_of_a_kernel(CUresult result) {
  return result >= CUDA_ILLEGAL_ADDRESS && result <= CUDA_LAUNCH_FAILED;
}

static qc_status called(qc_model *model, CUresult result, const char *function) {
  if (result == CUDA_OK) return QC_OK;
  const char *text = cuda_text(model, result);
  if (is_of_a_kernel(result))
    return fail(model, QC_LAUNCH_FAILED, "a kernel failed: %s (CUDA error %d, seen by %s); qc_trace names its node",
                text, result, function);
  qc_status status = result == CUDA_OUT_OF_MEMORY ? QC_NO_MEMORY : QC_DRIVER_FAILED;
  return fail(model, status, "%s: %s (CUDA error %d)", function, text, result);
}

/* files */

static qc_status map_file(qc_model *model, const char *name, qc_file *file) {
  char path[sizeof model->folder + 256];
  struct stat about;
  if (snprintf(path, sizeof path, "%s/%s", model->folder, name) >= (int)sizeof path)
    return fail(model, QC_CORRUPT, "a file name in plan.bin is too long");
  int handle = open(path, O_RDONLY | O_CLOEXEC);
  if (handle < 0) return fail(model, QC_NO_FILE, "%s: %s", path, strerror(errno));
  if (fstat(handle, &about) != 0 || !S_ISREG(about.st_mode)) {
    close(handle);
    return fail(model, QC_NO_FILE, "%s is no file", path);
  }
  void *mapped = about.st_size == 0 ? NULL : mmap(NULL, (size_t)about.st_size, PROT_READ, MAP_PRIVATE, handle, 0);
  int why = errno;
  close(handle);
  if (mapped == MAP_FAILED) return fail(model, QC_NO_FILE, "%s cannot be mapped: %s", path, strerror(why));
  file->data = mapped;
  file->bytes = (size_t)about.st_size;
  return QC_OK;
}

static void unmap_file(qc_file *file) {
  if (file->data != NULL) munmap((void *)file->data, file->bytes);
  file->data = NULL;
  file->bytes = 0;
}

/* Size and, unless damage is allowed, checksum are those that the plan tells. */
static qc_status check_file(qc_model *model, const char *name, const qc_file *file, uint64_t bytes,
                            uint64_t fingerprint, int unchecked) {
  if (file->bytes != bytes)
    return fail(model, QC_CORRUPT, "%s has %zu bytes, the model needs %llu", name, file->bytes,
                (unsigned long long)bytes);
  if (!unchecked && qc_fingerprint(file->data, file->bytes) != fingerprint)
    return fail(model, QC_CORRUPT, "%s is damaged or belongs to another model", name);
  return QC_OK;
}

static qc_status read_plan(qc_model *model) {
  TRY(map_file(model, "plan.bin", &model->plan_file));
  qc_reader reader = {.data = model->plan_file.data,
                      .size = model->plan_file.bytes,
                      .rooms = &model->rooms,
                      .text = model->message,
                      .text_bytes = sizeof model->message};
  qc_read_plan(&reader, &model->plan);
  return reader.status;
}

/* the driver and the device */

static qc_status open_driver(qc_model *model) {
  const char *path = model->options.driver == NULL ? "libcuda.so.1" : model->options.driver;
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == NULL)
    return fail(model, QC_NO_DRIVER, "the NVIDIA driver cannot be opened: %s", dlerror());
  const char *missing = NULL;
#define QC_FIND(field, symbol, parameters)                                             \
  *(void **)&model->driver.field = dlsym(library, symbol);                             \
  if (model->driver.field == NULL && missing == NULL) missing = symbol;
  QC_DRIVER_FUNCTIONS(QC_FIND)
#undef QC_FIND
#define QC_FIND(field, symbol, parameters) *(void **)&model->driver.field = dlsym(library, symbol);
  QC_TIMING_FUNCTIONS(QC_FIND)
#undef QC_FIND
  if (missing != NULL) {
    dlclose(library);
    memset(&model->driver, 0, sizeof model->driver);
    return fail(model, QC_NO_DRIVER, "%s has no function %s: it is no driver, or one older than CUDA 12", path, missing);
  }
  model->emulated = dlsym(library, "qcemu_launch") != NULL;
  /* The library stays open: a driver keeps threads and handlers that do not outlive its code. */
  return QC_OK;
}

static qc_status find_device(qc_model *model) {
  int count = 0;
  CUresult result = model->driver.Init(0);
  if (result == CUDA_NO_DEVICE) return fail(model, QC_NO_DEVICE, "cuInit: %s", cuda_text(model, result));
  TRY(called(model, result, "cuInit"));
  TRY(CALL(model, DriverGetVersion, &model->version));
  TRY(CALL(model, DeviceGetCount, &count));
  if (model->options.device < 0 || model->options.device >= count)
    return fail(model, QC_NO_DEVICE, "device %d of %d", model->options.device, count);
  TRY(CALL(model, DeviceGet, &model->device, model->options.device));
  TRY(CALL(model, DeviceGetName, model->device_name, (int)sizeof model->device_name - 1, model->device));
  TRY(CALL(model, DeviceGetAttribute, &model->major, CU_MAJOR, model->device));
  return CALL(model, DeviceGetAttribute, &model->minor, CU_MINOR, model->device);
}

/* Makes the device's context current, over whatever is: each call of this interface in it. */
static qc_status enter(qc_model *model) {
  return CALL(model, CtxPushCurrent, model->context);
}

/* Gives back what was current before. A failure before counts more than one here. */
static qc_status leave(qc_model *model, qc_status status) {
  CUcontext old;
  CUresult result = model->driver.CtxPopCurrent(&old);
  return status != QC_OK ? status : called(model, result, "cuCtxPopCurrent");
}

/* images */

static void name_image(const qc_image_about *image, char *text, size_t bytes) {
  snprintf(text, bytes, "%s_%u%u%s", image->kind == QC_CUBIN ? "sm" : "ptx", image->major, image->minor,
           image->exact ? "a" : "");
}

/* Modules (Jetson) and cards of one major version do not run each other's cubins. */
static int is_module(int major, int minor) {
  return (major == 7 && minor == 2) || (major == 8 && minor == 7) || (major == 10 && minor == 1) || major == 11;
}

/* A cubin runs on devices of its major version from its minor version on; PTX on all from its
   version on; what is made for one device exactly, there alone. */
static int fits(const qc_model *model, const qc_image_about *image) {
  int major = (int)image->major, minor = (int)image->minor;
  int same = model->major == major && model->minor == minor;
  int apart = is_module(major, minor) || is_module(model->major, model->minor);
  if (image->exact || (image->kind == QC_CUBIN && apart)) return same;
  int later = model->major == major && model->minor >= minor;
  return image->kind == QC_CUBIN ? later : later || model->major > major;
}

/* Cubins before PTX, exact ones first, then the nearest below the device. */
static int better(const qc_image_about *a, const qc_image_about *b) {
  if (b == NULL || a->kind != b->kind) return b == NULL || a->kind == QC_CUBIN;
  if (a->exact != b->exact) return a->exact != 0;
  return a->major * 10 + a->minor > b->major * 10 + b->minor;
}

static qc_status choose_image(qc_model *model) {
  char list[512] = "", name[32];
  const qc_image_about *old = NULL;
  for (uint32_t i = 0; i < model->plan.images; i++) {
    const qc_image_about *image = &model->plan.image[i];
    name_image(image, name, sizeof name);
    size_t used = strlen(list);
    snprintf(list + used, sizeof list - used, "%s%s", i == 0 ? "" : ", ", name);
    if (!fits(model, image)) continue;
    if (image->min_driver > (uint32_t)model->version) old = image;
    else if (better(image, model->image)) model->image = image;
  }
  if (model->image != NULL) {
    name_image(model->image, model->image_name, sizeof model->image_name);
    return QC_OK;
  }
  if (old != NULL) {
    name_image(old, name, sizeof name);
    return fail(model, QC_OLD_DRIVER, "the driver supports CUDA %d.%d, the kernels (%s) need %u.%u: update the driver",
                model->version / 1000, model->version % 1000 / 10, name, old->min_driver / 1000,
                old->min_driver % 1000 / 10);
  }
  return fail(model, QC_NO_IMAGE, "%s has compute capability %d.%d, the kernels are for %s: compile the model for it",
              model->device_name, model->major, model->minor, list[0] == 0 ? "nothing" : list);
}

/* An image as the driver takes it: a whole ELF file, or a text that ends. */
static qc_status check_kernel(qc_model *model, uint32_t kernel, const uint8_t *data, uint64_t size) {
  int whole = model->image->kind == QC_CUBIN ? size >= 64 && memcmp(data, "\177ELF", 4) == 0
                                             : data[size - 1] == 0;
  if (whole) return QC_OK;
  return fail(model, QC_CORRUPT, "%s: kernel %s is no %s", model->image->file, model->plan.kernel[kernel],
              model->image->kind == QC_CUBIN ? "cubin" : "PTX text");
}

static qc_status load_kernel(qc_model *model, uint32_t kernel, const qc_file *file) {
  const qc_extent *e = &model->image->entries[kernel];
  const uint8_t *data = file->data + e->offset;
  const char *name = model->plan.kernel[kernel];
  TRY(check_kernel(model, kernel, data, e->size));
  CUresult result = model->driver.ModuleLoadData(&model->modules[kernel], data);
  if (result == CUDA_INVALID_IMAGE || result == CUDA_NO_BINARY || result == CUDA_INVALID_PTX)
    return fail(model, QC_CORRUPT, "%s: kernel %s is refused by the driver: %s (CUDA error %d)", model->image->file,
                name, cuda_text(model, result), result);
  if (result == CUDA_UNSUPPORTED_PTX_VERSION)
    return fail(model, QC_OLD_DRIVER, "%s: kernel %s: %s (CUDA error %d): update the driver", model->image->file,
                name, cuda_text(model, result), result);
  TRY(called(model, result, "cuModuleLoadData"));
  result = model->driver.ModuleGetFunction(&model->functions[kernel], model->modules[kernel], name);
  if (result == CUDA_OK) return QC_OK;
  return fail(model, QC_CORRUPT, "%s: there is no kernel %s where the plan says: %s (CUDA error %d)",
              model->image->file, name, cuda_text(model, result), result);
}

/* The most shared memory that any launch of a kernel asks for. */
static qc_status allow_shared(qc_model *model, uint32_t kernel) {
  uint32_t most = 0;
  for (uint32_t i = 0; i < model->plan.launches; i++) {
    const qc_launch *l = &model->plan.launch[i];
    if (l->kernel == kernel && l->shared > most) most = l->shared;
  }
  if (most <= SHARED_WITHOUT_ASKING) return QC_OK;
  CUresult result = model->driver.FuncSetAttribute(model->functions[kernel], CU_MAX_DYNAMIC_SHARED, (int)most);
  if (result == CUDA_OK) return QC_OK;
  return fail(model, QC_DRIVER_FAILED, "kernel %s: %u bytes of shared memory: %s (CUDA error %d)",
              model->plan.kernel[kernel], most, cuda_text(model, result), result);
}

static qc_status load_kernels(qc_model *model) {
  qc_file file = {0};
  TRY(map_file(model, model->image->file, &file));
  qc_status status = check_file(model, model->image->file, &file, model->image->bytes, model->image->fingerprint, 0);
  for (uint32_t i = 0; i < model->plan.kernels && status == QC_OK; i++) {
    status = load_kernel(model, i, &file);
    if (status == QC_OK) status = allow_shared(model, i);
  }
  unmap_file(&file);
  return status;
}

/* memory */

static qc_status wait_for(qc_model *model) { return CALL(model, StreamSynchronize, model->stream); }

static qc_status allocate(qc_model *model, CUdeviceptr *to, uint64_t bytes, const char *what) {
  CUresult result = model->driver.MemAlloc(to, bytes < LEAST_BYTES ? LEAST_BYTES : (size_t)bytes);
  if (result == CUDA_OK) return QC_OK;
  *to = 0;
  return fail(model, result == CUDA_OUT_OF_MEMORY ? QC_NO_MEMORY : QC_DRIVER_FAILED,
              "%llu bytes on the device for %s: %s (CUDA error %d)", (unsigned long long)bytes, what,
              cuda_text(model, result), result);
}

static qc_status upload_weights(qc_model *model) {
  qc_file file = {0};
  TRY(map_file(model, "weights.bin", &file));
  qc_status status = check_file(model, "weights.bin", &file, model->plan.weights_bytes,
                                model->plan.weights_fingerprint, model->options.unchecked);
  if (status == QC_OK) status = allocate(model, &model->weights, file.bytes, "weights");
  if (status == QC_OK && file.bytes > 0)
    status = CALL(model, MemcpyHtoDAsync, model->weights, file.data, file.bytes, model->stream);
  if (status == QC_OK) status = wait_for(model); /* the file goes, and any stream may be the first to read */
  unmap_file(&file);
  return status;
}

/* One buffer for each port, as large as its larger form. */
static qc_status allocate_ports(qc_model *model, CUdeviceptr *to, const qc_port *ports, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) {
    size_t real = ports[i].form[0].bytes, raw = ports[i].form[1].bytes;
    TRY(allocate(model, &to[i], real > raw ? real : raw, ports[i].form[0].name));
  }
  return QC_OK;
}

static CUdeviceptr address(const qc_model *model, qc_where where) {
  switch (where.kind) {
    case QC_ARENA: return model->arena + where.value;
    case QC_WEIGHTS: return model->weights + where.value;
    case QC_INPUT_OF: return model->inputs[where.value];
    default: return model->outputs[where.value];
  }
}

static void bind_arguments(qc_model *model) {
  size_t n = 0;
  for (uint32_t i = 0; i < model->plan.launches; i++)
    for (uint32_t j = 0; j < model->plan.launch[i].count; j++, n++) {
      model->values[n] = address(model, model->plan.launch[i].args[j]);
      model->arguments[n] = &model->values[n];
    }
}

/* Tables of the host, with lengths that the plan tells. */
static qc_status make_tables(qc_model *model) {
  size_t arguments = 1;
  for (uint32_t i = 0; i < model->plan.launches; i++) arguments += model->plan.launch[i].count;
  model->modules = calloc((size_t)model->plan.kernels + 1, sizeof *model->modules);
  model->functions = calloc((size_t)model->plan.kernels + 1, sizeof *model->functions);
  model->inputs = calloc((size_t)model->plan.inputs + 1, sizeof *model->inputs);
  model->outputs = calloc((size_t)model->plan.outputs + 1, sizeof *model->outputs);
  model->values = calloc(arguments, sizeof *model->values);
  model->arguments = calloc(arguments, sizeof *model->arguments);
  if (model->modules == NULL || model->functions == NULL || model->inputs == NULL || model->outputs == NULL ||
      model->values == NULL || model->arguments == NULL)
    return fail(model, QC_NO_MEMORY, "no memory for the model's tables");
  return QC_OK;
}

/* opening and closing */

static qc_status prepare(qc_model *model) {
  TRY(make_tables(model));
  TRY(CALL(model, StreamCreate, &model->stream, CU_STREAM_NON_BLOCKING));
  TRY(load_kernels(model));
  TRY(upload_weights(model));
  TRY(allocate(model, &model->arena, model->plan.arena_bytes, "values"));
  TRY(allocate_ports(model, model->inputs, model->plan.input, model->plan.inputs));
  TRY(allocate_ports(model, model->outputs, model->plan.output, model->plan.outputs));
  bind_arguments(model);
  return QC_OK;
}

static qc_status open_model(qc_model *model) {
  TRY(read_plan(model));
  TRY(open_driver(model));
  TRY(find_device(model));
  TRY(choose_image(model));
  TRY(CALL(model, DevicePrimaryCtxRetain, &model->context, model->device));
  model->context_kept = 1;
  TRY(enter(model));
  return leave(model, prepare(model));
}

static void say(char *error, size_t error_bytes, const char *text) {
  if (error != NULL && error_bytes > 0) snprintf(error, error_bytes, "%s", text);
}

static qc_status check_options(const char *folder, const qc_options *options, qc_model *model) {
  const qc_options usual = QC_OPTIONS;
  if (folder == NULL) return fail(model, QC_BAD_ARGUMENT, "qc_open: a null pointer");
  if (options != NULL && options->size != sizeof *options)
    return fail(model, QC_BAD_ARGUMENT, "qc_open: options of %zu bytes, this library takes %zu", options->size,
                sizeof *options);
  if (strlen(folder) >= sizeof model->folder) return fail(model, QC_BAD_ARGUMENT, "qc_open: the path is too long");
  strcpy(model->folder, folder);
  model->options = options == NULL ? usual : *options;
  return QC_OK;
}

EXPORT qc_status qc_open(const char *folder, const qc_options *options, qc_model **model, char *error,
                         size_t error_bytes) {
  say(error, error_bytes, "");
  if (model == NULL) {
    say(error, error_bytes, "qc_open: a null pointer");
    return QC_BAD_ARGUMENT;
  }
  *model = NULL;
  qc_model *made = calloc(1, sizeof *made);
  if (made == NULL) {
    say(error, error_bytes, "no memory for the model's state");
    return QC_NO_MEMORY;
  }
  qc_status status = check_options(folder, options, made);
  if (status == QC_OK) status = open_model(made);
  if (status == QC_OK) {
    *model = made;
    return QC_OK;
  }
  say(error, error_bytes, made->message);
  qc_close(made);
  return status;
}

/* What the device holds. Failures are passed over: a device that has failed frees nothing. */
static void free_device(qc_model *model) {
  const qc_driver *d = &model->driver;
  for (int i = 0; i < FORMS; i++)
    if (model->graphs[i] != NULL) d->GraphExecDestroy(model->graphs[i]);
  for (uint32_t i = 0; model->modules != NULL && i < model->plan.kernels; i++)
    if (model->modules[i] != NULL) d->ModuleUnload(model->modules[i]);
  for (uint32_t i = 0; model->inputs != NULL && i < model->plan.inputs; i++)
    if (model->inputs[i] != 0) d->MemFree(model->inputs[i]);
  for (uint32_t i = 0; model->outputs != NULL && i < model->plan.outputs; i++)
    if (model->outputs[i] != 0) d->MemFree(model->outputs[i]);
  if (model->arena != 0) d->MemFree(model->arena);
  if (model->weights != 0) d->MemFree(model->weights);
  if (model->stream != NULL) d->StreamDestroy(model->stream);
}

EXPORT void qc_close(qc_model *model) {
  if (model == NULL) return;
  if (model->context_kept) {
    CUcontext old;
    int entered = model->driver.CtxPushCurrent(model->context) == CUDA_OK;
    if (model->stream != NULL) model->driver.StreamSynchronize(model->stream);
    free_device(model);
    if (entered) model->driver.CtxPopCurrent(&old);
    model->driver.DevicePrimaryCtxRelease(model->device);
  }
  free(model->modules);
  free(model->functions);
  free(model->inputs);
  free(model->outputs);
  free(model->values);
  free(model->arguments);
  unmap_file(&model->plan_file);
  qc_free_rooms(&model->rooms);
  free(model);
}

/* launching */

static int skipped(const qc_launch *launch, uint32_t flags) {
  int raw_inputs = (flags & QC_RAW_INPUTS) != 0, raw_outputs = (flags & QC_RAW_OUTPUTS) != 0;
  switch (launch->phase) {
    case QC_ENTER_REAL: return raw_inputs;
    case QC_ENTER_RAW: return !raw_inputs;
    case QC_LEAVE_REAL: return raw_outputs;
    case QC_LEAVE_RAW: return !raw_outputs;
    default: return 0;
  }
}

static qc_status failed_at(qc_model *model, const qc_launch *launch, CUresult result) {
  return fail(model, QC_LAUNCH_FAILED, "%s (kernel %s, %u blocks of %u threads): %s (CUDA error %d)", launch->node,
              model->plan.kernel[launch->kernel], launch->grid, launch->block, cuda_text(model, result), result);
}

static qc_status launch_one(qc_model *model, const qc_launch *launch, void **arguments, CUstream stream) {
  CUresult result = model->driver.LaunchKernel(model->functions[launch->kernel], launch->grid, 1, 1, launch->block, 1,
                                               1, launch->shared, stream, arguments, NULL);
  return result == CUDA_OK ? QC_OK : failed_at(model, launch, result);
}

/* What is done around each launch of a run. */
typedef struct {
  int waits; /* for each launch, to know which one fails */
  CUevent *marks; /* one before each launch and one behind the last */
  qc_trace_function show;
  void *user;
} qc_manner;

static qc_status show_layer(qc_model *model, const qc_layer_place *layer, const qc_manner *manner);

static qc_status launch_all(qc_model *model, uint32_t flags, CUstream stream, const qc_manner *manner) {
  void **arguments = model->arguments;
  for (uint32_t i = 0; i < model->plan.launches; i++) {
    const qc_launch *launch = &model->plan.launch[i];
    if (manner->marks != NULL) TRY(CALL(model, EventRecord, manner->marks[i], stream));
    if (!skipped(launch, flags)) {
      TRY(launch_one(model, launch, arguments, stream));
      CUresult result = manner->waits ? model->driver.StreamSynchronize(stream) : CUDA_OK;
      if (result != CUDA_OK) return failed_at(model, launch, result);
      if (manner->show != NULL)
        for (uint32_t k = 0; k < launch->shown; k++)
          TRY(show_layer(model, &model->plan.layer[(uint32_t)launch->shows + k], manner));
    }
    arguments += launch->count;
  }
  return manner->marks == NULL ? QC_OK : CALL(model, EventRecord, manner->marks[model->plan.launches], stream);
}

/* The launches as a graph, made at their first use. */
static qc_status capture(qc_model *model, uint32_t flags) {
  const qc_manner plain = {0};
  CUgraph graph = NULL;
  if (model->graphs[flags] != NULL) return QC_OK;
  TRY(CALL(model, StreamBeginCapture, model->stream, CU_CAPTURE_THREAD_LOCAL));
  qc_status status = launch_all(model, flags, model->stream, &plain);
  CUresult ended = model->driver.StreamEndCapture(model->stream, &graph);
  if (status == QC_OK) status = called(model, ended, "cuStreamEndCapture");
  if (status == QC_OK) status = CALL(model, GraphInstantiate, &model->graphs[flags], graph, 0);
  if (status != QC_OK) model->graphs[flags] = NULL;
  if (graph != NULL) model->driver.GraphDestroy(graph);
  return status;
}

static qc_status execute(qc_model *model, uint32_t flags, CUstream stream) {
  const qc_manner plain = {0};
  if (!model->options.graphs) return launch_all(model, flags, stream, &plain);
  TRY(capture(model, flags));
  return CALL(model, GraphLaunch, model->graphs[flags], stream);
}

/* After a run has failed: the same launches one by one, to name the one that fails. A device that
   takes no more work keeps the text as it is. */
static qc_status name_failure(qc_model *model, uint32_t flags, qc_status status) {
  const qc_manner careful = {.waits = 1};
  if (model->driver.StreamSynchronize(model->stream) != CUDA_OK) return status;
  qc_status named = launch_all(model, flags, model->stream, &careful);
  return named == QC_OK ? status : named;
}

/* running */

static qc_status copy_in(qc_model *model, const void *const *inputs, uint32_t flags) {
  for (uint32_t i = 0; i < model->plan.inputs; i++) {
    size_t bytes = model->plan.input[i].form[(flags & QC_RAW_INPUTS) != 0].bytes;
    if (bytes > 0) TRY(CALL(model, MemcpyHtoDAsync, model->inputs[i], inputs[i], bytes, model->stream));
  }
  return QC_OK;
}

static qc_status copy_out(qc_model *model, void *const *outputs, uint32_t flags) {
  for (uint32_t i = 0; i < model->plan.outputs; i++) {
    size_t bytes = model->plan.output[i].form[(flags & QC_RAW_OUTPUTS) != 0].bytes;
    if (bytes > 0) TRY(CALL(model, MemcpyDtoHAsync, outputs[i], model->outputs[i], bytes, model->stream));
  }
  return QC_OK;
}

static qc_status check_run(qc_model *model, const void *const *inputs, void *const *outputs, uint32_t flags) {
  if (flags & ~FLAGS) return fail(model, QC_BAD_ARGUMENT, "flags %u: unknown ones among them", flags);
  if (inputs == NULL) return fail(model, QC_BAD_ARGUMENT, "the inputs are a null pointer");
  for (uint32_t i = 0; i < model->plan.inputs; i++)
    if (inputs[i] == NULL)
      return fail(model, QC_BAD_ARGUMENT, "input %u (%s) is a null pointer", i, model->plan.input[i].form[0].name);
  for (uint32_t i = 0; outputs != NULL && i < model->plan.outputs; i++)
    if (outputs[i] == NULL)
      return fail(model, QC_BAD_ARGUMENT, "output %u (%s) is a null pointer", i, model->plan.output[i].form[0].name);
  return QC_OK;
}

static qc_status run_host(qc_model *model, const void *const *inputs, void *const *outputs, uint32_t flags) {
  qc_status status = copy_in(model, inputs, flags);
  if (status == QC_OK) status = execute(model, flags, model->stream);
  if (status == QC_OK) status = copy_out(model, outputs, flags);
  if (status == QC_OK) status = wait_for(model);
  else model->driver.StreamSynchronize(model->stream); /* nothing may touch the caller's memory later */
  return status == QC_LAUNCH_FAILED ? name_failure(model, flags, status) : status;
}

EXPORT qc_status qc_run(qc_model *model, const void *const *inputs, void *const *outputs, uint32_t flags) {
  if (model == NULL) return QC_BAD_ARGUMENT;
  if (outputs == NULL) return fail(model, QC_BAD_ARGUMENT, "the outputs are a null pointer");
  TRY(check_run(model, inputs, outputs, flags));
  TRY(enter(model));
  return leave(model, run_host(model, inputs, outputs, flags));
}

/* To and from the model's own buffers, which the graph names: any address will do for the caller's. */
static qc_status run_device(qc_model *model, const void *const *inputs, void *const *outputs, CUstream stream,
                            uint32_t flags) {
  for (uint32_t i = 0; i < model->plan.inputs; i++) {
    size_t bytes = model->plan.input[i].form[(flags & QC_RAW_INPUTS) != 0].bytes;
    CUdeviceptr from = (CUdeviceptr)(uintptr_t)inputs[i];
    if (bytes > 0) TRY(CALL(model, MemcpyDtoDAsync, model->inputs[i], from, bytes, stream));
  }
  TRY(execute(model, flags, stream));
  for (uint32_t i = 0; i < model->plan.outputs; i++) {
    size_t bytes = model->plan.output[i].form[(flags & QC_RAW_OUTPUTS) != 0].bytes;
    CUdeviceptr to = (CUdeviceptr)(uintptr_t)outputs[i];
    if (bytes > 0) TRY(CALL(model, MemcpyDtoDAsync, to, model->outputs[i], bytes, stream));
  }
  return QC_OK;
}

EXPORT qc_status qc_run_device(qc_model *model, const void *const *inputs, void *const *outputs, void *stream,
                               uint32_t flags) {
  if (model == NULL) return QC_BAD_ARGUMENT;
  if (outputs == NULL) return fail(model, QC_BAD_ARGUMENT, "the outputs are a null pointer");
  TRY(check_run(model, inputs, outputs, flags));
  TRY(enter(model));
  return leave(model, run_device(model, inputs, outputs, (CUstream)stream, flags));
}

/* tracing */

/* Element `index` of the layer's memory, as one of the dense tensor. */
static void unpack(uint8_t *to, const uint8_t *from, const qc_layer_place *layer, uint64_t index) {
  if (layer->bits != 4) {
    size_t bytes = layer->bits / 8;
    memcpy(to, from + index * bytes, bytes);
    return;
  }
  uint8_t nibble = (uint8_t)(from[index / 2] >> 4 * (index & 1) & 15);
  *to = (uint8_t)(layer->tensor.type == QC_I8 && nibble >= 8 ? nibble | 0xf0 : nibble);
}

/* The block of axes `axis` and on that begins at element `index`; gives where the next one goes. */
static uint8_t *gather(uint8_t *to, const uint8_t *from, const qc_layer_place *layer, int32_t axis, uint64_t index) {
  if (axis == layer->tensor.rank) {
    unpack(to, from, layer, index);
    return to + qc_type_bytes[layer->tensor.type];
  }
  for (int64_t i = 0; i < layer->tensor.shape[axis]; i++)
    to = gather(to, from, layer, axis + 1, index + (uint64_t)i * layer->stride[axis]);
  return to;
}

static qc_status show_layer(qc_model *model, const qc_layer_place *layer, const qc_manner *manner) {
  uint8_t *stored = malloc((size_t)layer->span + 1), *dense = malloc(layer->tensor.bytes + 1);
  qc_status status = QC_OK;
  if (stored == NULL || dense == NULL)
    status = fail(model, QC_NO_MEMORY, "no memory to show %s", layer->tensor.name);
  else if (layer->span > 0)
    status = CALL(model, MemcpyDtoHAsync, stored, model->arena + layer->offset, (size_t)layer->span, model->stream);
  if (status == QC_OK) status = wait_for(model);
  if (status == QC_OK) {
    if (layer->span > 0) gather(dense, stored, layer, 0, 0);
    manner->show(manner->user, &layer->tensor, dense);
  }
  free(stored);
  free(dense);
  return status;
}

static qc_status run_traced(qc_model *model, const void *const *inputs, void *const *outputs, uint32_t flags,
                            const qc_manner *manner) {
  qc_status status = copy_in(model, inputs, flags);
  if (status == QC_OK) status = launch_all(model, flags, model->stream, manner);
  if (status == QC_OK && outputs != NULL) status = copy_out(model, outputs, flags);
  if (status == QC_OK) return wait_for(model);
  model->driver.StreamSynchronize(model->stream);
  return status;
}

EXPORT qc_status qc_trace(qc_model *model, const void *const *inputs, void *const *outputs, uint32_t flags,
                          qc_trace_function function, void *user) {
  if (model == NULL) return QC_BAD_ARGUMENT;
  if (function == NULL) return fail(model, QC_BAD_ARGUMENT, "qc_trace: no function");
  TRY(check_run(model, inputs, outputs, flags));
  const qc_manner manner = {.waits = 1, .show = function, .user = user};
  TRY(enter(model));
  return leave(model, run_traced(model, inputs, outputs, flags, &manner));
}

/* timing */

static qc_status elapsed(qc_model *model, const CUevent *marks, uint32_t flags, int64_t *nanoseconds) {
  for (uint32_t i = 0; i < model->plan.launches; i++) {
    float milliseconds = 0;
    if (!skipped(&model->plan.launch[i], flags))
      TRY(CALL(model, EventElapsedTime, &milliseconds, marks[i], marks[i + 1]));
    nanoseconds[i] = (int64_t)((double)milliseconds * 1e6 + 0.5);
  }
  return QC_OK;
}

static qc_status run_timed(qc_model *model, const void *const *inputs, void *const *outputs, uint32_t flags,
                           int64_t *nanoseconds) {
  const uint32_t count = model->plan.launches + 1;
  uint32_t made = 0;
  CUevent *marks = calloc(count, sizeof *marks);
  qc_status status = marks == NULL ? fail(model, QC_NO_MEMORY, "no memory for %u events", count) : QC_OK;
  for (; status == QC_OK && made < count; made += status == QC_OK) status = CALL(model, EventCreate, &marks[made], 0);
  const qc_manner manner = {.marks = marks};
  if (status == QC_OK) status = run_traced(model, inputs, outputs, flags, &manner);
  if (status == QC_OK) status = elapsed(model, marks, flags, nanoseconds);
  for (uint32_t i = 0; i < made; i++) model->driver.EventDestroy(marks[i]);
  free(marks);
  return status;
}

EXPORT qc_status qc_time(qc_model *model, const void *const *inputs, void *const *outputs, uint32_t flags,
                         int64_t *nanoseconds) {
  if (model == NULL) return QC_BAD_ARGUMENT;
  if (nanoseconds == NULL) return fail(model, QC_BAD_ARGUMENT, "qc_time: no place for the times");
  const qc_driver *d = &model->driver;
  if (d->EventCreate == NULL || d->EventDestroy == NULL || d->EventRecord == NULL || d->EventElapsedTime == NULL)
    return fail(model, QC_NO_DRIVER, "the driver has no events to measure time with");
  TRY(check_run(model, inputs, outputs, flags));
  TRY(enter(model));
  return leave(model, run_timed(model, inputs, outputs, flags, nanoseconds));
}

/* describing */

static qc_status describe(qc_model *model, const qc_tensor *found, int32_t index, uint32_t count, qc_tensor *tensor) {
  if (tensor == NULL || found == NULL) return fail(model, QC_BAD_ARGUMENT, "tensor %d of %u", index, count);
  *tensor = *found;
  return QC_OK;
}

static int within(int32_t index, uint32_t count) { return index >= 0 && (uint32_t)index < count; }

EXPORT qc_status qc_input(qc_model *model, int32_t index, int32_t raw, qc_tensor *tensor) {
  if (model == NULL) return QC_BAD_ARGUMENT;
  const qc_plan *p = &model->plan;
  return describe(model, within(index, p->inputs) ? &p->input[index].form[raw != 0] : NULL, index, p->inputs, tensor);
}

EXPORT qc_status qc_output(qc_model *model, int32_t index, int32_t raw, qc_tensor *tensor) {
  if (model == NULL) return QC_BAD_ARGUMENT;
  const qc_plan *p = &model->plan;
  return describe(model, within(index, p->outputs) ? &p->output[index].form[raw != 0] : NULL, index, p->outputs,
                  tensor);
}

EXPORT qc_status qc_layer(qc_model *model, int32_t index, qc_tensor *tensor) {
  if (model == NULL) return QC_BAD_ARGUMENT;
  const qc_plan *p = &model->plan;
  return describe(model, within(index, p->layers) ? &p->layer[index].tensor : NULL, index, p->layers, tensor);
}

EXPORT const char *qc_error_text(qc_status status) {
  static const char *const texts[] = {
      "good",
      "an argument is out of range",
      "a file cannot be opened",
      "a file is damaged or belongs to another model",
      "the plan is of another version",
      "the driver cannot be opened",
      "the driver is too old",
      "there is no such device",
      "no kernel image fits the device",
      "out of memory",
      "a kernel failed",
      "the driver failed",
  };
  return (int)status >= 0 && (size_t)status < sizeof texts / sizeof *texts ? texts[status] : "unknown code";
}

EXPORT int32_t qc_abi(void) { return QC_ABI; }
EXPORT const char *qc_last_error(const qc_model *model) { return model == NULL ? "" : model->message; }
EXPORT const char *qc_name(const qc_model *model) { return model == NULL ? "" : model->plan.name; }
EXPORT const char *qc_target(const qc_model *model) { return model == NULL ? "" : model->plan.target; }
EXPORT const char *qc_device(const qc_model *model) { return model == NULL ? "" : model->device_name; }
EXPORT const char *qc_image(const qc_model *model) { return model == NULL ? "" : model->image_name; }
EXPORT int32_t qc_emulated(const qc_model *model) { return model == NULL ? 0 : model->emulated; }
EXPORT size_t qc_arena_bytes(const qc_model *model) { return model == NULL ? 0 : model->plan.arena_bytes; }
EXPORT size_t qc_weights_bytes(const qc_model *model) { return model == NULL ? 0 : model->plan.weights_bytes; }
EXPORT int32_t qc_input_count(const qc_model *model) { return model == NULL ? 0 : (int32_t)model->plan.inputs; }
EXPORT int32_t qc_output_count(const qc_model *model) { return model == NULL ? 0 : (int32_t)model->plan.outputs; }
EXPORT int32_t qc_layer_count(const qc_model *model) { return model == NULL ? 0 : (int32_t)model->plan.layers; }
EXPORT int32_t qc_step_count(const qc_model *model) { return model == NULL ? 0 : (int32_t)model->plan.launches; }

EXPORT const char *qc_step_name(const qc_model *model, int32_t step) {
  return model == NULL || !within(step, model->plan.launches) ? "" : model->plan.launch[step].node;
}

EXPORT const char *qc_step_kernel(const qc_model *model, int32_t step) {
  if (model == NULL || !within(step, model->plan.launches)) return "";
  return model->plan.kernel[model->plan.launch[step].kernel];
}
