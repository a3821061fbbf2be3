/* Opens folders that may be damaged and, where that succeeds, uses the model in every way.

   Reads lines `UNCHECKED GRAPHS FOLDER`; answers each with lines `STAGE CODE TEXT` and at the end
   `end ALIVE`, what is left in the driver. Built with sanitizers, which end the process at a fault. */

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sanitizer/lsan_interface.h>
#include "qcrt.h"

#define MOST (1u << 24)

static void say(const char *stage, qc_status status, const char *text) {
  printf("%s %d ", stage, (int)status);
  for (; *text != 0; text++) putchar(*text == '\n' ? ' ' : *text);
  putchar('\n');
  fflush(stdout);
}

/* Each port's memory, exactly as large as the form says; NULL where that is too much. */
static void **buffers(qc_model *model, int32_t count, qc_status (*ask)(qc_model *, int32_t, int32_t, qc_tensor *),
                      int32_t raw) {
  void **made = calloc((size_t)count + 1, sizeof *made);
  size_t total = 0;
  for (int32_t i = 0; i < count; i++) {
    qc_tensor t;
    if (ask(model, i, raw, &t) != QC_OK) abort();
    for (int32_t s = 0; s < t.count; s++) total += t.scales[s] > 0 && t.zero_points[s] > 0;
    total += t.bytes + strlen(t.name);
    if (total < MOST) made[i] = calloc(1, t.bytes == 0 ? 1 : t.bytes);
  }
  return made;
}

static void release(void **made, int32_t count) {
  for (int32_t i = 0; i < count; i++) free(made[i]);
  free(made);
}

static unsigned char seen;

static void look(void *user, const qc_tensor *value, const void *data) {
  (void)user;
  const unsigned char *bytes = data;
  for (size_t i = 0; i < value->bytes; i++) seen ^= bytes[i];
  seen ^= (unsigned char)value->name[0];
}

static void use(qc_model *model) {
  int32_t ins = qc_input_count(model), outs = qc_output_count(model);
  for (int32_t i = 0; i < qc_step_count(model); i++)
    seen ^= (unsigned char)(strlen(qc_step_name(model, i)) + strlen(qc_step_kernel(model, i)));
  for (int32_t i = 0; i < qc_layer_count(model); i++) {
    qc_tensor t;
    if (qc_layer(model, i, &t) != QC_OK) abort();
  }
  for (uint32_t flags = 0; flags < 4; flags++) {
    void **in = buffers(model, ins, qc_input, flags & 1), **out = buffers(model, outs, qc_output, flags >> 1);
    const void *const *given = (const void *const *)in;
    for (int again = 0; again < 2; again++) {
      qc_status status = qc_run(model, given, out, flags);
      say("run", status, status == QC_OK ? "" : qc_last_error(model));
    }
    qc_status status = qc_trace(model, given, out, flags, look, NULL);
    say("trace", status, status == QC_OK ? "" : qc_last_error(model));
    status = qc_run_device(model, given, out, NULL, flags); /* these are no device addresses */
    say("device", status, status == QC_OK ? "" : qc_last_error(model));
    release(in, ins);
    release(out, outs);
  }
}

int main(int count, char **arguments) {
  if (count != 2) return 2;
  void *driver = dlopen(arguments[1], RTLD_NOW);
  if (driver == NULL) return 2;
  int (*alive)(void) = (int (*)(void))dlsym(driver, "fake_alive");
  void (*memory)(long) = (void (*)(long))dlsym(driver, "fake_memory");
  if (alive == NULL || memory == NULL) return 2;
  memory(MOST);
  static char line[5000], error[1024];
  while (fgets(line, sizeof line, stdin) != NULL) {
    qc_options options = QC_OPTIONS;
    int from = 0;
    line[strcspn(line, "\n")] = 0;
    if (sscanf(line, "%d %d %n", &options.unchecked, &options.graphs, &from) != 2) return 2;
    options.driver = arguments[1];
    qc_model *model = NULL;
    qc_status status = qc_open(line + from, &options, &model, error, sizeof error);
    say("open", status, error);
    if ((status == QC_OK) != (model != NULL)) abort();
    if (model != NULL) use(model);
    qc_close(model);
    printf("end %d\n", alive() + (__lsan_do_recoverable_leak_check() != 0));
    fflush(stdout);
  }
  return 0;
}
