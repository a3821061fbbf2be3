/* The driver's functions that a model needs, looked up by name: no CUDA header, no link-time
   dependency. Names and signatures are those of the driver API, version 12. */
#ifndef QCRT_DRIVER_H
#define QCRT_DRIVER_H

#include <stddef.h>
#include <stdint.h>

typedef int CUresult;
typedef int CUdevice;
typedef uint64_t CUdeviceptr;
typedef struct qc_cu_context *CUcontext;
typedef struct qc_cu_module *CUmodule;
typedef struct qc_cu_function *CUfunction;
typedef struct qc_cu_stream *CUstream;
typedef struct qc_cu_graph *CUgraph;
typedef struct qc_cu_graph_exec *CUgraphExec;
typedef struct qc_cu_event *CUevent;

enum {
  CUDA_OK = 0,
  CUDA_OUT_OF_MEMORY = 2,
  CUDA_NO_DEVICE = 100,
  CUDA_INVALID_IMAGE = 200,
  CUDA_NO_BINARY = 209,
  CUDA_INVALID_PTX = 218,
  CUDA_UNSUPPORTED_PTX_VERSION = 222,
  CUDA_ILLEGAL_ADDRESS = 700,    /* from here on, what kernels do ... */
  CUDA_LAUNCH_FAILED = 719,      /* ... up to here */
  CU_MAJOR = 75,                 /* device attributes: the compute capability */
  CU_MINOR = 76,
  CU_MAX_DYNAMIC_SHARED = 8,     /* function attribute */
  CU_STREAM_NON_BLOCKING = 1,
  CU_CAPTURE_THREAD_LOCAL = 1
};

/* field, symbol, parameters; all return CUresult */
#define QC_DRIVER_FUNCTIONS(X)                                                                     \
  X(Init, "cuInit", (unsigned))                                                                    \
  X(DriverGetVersion, "cuDriverGetVersion", (int *))                                               \
  X(GetErrorString, "cuGetErrorString", (CUresult, const char **))                                 \
  X(DeviceGetCount, "cuDeviceGetCount", (int *))                                                   \
  X(DeviceGet, "cuDeviceGet", (CUdevice *, int))                                                   \
  X(DeviceGetName, "cuDeviceGetName", (char *, int, CUdevice))                                     \
  X(DeviceGetAttribute, "cuDeviceGetAttribute", (int *, int, CUdevice))                            \
  X(DevicePrimaryCtxRetain, "cuDevicePrimaryCtxRetain", (CUcontext *, CUdevice))                   \
  X(DevicePrimaryCtxRelease, "cuDevicePrimaryCtxRelease_v2", (CUdevice))                           \
  X(CtxPushCurrent, "cuCtxPushCurrent_v2", (CUcontext))                                            \
  X(CtxPopCurrent, "cuCtxPopCurrent_v2", (CUcontext *))                                            \
  X(MemAlloc, "cuMemAlloc_v2", (CUdeviceptr *, size_t))                                            \
  X(MemFree, "cuMemFree_v2", (CUdeviceptr))                                                        \
  X(MemcpyHtoDAsync, "cuMemcpyHtoDAsync_v2", (CUdeviceptr, const void *, size_t, CUstream))        \
  X(MemcpyDtoHAsync, "cuMemcpyDtoHAsync_v2", (void *, CUdeviceptr, size_t, CUstream))              \
  X(MemcpyDtoDAsync, "cuMemcpyDtoDAsync_v2", (CUdeviceptr, CUdeviceptr, size_t, CUstream))         \
  X(ModuleLoadData, "cuModuleLoadData", (CUmodule *, const void *))                                \
  X(ModuleUnload, "cuModuleUnload", (CUmodule))                                                    \
  X(ModuleGetFunction, "cuModuleGetFunction", (CUfunction *, CUmodule, const char *))              \
  X(FuncSetAttribute, "cuFuncSetAttribute", (CUfunction, int, int))                                \
  X(LaunchKernel, "cuLaunchKernel",                                                                \
    (CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, CUstream,   \
     void **, void **))                                                                            \
  X(StreamCreate, "cuStreamCreate", (CUstream *, unsigned))                                        \
  X(StreamDestroy, "cuStreamDestroy_v2", (CUstream))                                               \
  X(StreamSynchronize, "cuStreamSynchronize", (CUstream))                                          \
  X(StreamBeginCapture, "cuStreamBeginCapture_v2", (CUstream, int))                                \
  X(StreamEndCapture, "cuStreamEndCapture", (CUstream, CUgraph *))                                 \
  X(GraphInstantiate, "cuGraphInstantiateWithFlags", (CUgraphExec *, CUgraph, unsigned long long)) \
  X(GraphLaunch, "cuGraphLaunch", (CUgraphExec, CUstream))                                         \
  X(GraphExecDestroy, "cuGraphExecDestroy", (CUgraphExec))                                         \
  X(GraphDestroy, "cuGraphDestroy", (CUgraph))

/* What only qc_time needs: a driver without them runs models all the same. */
#define QC_TIMING_FUNCTIONS(X)                                                                     \
  X(EventCreate, "cuEventCreate", (CUevent *, unsigned))                                           \
  X(EventDestroy, "cuEventDestroy_v2", (CUevent))                                                  \
  X(EventRecord, "cuEventRecord", (CUevent, CUstream))                                             \
  X(EventElapsedTime, "cuEventElapsedTime", (float *, CUevent, CUevent))

typedef struct {
#define QC_FIELD(field, symbol, parameters) CUresult(*field) parameters;
  QC_DRIVER_FUNCTIONS(QC_FIELD)
  QC_TIMING_FUNCTIONS(QC_FIELD)
#undef QC_FIELD
} qc_driver;

#endif
