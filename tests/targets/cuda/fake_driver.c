/* A driver for tests of the runtime: the entry points of libcuda.so.1 over a few kernels in C.

   Settings choose what it pretends to be; a fault makes the n-th call of one function fail. It
   counts what is alive, so that a test can see that nothing leaks, and refuses to touch device
   memory outside of what was allocated. */

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
#define MANY 512

enum { INVALID = 1, NO_MEMORY = 2, BAD_CONTEXT = 201, NO_IMAGE = 200, NOT_FOUND = 500, ILLEGAL = 700, NOT_READY = 901 };

/* settings */

static struct {
  int version, devices, major, minor, log;
  long memory; /* bytes on the device */
} set = {12040, 1, 7, 5, 0, 1L << 28};
static struct {
  char name[64];
  int countdown, result;
} fault;
static char log_text[1 << 16];

static int begin(const char *name) {
  if (set.log && strlen(log_text) + strlen(name) + 2 < sizeof log_text) strcat(strcat(log_text, name), " ");
  return strcmp(name, fault.name) == 0 && --fault.countdown == 0 ? fault.result : 0;
}
#define BEGIN                          \
  const int fault_ = begin(__func__);  \
  if (fault_ != 0) return fault_

/* memory */

static struct {
  uint8_t *data;
  size_t bytes;
} blocks[MANY];
static int alive_blocks, alive_modules, alive_contexts, alive_streams, alive_graphs, depth;
static long used;

static int inside(uint64_t at, uint64_t bytes) {
  for (int i = 0; i < alive_blocks; i++) {
    uint64_t from = (uint64_t)(uintptr_t)blocks[i].data;
    if (at >= from && bytes <= blocks[i].bytes && at - from <= blocks[i].bytes - bytes) return 1;
  }
  return 0;
}

EXPORT int cuMemAlloc_v2(uint64_t *to, size_t bytes) {
  BEGIN;
  if (depth == 0) return BAD_CONTEXT;
  if (bytes == 0) return INVALID;
  if (alive_blocks == MANY || bytes > (size_t)(set.memory - used)) return NO_MEMORY;
  uint8_t *data = malloc(bytes);
  if (data == NULL) return NO_MEMORY;
  memset(data, 0xA5, bytes);
  blocks[alive_blocks].data = data;
  blocks[alive_blocks++].bytes = bytes;
  used += (long)bytes;
  *to = (uint64_t)(uintptr_t)data;
  return 0;
}

EXPORT int cuMemFree_v2(uint64_t at) {
  BEGIN;
  for (int i = 0; i < alive_blocks; i++)
    if ((uint64_t)(uintptr_t)blocks[i].data == at) {
      used -= (long)blocks[i].bytes;
      free(blocks[i].data);
      blocks[i] = blocks[--alive_blocks];
      return 0;
    }
  return INVALID;
}

static int copy(void *to, const void *from, size_t bytes, uint64_t device, uint64_t other) {
  if (depth == 0) return BAD_CONTEXT;
  if (!inside(device, bytes) || (other != 0 && !inside(other, bytes))) return INVALID;
  memmove(to, from, bytes);
  return 0;
}

EXPORT int cuMemcpyHtoD_v2(uint64_t to, const void *from, size_t bytes) {
  BEGIN;
  return copy((void *)(uintptr_t)to, from, bytes, to, 0);
}
EXPORT int cuMemcpyDtoH_v2(void *to, uint64_t from, size_t bytes) {
  BEGIN;
  return copy(to, (void *)(uintptr_t)from, bytes, from, 0);
}
EXPORT int cuMemcpyHtoDAsync_v2(uint64_t to, const void *from, size_t bytes, void *stream) {
  (void)stream;
  BEGIN;
  return copy((void *)(uintptr_t)to, from, bytes, to, 0);
}
EXPORT int cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t bytes, void *stream) {
  (void)stream;
  BEGIN;
  return copy(to, (void *)(uintptr_t)from, bytes, from, 0);
}
EXPORT int cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t bytes, void *stream) {
  (void)stream;
  BEGIN;
  return copy((void *)(uintptr_t)to, (void *)(uintptr_t)from, bytes, to, from);
}

/* kernels: one element for each thread; `args` are where each pointer is */

typedef struct {
  const char *name;
  int count;
  int sizes[4]; /* bytes of an element of each argument; 0: an element for each thread's pair */
  void (*run)(void **pointers, size_t threads);
} kernel;

static float clamped(float value) { return value < 0 ? 0 : value > 255 ? 255 : value; }

/* u8 = round(f32 / 0.5) + 10 */
static void quantize(void **p, size_t n) {
  for (size_t i = 0; i < n; i++) ((uint8_t *)p[1])[i] = (uint8_t)clamped(rintf(((float *)p[0])[i] / 0.5f) + 10);
}
static void copy_bytes(void **p, size_t n) { memmove(p[1], p[0], n); }
/* u8 = u8 + weight, wrapping */
static void add(void **p, size_t n) {
  for (size_t i = 0; i < n; i++) ((uint8_t *)p[2])[i] = (uint8_t)(((uint8_t *)p[0])[i] + ((uint8_t *)p[1])[i]);
}
/* the low halves of two bytes in one */
static void pack(void **p, size_t n) {
  const uint8_t *from = p[0];
  for (size_t i = 0; i < n; i++) ((uint8_t *)p[1])[i] = (uint8_t)((from[2 * i] & 15) | from[2 * i + 1] << 4);
}
static void dequantize(void **p, size_t n) {
  for (size_t i = 0; i < n; i++) ((float *)p[1])[i] = 0.5f * (float)(((uint8_t *)p[0])[i] - 10);
}
static void nothing(void **p, size_t n) {
  (void)p;
  (void)n;
}

static const kernel kernels[] = {
    {"quantize", 2, {4, 1}, quantize}, {"copy", 2, {1, 1}, copy_bytes},   {"add", 3, {1, 1, 1}, add},
    {"pack", 2, {2, 1}, pack},         {"dequantize", 2, {1, 4}, dequantize}, {"break", 1, {1}, nothing},
};
enum { KERNELS = sizeof kernels / sizeof *kernels };

typedef struct {
  const kernel *kernel;
  void *pointers[4];
  size_t threads;
} launch;

static int run_one(const launch *l) {
  if (strcmp(l->kernel->name, "break") == 0) return ILLEGAL;
  for (int i = 0; i < l->kernel->count; i++)
    if (!inside((uint64_t)(uintptr_t)l->pointers[i], (uint64_t)l->kernel->sizes[i] * l->threads)) return ILLEGAL;
  void *pointers[4];
  memcpy(pointers, l->pointers, sizeof pointers);
  l->kernel->run(pointers, l->threads);
  return 0;
}

/* A module is the image it came from; a cubin is an ELF header and, at byte 64, the kernel's name. */
typedef struct {
  char name[64];
} module;

EXPORT int cuModuleLoadData(module **to, const void *image) {
  BEGIN;
  if (depth == 0) return BAD_CONTEXT;
  const char *text = image;
  int elf = memcmp(text, "\177ELF", 4) == 0;
  if (!elf && strncmp(text, "// PTX ", 7) != 0) return NO_IMAGE;
  *to = calloc(1, sizeof **to);
  if (*to == NULL) return NO_MEMORY;
  snprintf((*to)->name, sizeof (*to)->name, "%.63s", text + (elf ? 64 : 7));
  alive_modules++;
  return 0;
}
EXPORT int cuModuleUnload(module *m) {
  BEGIN;
  free(m);
  alive_modules--;
  return 0;
}
EXPORT int cuModuleGetFunction(const kernel **to, module *m, const char *name) {
  BEGIN;
  for (int i = 0; i < KERNELS; i++)
    if (strcmp(m->name, name) == 0 && strcmp(kernels[i].name, name) == 0) {
      *to = &kernels[i];
      return 0;
    }
  return NOT_FOUND;
}
EXPORT int cuFuncSetAttribute(const kernel *k, int attribute, int value) {
  BEGIN;
  (void)k;
  return attribute == 8 && value <= 64 * 1024 ? 0 : INVALID;
}

/* streams and graphs: everything happens at once, unless it is being captured */

typedef struct {
  int count;
  launch list[MANY];
} graph;

static graph *capturing;

EXPORT int cuLaunchKernel(const kernel *k, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
                          unsigned bz, unsigned shared, void *stream, void **arguments, void **extra) {
  (void)shared;
  (void)stream;
  BEGIN;
  if (depth == 0) return BAD_CONTEXT;
  if (gy != 1 || gz != 1 || by != 1 || bz != 1 || extra != NULL) return INVALID;
  launch l = {.kernel = k, .threads = (size_t)gx * bx};
  for (int i = 0; i < k->count; i++) memcpy(&l.pointers[i], arguments[i], sizeof l.pointers[i]);
  if (capturing == NULL) return run_one(&l);
  if (capturing->count == MANY) return NO_MEMORY;
  capturing->list[capturing->count++] = l;
  return 0;
}
EXPORT int cuStreamCreate(void **to, unsigned flags) {
  BEGIN;
  (void)flags;
  if (depth == 0) return BAD_CONTEXT;
  *to = malloc(1);
  if (*to == NULL) return NO_MEMORY;
  alive_streams++;
  return 0;
}
EXPORT int cuStreamDestroy_v2(void *stream) {
  BEGIN;
  free(stream);
  alive_streams--;
  return 0;
}
EXPORT int cuStreamSynchronize(void *stream) {
  (void)stream;
  BEGIN;
  return capturing == NULL ? 0 : NOT_READY;
}
EXPORT int cuStreamBeginCapture_v2(void *stream, int mode) {
  (void)stream;
  (void)mode;
  BEGIN;
  if (capturing != NULL) return INVALID;
  capturing = calloc(1, sizeof *capturing);
  if (capturing == NULL) return NO_MEMORY;
  alive_graphs++;
  return 0;
}
EXPORT int cuGraphDestroy(graph *g) {
  BEGIN;
  free(g);
  alive_graphs--;
  return 0;
}
EXPORT int cuStreamEndCapture(void *stream, graph **to) {
  (void)stream;
  const int result = begin(__func__); /* even then the capture is over */
  if (capturing == NULL) return INVALID;
  *to = capturing;
  capturing = NULL;
  if (result != 0) {
    free(*to);
    alive_graphs--;
    *to = NULL;
  }
  return result;
}
EXPORT int cuGraphInstantiateWithFlags(graph **to, const graph *from, unsigned long long flags) {
  BEGIN;
  if (flags != 0) return INVALID;
  *to = malloc(sizeof **to);
  if (*to == NULL) return NO_MEMORY;
  **to = *from;
  alive_graphs++;
  return 0;
}
EXPORT int cuGraphLaunch(const graph *g, void *stream) {
  (void)stream;
  BEGIN;
  if (depth == 0) return BAD_CONTEXT;
  for (int i = 0; i < g->count; i++) {
    int result = run_one(&g->list[i]);
    if (result != 0) return result;
  }
  return 0;
}
EXPORT int cuGraphExecDestroy(graph *g) {
  BEGIN;
  free(g);
  alive_graphs--;
  return 0;
}

/* the device */

EXPORT int cuInit(unsigned flags) {
  BEGIN;
  (void)flags;
  return set.devices == 0 ? 100 : 0;
}
EXPORT int cuDriverGetVersion(int *to) {
  BEGIN;
  *to = set.version;
  return 0;
}
EXPORT int cuGetErrorString(int result, const char **to) {
  *to = result == NO_MEMORY ? "out of memory" : result == ILLEGAL ? "an illegal memory access" : result == 100 ? "no CUDA-capable device" : NULL;
  return *to == NULL ? INVALID : 0;
}
EXPORT int cuDeviceGetCount(int *to) {
  BEGIN;
  *to = set.devices;
  return 0;
}
EXPORT int cuDeviceGet(int *to, int ordinal) {
  BEGIN;
  *to = ordinal;
  return 0;
}
EXPORT int cuDeviceGetName(char *to, int bytes, int device) {
  BEGIN;
  snprintf(to, (size_t)bytes, "Fake %d", device);
  return 0;
}
EXPORT int cuDeviceGetAttribute(int *to, int attribute, int device) {
  BEGIN;
  (void)device;
  *to = attribute == 75 ? set.major : set.minor;
  return attribute == 75 || attribute == 76 ? 0 : INVALID;
}
EXPORT int cuDevicePrimaryCtxRetain(void **to, int device) {
  BEGIN;
  (void)device;
  *to = &depth;
  alive_contexts++;
  return 0;
}
EXPORT int cuDevicePrimaryCtxRelease_v2(int device) {
  BEGIN;
  (void)device;
  alive_contexts--;
  return 0;
}
EXPORT int cuCtxPushCurrent_v2(void *context) {
  BEGIN;
  if (context != &depth) return INVALID;
  depth++;
  return 0;
}
EXPORT int cuCtxPopCurrent_v2(void **to) {
  const int result = begin(__func__);
  if (depth == 0) return BAD_CONTEXT;
  depth--;
  *to = &depth;
  return result;
}

/* for tests */

EXPORT void fake_reset(void) {
  set.version = 12040;
  set.devices = 1;
  set.major = 7;
  set.minor = 5;
  set.memory = 1L << 28;
  set.log = 0;
  fault.name[0] = 0;
  log_text[0] = 0;
}
EXPORT void fake_version(int version) { set.version = version; }
EXPORT void fake_devices(int count) { set.devices = count; }
EXPORT void fake_capability(int major, int minor) {
  set.major = major;
  set.minor = minor;
}
EXPORT void fake_memory(long bytes) { set.memory = bytes; }
EXPORT void fake_fault(const char *name, int countdown, int result) {
  snprintf(fault.name, sizeof fault.name, "%s", name);
  fault.countdown = countdown;
  fault.result = result;
}
/* The calls made since, by name. */
EXPORT void fake_log(void) {
  set.log = 1;
  log_text[0] = 0;
}
EXPORT const char *fake_logged(void) { return log_text; }
/* Everything that was had from the driver and not given back. */
EXPORT int fake_alive(void) {
  return alive_blocks + alive_modules + alive_contexts + alive_streams + alive_graphs + depth;
}
