/* plan.bin: what it holds, and a reader that trusts none of it.

   The file is little-endian: magic, version, length and a checksum over the rest, then fields one
   after another (targets/cuda/plan_file.py writes them in the same order). Every field is read
   through a cursor with bounds; every number is checked before it is used; the first fault is kept
   in words. After a fault all reads give zeros, so that loops end. */
#ifndef QCRT_PLAN_H
#define QCRT_PLAN_H

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "qcrt.h"

#define QC_PLAN_VERSION 1
#define QC_PLAN_HEADER 32
#define QC_LIMIT ((uint64_t)1 << 40) /* no size or offset is greater */
#define QC_MAX_ARGS 64
#define QC_MAX_BLOCK 1024
#define QC_MAX_SHARED (256 * 1024)

enum { QC_ENTER_REAL, QC_ENTER_RAW, QC_BODY, QC_LEAVE_RAW, QC_LEAVE_REAL, QC_PHASES };
enum { QC_ARENA, QC_WEIGHTS, QC_INPUT_OF, QC_OUTPUT_OF, QC_WHERES };
enum { QC_CUBIN, QC_PTX, QC_IMAGE_KINDS };

/* form[0] as the model has it, form[1] as raw integers. */
typedef struct {
  qc_tensor form[2];
} qc_port;

/* Element i of an axis is `stride` elements further on; an element has `bits` bits, a 4-bit one with
   an even index is in the low half of its byte. `span`: bytes from the first to the last. */
typedef struct {
  qc_tensor tensor;
  uint32_t bits;
  uint64_t offset, span;
  uint64_t stride[QC_MAX_RANK];
} qc_layer_place;

typedef struct {
  uint64_t offset, size;
} qc_extent;

/* One file of kernels for one architecture; `exact`: for no later device. */
typedef struct {
  uint32_t kind, major, minor, exact, min_driver, elf_abi;
  const char *file;
  uint64_t bytes, fingerprint;
  qc_extent *entries; /* one for each kernel of the plan */
} qc_image_about;

typedef struct {
  uint32_t kind;
  uint64_t value;
} qc_where;

typedef struct {
  uint32_t kernel, grid, block, shared, phase, count;
  int32_t shows; /* the first layer that is complete after it, or -1 */
  uint32_t shown; /* how many, one after another */
  const char *node;
  qc_where *args;
} qc_launch;

typedef struct {
  const char *name, *target;
  uint64_t arena_bytes, weights_bytes, weights_fingerprint;
  uint32_t inputs, outputs, layers, kernels, images, launches;
  qc_port *input, *output;
  qc_layer_place *layer;
  const char **kernel;
  qc_image_about *image;
  qc_launch *launch;
} qc_plan;

/* Memory that lives as long as the plan. */
typedef struct qc_room {
  struct qc_room *next;
  _Alignas(16) unsigned char data[];
} qc_room;

typedef struct {
  const uint8_t *data;
  size_t size, at;
  qc_room **rooms;
  qc_status status;
  char *text;
  size_t text_bytes;
  const char *part; /* what is being read, and which one */
  uint32_t index;
} qc_reader;

/* The sum of all 8-byte words, each mixed with its place. */
static inline uint64_t qc_fingerprint(const uint8_t *data, size_t bytes) {
  uint64_t total = bytes;
  for (size_t i = 0; i < bytes / 8; i++) {
    uint64_t word = 0;
    for (int b = 7; b >= 0; b--) word = word << 8 | data[8 * i + (size_t)b];
    word += (i + 1) * 0x9e3779b97f4a7c15u;
    word = (word ^ word >> 32) * 0xff51afd7ed558ccdu;
    total += word ^ word >> 29;
  }
  return total;
}

/* Keeps the first fault. */
static void qc_fault(qc_reader *r, qc_status status, const char *format, ...) {
  if (r->status != QC_OK) return;
  r->status = status;
  int used = r->part == NULL ? snprintf(r->text, r->text_bytes, "plan.bin: ")
                             : snprintf(r->text, r->text_bytes, "plan.bin: %s %u: ", r->part, r->index);
  if (used < 0 || (size_t)used >= r->text_bytes) return;
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(r->text + used, r->text_bytes - (size_t)used, format, arguments);
  va_end(arguments);
}

static int qc_need(qc_reader *r, int holds, const char *what) {
  if (!holds) qc_fault(r, QC_CORRUPT, "%s", what);
  return r->status == QC_OK;
}

/* `bytes` bytes from the cursor, which moves on; NULL at the end. */
static const uint8_t *qc_take(qc_reader *r, uint64_t bytes) {
  if (!qc_need(r, bytes <= r->size - r->at, "the file ends within it")) return NULL;
  const uint8_t *taken = r->data + r->at;
  r->at += (size_t)bytes;
  return taken;
}

static uint64_t qc_number(qc_reader *r, int bytes) {
  const uint8_t *from = qc_take(r, (uint64_t)bytes);
  uint64_t value = 0;
  for (int i = bytes - 1; from != NULL && i >= 0; i--) value = value << 8 | from[i];
  return value;
}

static uint32_t qc_u32(qc_reader *r) { return (uint32_t)qc_number(r, 4); }

static uint64_t qc_size(qc_reader *r) {
  uint64_t value = qc_number(r, 8);
  return qc_need(r, value <= QC_LIMIT, "a size or offset is beyond all limits") ? value : 0;
}

/* A number below `limit`. */
static uint32_t qc_choice(qc_reader *r, uint32_t limit, const char *what) {
  uint32_t value = qc_u32(r);
  if (r->status == QC_OK && value >= limit) qc_fault(r, QC_CORRUPT, "%s %u of %u", what, value, limit);
  return r->status == QC_OK ? value : 0;
}

/* How many records follow, of at least `each` bytes. */
static uint32_t qc_many(qc_reader *r, uint64_t each) {
  uint32_t count = qc_u32(r);
  return qc_need(r, count * each <= r->size - r->at, "more records than the file can hold") ? count : 0;
}

/* A text in the file itself, which ends it with a zero. */
static const char *qc_text(qc_reader *r) {
  uint32_t length = qc_u32(r);
  const uint8_t *text = qc_take(r, (uint64_t)length + 1);
  if (text == NULL) return "";
  int whole = text[length] == 0 && memchr(text, 0, length) == NULL;
  return qc_need(r, whole, "a text does not end where it should") ? (const char *)text : "";
}

static void *qc_place(qc_reader *r, uint64_t count, size_t size) {
  if (r->status != QC_OK) return NULL;
  qc_room *room = calloc(1, sizeof *room + (size_t)count * size + 1);
  if (room == NULL) {
    qc_fault(r, QC_NO_MEMORY, "no memory");
    return NULL;
  }
  room->next = *r->rooms;
  *r->rooms = room;
  return room->data;
}

static const size_t qc_type_bytes[] = {1, 1, 2, 4, 4, 1, 8};
enum { QC_TYPES = 7 };

/* Shape and element; bytes are those of the dense tensor. */
static void qc_read_shape(qc_reader *r, qc_tensor *t) {
  t->type = (qc_type)qc_choice(r, QC_TYPES, "element type");
  t->rank = (int32_t)qc_choice(r, QC_MAX_RANK + 1, "rank");
  uint64_t bytes = qc_type_bytes[t->type];
  for (int32_t i = 0; i < t->rank; i++) {
    uint64_t length = qc_size(r);
    t->shape[i] = (int64_t)length;
    if (!qc_need(r, length == 0 || bytes <= QC_LIMIT / length, "the tensor is beyond all limits")) return;
    bytes *= length;
  }
  t->bytes = (size_t)bytes;
}

static void qc_read_form(qc_reader *r, qc_tensor *t, const char *name) {
  t->name = name;
  qc_read_shape(r, t);
  uint32_t count = qc_many(r, 8);
  t->axis = (int32_t)qc_choice(r, QC_MAX_RANK, "axis");
  int fits = count <= 1 || (t->axis < t->rank && (uint64_t)t->shape[t->axis] == count);
  if (!qc_need(r, fits, "scales do not fit the axis")) return;
  float *scales = qc_place(r, count, sizeof *scales);
  int32_t *zeros = qc_place(r, count, sizeof *zeros);
  for (uint32_t i = 0; i < count && zeros != NULL; i++) {
    uint32_t bits = qc_u32(r);
    memcpy(&scales[i], &bits, 4);
  }
  for (uint32_t i = 0; i < count && zeros != NULL; i++) zeros[i] = (int32_t)qc_u32(r);
  t->count = (int32_t)count;
  t->scales = count == 0 ? NULL : scales;
  t->zero_points = count == 0 ? NULL : zeros;
}

static qc_port *qc_read_ports(qc_reader *r, uint32_t *count, const char *part) {
  r->part = NULL;
  uint32_t found = qc_many(r, 37);
  qc_port *ports = qc_place(r, found, sizeof *ports);
  r->part = part;
  for (uint32_t i = 0; i < found && r->status == QC_OK; i++) {
    r->index = i;
    const char *name = qc_text(r);
    qc_read_form(r, &ports[i].form[0], name);
    qc_read_form(r, &ports[i].form[1], name);
  }
  *count = found;
  return ports;
}

static void qc_read_layer(qc_reader *r, qc_layer_place *l, uint64_t arena_bytes) {
  l->tensor.name = qc_text(r);
  qc_read_shape(r, &l->tensor);
  l->bits = qc_u32(r);
  int narrow = l->bits == 4 && l->tensor.type <= QC_I8;
  qc_need(r, narrow || l->bits == 8 * qc_type_bytes[l->tensor.type], "bits do not fit the type");
  l->offset = qc_size(r);
  uint64_t last = 0; /* the last element's index */
  for (int32_t i = 0; i < l->tensor.rank; i++) {
    uint64_t length = (uint64_t)l->tensor.shape[i], steps = length == 0 ? 0 : length - 1;
    l->stride[i] = qc_size(r);
    if (!qc_need(r, steps == 0 || l->stride[i] <= QC_LIMIT / steps, "it lies outside the arena")) return;
    last += steps * l->stride[i];
  }
  uint64_t elements = l->tensor.bytes / qc_type_bytes[l->tensor.type];
  qc_need(r, elements <= last + 1, "some of its elements share a place");
  l->span = l->tensor.bytes == 0 ? 0 : (last * l->bits + l->bits + 7) / 8;
  qc_need(r, l->offset <= arena_bytes && l->span <= arena_bytes - l->offset, "it lies outside the arena");
}

static void qc_read_layers(qc_reader *r, qc_plan *plan) {
  r->part = NULL;
  plan->layers = qc_many(r, 25);
  plan->layer = qc_place(r, plan->layers, sizeof *plan->layer);
  r->part = "layer";
  for (uint32_t i = 0; i < plan->layers && r->status == QC_OK; i++) {
    r->index = i;
    qc_read_layer(r, &plan->layer[i], plan->arena_bytes);
  }
}

static void qc_read_kernels(qc_reader *r, qc_plan *plan) {
  r->part = NULL;
  plan->kernels = qc_many(r, 5);
  plan->kernel = qc_place(r, plan->kernels, sizeof *plan->kernel);
  r->part = "kernel";
  for (uint32_t i = 0; i < plan->kernels && r->status == QC_OK; i++) {
    r->index = i;
    plan->kernel[i] = qc_text(r);
  }
}

static void qc_read_image(qc_reader *r, qc_image_about *image, uint32_t kernels) {
  image->kind = qc_choice(r, QC_IMAGE_KINDS, "kind");
  image->major = qc_choice(r, 100, "major");
  image->minor = qc_choice(r, 10, "minor");
  image->exact = qc_choice(r, 2, "exact");
  image->min_driver = qc_u32(r);
  image->elf_abi = qc_u32(r);
  image->file = qc_text(r);
  qc_need(r, image->file[0] != 0 && image->file[0] != '.' && strchr(image->file, '/') == NULL,
          "its file is not in the folder");
  image->bytes = qc_size(r);
  qc_need(r, image->bytes % 8 == 0, "its file is not whole words");
  image->fingerprint = qc_number(r, 8);
  image->entries = qc_place(r, kernels, sizeof *image->entries);
  for (uint32_t i = 0; i < kernels && r->status == QC_OK; i++) {
    qc_extent *e = &image->entries[i];
    e->offset = qc_size(r);
    e->size = qc_size(r);
    qc_need(r, e->offset % 8 == 0 && e->size > 0 && e->offset <= image->bytes && e->size <= image->bytes - e->offset,
            "a kernel lies outside its file");
  }
}

static void qc_read_images(qc_reader *r, qc_plan *plan) {
  r->part = NULL;
  plan->images = qc_many(r, 45);
  plan->image = qc_place(r, plan->images, sizeof *plan->image);
  r->part = "image";
  for (uint32_t i = 0; i < plan->images && r->status == QC_OK; i++) {
    r->index = i;
    qc_read_image(r, &plan->image[i], plan->kernels);
  }
}

static void qc_read_where(qc_reader *r, qc_where *where, const qc_plan *plan) {
  const uint64_t limits[] = {plan->arena_bytes, plan->weights_bytes, plan->inputs, plan->outputs};
  static const char *const names[] = {"the arena", "the weights", "the inputs", "the outputs"};
  where->kind = qc_choice(r, QC_WHERES, "kind of argument");
  where->value = qc_size(r);
  if (r->status == QC_OK && where->value >= limits[where->kind])
    qc_fault(r, QC_CORRUPT, "an argument lies outside %s: %llu of %llu", names[where->kind],
             (unsigned long long)where->value, (unsigned long long)limits[where->kind]);
}

static void qc_read_launch(qc_reader *r, qc_launch *l, const qc_plan *plan) {
  l->kernel = qc_choice(r, plan->kernels, "kernel");
  l->grid = qc_u32(r);
  l->block = qc_u32(r);
  l->shared = qc_choice(r, QC_MAX_SHARED + 1, "shared memory");
  l->phase = qc_choice(r, QC_PHASES, "phase");
  l->shows = (int32_t)qc_u32(r);
  l->shown = qc_u32(r);
  l->node = qc_text(r);
  qc_need(r, l->grid > 0 && l->grid <= INT32_MAX, "its grid is out of range");
  qc_need(r, l->block > 0 && l->block <= QC_MAX_BLOCK, "its block is out of range");
  const int none = l->shows == -1 && l->shown == 0;
  const int some = l->shows >= 0 && l->shown > 0 && l->shown <= plan->layers && (uint32_t)l->shows <= plan->layers - l->shown;
  qc_need(r, none || some, "it shows no layer");
  l->count = qc_choice(r, QC_MAX_ARGS + 1, "arguments");
  l->args = qc_place(r, l->count, sizeof *l->args);
  for (uint32_t i = 0; i < l->count && r->status == QC_OK; i++) qc_read_where(r, &l->args[i], plan);
}

static void qc_read_launches(qc_reader *r, qc_plan *plan) {
  r->part = NULL;
  plan->launches = qc_many(r, 33);
  plan->launch = qc_place(r, plan->launches, sizeof *plan->launch);
  r->part = "launch";
  for (uint32_t i = 0; i < plan->launches && r->status == QC_OK; i++) {
    r->index = i;
    qc_read_launch(r, &plan->launch[i], plan);
  }
}

/* Magic, version, length and checksum. */
static void qc_read_header(qc_reader *r) {
  static const char magic[8] = {'q', 'c', 'p', 'l', 'a', 'n', '\r', '\n'};
  const uint8_t *found = qc_take(r, 8);
  if (!qc_need(r, found != NULL && memcmp(found, magic, 8) == 0, "this is no plan")) return;
  uint32_t version = qc_u32(r);
  if (r->status == QC_OK && version != QC_PLAN_VERSION) {
    qc_fault(r, QC_WRONG_VERSION, "the plan has version %u, this library reads version %u", version,
             QC_PLAN_VERSION);
    return;
  }
  qc_need(r, qc_u32(r) == 0, "its header is damaged");
  qc_need(r, qc_number(r, 8) == r->size && r->size % 8 == 0, "it is cut short or has grown");
  uint64_t wanted = qc_number(r, 8);
  if (r->status != QC_OK) return;
  uint64_t sum = qc_fingerprint(r->data + QC_PLAN_HEADER, r->size - QC_PLAN_HEADER);
  qc_need(r, sum == wanted, "it is damaged: its checksum does not hold");
}

/* Reads the whole plan; texts point into the data, which must stay. The fault, if any, is in r. */
static void qc_read_plan(qc_reader *r, qc_plan *plan) {
  qc_read_header(r);
  plan->name = qc_text(r);
  plan->target = qc_text(r);
  plan->arena_bytes = qc_size(r);
  plan->weights_bytes = qc_size(r);
  qc_need(r, plan->weights_bytes % 8 == 0, "the weights are not whole words");
  plan->weights_fingerprint = qc_number(r, 8);
  plan->input = qc_read_ports(r, &plan->inputs, "input");
  plan->output = qc_read_ports(r, &plan->outputs, "output");
  qc_read_layers(r, plan);
  qc_read_kernels(r, plan);
  qc_read_images(r, plan);
  qc_read_launches(r, plan);
  r->part = NULL;
  while (r->status == QC_OK && r->at < r->size)
    if (!qc_need(r, *qc_take(r, 1) == 0, "there is something after its end")) return;
}

static void qc_free_rooms(qc_room **rooms) {
  while (*rooms != NULL) {
    qc_room *next = (*rooms)->next;
    free(*rooms);
    *rooms = next;
  }
}

#endif
