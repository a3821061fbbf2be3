"""A library with NVRTC's entry points that does what a source tells it: answer, crash, hang."""

import subprocess
from pathlib import Path

from qcompile.targets.cuda.nvrtc import Nvrtc

SOURCE = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static const char *source, *ptx = ".version 8.4\n.target sm_75\n";
static char text[500];
int nvrtcCreateProgram(void **program, const char *given, const char *name, int n,
                       const char **headers, const char **names) {
  *program = text;
  source = strdup(given);
  snprintf(text, sizeof text, "Compiling entry function '%.*s' for 'sm_75'\n"
           "0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n"
           "Used 8 registers\n", (int)(strchr(name, '.') - name), name);
  return 0;
}
int nvrtcCompileProgram(void *program, int n, const char **options) {
  if (strstr(source, "CRASH")) fprintf(stderr, "ptxas: internal error\n"), abort();
  if (strstr(source, "LEAVE")) exit(3);
  if (strstr(source, "HANG")) sleep(60);
  if (strstr(source, "TALK")) printf("hello\n"), fflush(stdout);
  return strstr(source, "REFUSE") ? 6 : 0;
}
int nvrtcGetProgramLogSize(void *p, size_t *size) { *size = strlen(text) + 1; return 0; }
int nvrtcGetProgramLog(void *p, char *out) { strcpy(out, text); return 0; }
int nvrtcGetPTXSize(void *p, size_t *size) { *size = strlen(ptx) + 1; return 0; }
int nvrtcGetPTX(void *p, char *out) { strcpy(out, ptx); return 0; }
int nvrtcGetCUBINSize(void *p, size_t *size) { *size = strlen(source); return 0; }
int nvrtcGetCUBIN(void *p, char *out) { memcpy(out, source, strlen(source)); return 0; }
int nvrtcDestroyProgram(void **program) { return 0; }
const char *nvrtcGetErrorString(int status) { return "refused"; }
"""


def stand_in(folder: Path) -> Nvrtc:
    """Built in the folder. Its machine code is the source itself."""
    library = folder / "libnvrtc.so"
    command = ["cc", "-shared", "-fPIC", "-w", "-o", str(library), "-x", "c", "-"]
    subprocess.run(command, input=SOURCE, text=True, check=True)
    return Nvrtc(library, library, "stand-in")
