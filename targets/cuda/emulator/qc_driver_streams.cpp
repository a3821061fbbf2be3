// The driver's streams, graphs and events. Work is done at once; a captured stream only writes it
// down.
#include <chrono>

#include "qc_driver.hpp"

namespace qc_emulated {

int run_or_record(Stream* stream, Operation operation) {
  if (stream == nullptr) return operation();
  if (device_state.streams.count(stream) == 0) return INVALID_HANDLE;
  if (stream->capture == nullptr) return operation();
  stream->capture->push_back(std::move(operation));
  return SUCCESS;
}

static bool unknown(Stream* stream) {
  return stream != nullptr && device_state.streams.count(stream) == 0;
}

static bool capturing(const Stream* stream) {
  return stream != nullptr && stream->capture != nullptr;
}

static double milliseconds() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double, std::milli>(now).count();
}

}  // namespace qc_emulated

using namespace qc_emulated;

QC_DRIVER cuStreamCreate(Stream** stream, unsigned) {
  const Call call;
  if (call.ready() != SUCCESS) return call.ready();
  auto made = std::make_unique<Stream>();
  *stream = made.get();
  device_state.streams[made.get()] = std::move(made);
  return SUCCESS;
}

QC_DRIVER cuStreamDestroy_v2(Stream* stream) {
  const Call call;
  return device_state.streams.erase(stream) == 0 ? INVALID_HANDLE : SUCCESS;
}

QC_DRIVER cuStreamSynchronize(Stream* stream) {
  const Call call;
  if (unknown(stream)) return INVALID_HANDLE;
  return capturing(stream) ? static_cast<int>(CAPTURE_UNSUPPORTED) : call.ready();
}

QC_DRIVER cuStreamQuery(Stream* stream) { return cuStreamSynchronize(stream); }

QC_DRIVER cuStreamBeginCapture_v2(Stream* stream, int mode) {
  const Call call;
  if (call.ready() != SUCCESS) return call.ready();
  if (stream == nullptr) return CAPTURE_UNSUPPORTED;
  if (unknown(stream)) return INVALID_HANDLE;
  if (capturing(stream) || mode < 0 || mode > 2) return INVALID_VALUE;
  stream->capture = std::make_unique<Graph>();
  stream->mode = mode;
  stream->thread = this_thread();
  return SUCCESS;
}

QC_DRIVER cuStreamEndCapture(Stream* stream, Graph** graph) {
  const Call call;
  *graph = nullptr;
  if (unknown(stream)) return INVALID_HANDLE;
  if (!capturing(stream)) return INVALID_VALUE;
  *graph = stream->capture.get();
  device_state.graphs[*graph] = std::move(stream->capture);
  return SUCCESS;
}

QC_DRIVER cuGraphInstantiateWithFlags(Graph** executable, Graph* graph, unsigned long long) {
  const Call call;
  if (call.ready() != SUCCESS) return call.ready();
  if (device_state.graphs.count(graph) == 0) return INVALID_HANDLE;
  auto made = std::make_unique<Graph>(*graph);
  *executable = made.get();
  device_state.executables[made.get()] = std::move(made);
  return SUCCESS;
}

QC_DRIVER cuGraphLaunch(Graph* executable, Stream* stream) {
  const Call call;
  if (call.ready() != SUCCESS) return call.ready();
  if (device_state.executables.count(executable) == 0 || unknown(stream)) return INVALID_HANDLE;
  return run_or_record(stream, [operations = *executable] {
    for (const Operation& operation : operations) {
      operation();
      if (device_state.fault != SUCCESS) break;
    }
    return static_cast<int>(SUCCESS);
  });
}

QC_DRIVER cuGraphDestroy(Graph* graph) {
  const Call call;
  return device_state.graphs.erase(graph) == 0 ? INVALID_HANDLE : SUCCESS;
}

QC_DRIVER cuGraphExecDestroy(Graph* executable) {
  const Call call;
  return device_state.executables.erase(executable) == 0 ? INVALID_HANDLE : SUCCESS;
}

QC_DRIVER cuEventCreate(double** event, unsigned) {
  const Call call;
  if (call.ready() != SUCCESS) return call.ready();
  auto made = std::make_unique<double>(0.0);
  *event = made.get();
  device_state.events[made.get()] = std::move(made);
  return SUCCESS;
}

QC_DRIVER cuEventDestroy_v2(double* event) {
  const Call call;
  return device_state.events.erase(event) == 0 ? INVALID_HANDLE : SUCCESS;
}

QC_DRIVER cuEventRecord(double* event, Stream* stream) {
  const Call call;
  if (call.ready() != SUCCESS) return call.ready();
  if (device_state.events.count(event) == 0) return INVALID_HANDLE;
  return run_or_record(stream, [event] {
    *event = milliseconds();
    return static_cast<int>(SUCCESS);
  });
}

QC_DRIVER cuEventSynchronize(double* event) {
  const Call call;
  return device_state.events.count(event) == 0 ? static_cast<int>(INVALID_HANDLE) : call.ready();
}

QC_DRIVER cuEventElapsedTime(float* time, double* start, double* end) {
  const Call call;
  if (device_state.events.count(start) == 0 || device_state.events.count(end) == 0)
    return INVALID_HANDLE;
  *time = static_cast<float>(*end - *start);
  return call.ready();
}
