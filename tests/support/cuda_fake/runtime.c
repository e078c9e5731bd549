/* CUDA's run time over the fake driver: what TVM's is linked to, and what raylax calls itself. */
#include <stdlib.h>
#include <string.h>
#include <stdint.h>

extern int fake_lost(void), fake_wait(void), fake_copy(void *, const void *, size_t), fake_device(int);
extern int fake_allocate(void **, size_t, int), fake_free(void *), fake_mark(void **), fake_marked(void *);
extern int fake_capture(void *), fake_captured(void **), fake_replay(void *), fake_fill(void *, int, size_t);
extern int fake_copy_rows(void *, size_t, const void *, size_t, size_t, size_t, int);
extern void fake_forget(void *);
extern size_t fake_bytes(int);
extern const char *fake_words(int);
extern int cuDeviceGetAttribute(int *, int, int), cuDeviceGetCount(int *);

static long long streams;

int cudaGetDeviceCount(int *count) { return cuDeviceGetCount(count); }
int cudaGetDevice(int *device) { *device = fake_device(-1); return 0; }
int cudaSetDevice(int device) { return fake_device(device) < 0 ? 101 : 0; }
int cudaDeviceGetAttribute(int *value, int attribute, int device) { return cuDeviceGetAttribute(value, attribute, device); }
int cudaGetDeviceProperties(void *properties, int device) { return 0; }
int cudaMemGetInfo(size_t *free, size_t *total) { *free = fake_bytes(1); *total = fake_bytes(0); return fake_lost(); }
int cudaMalloc(void **found, size_t size) { return fake_allocate(found, size, 1); }
int cudaFree(void *start) { return fake_free(start); }
int cudaMallocHost(void **found, size_t size) { return fake_allocate(found, size, 0); }
int cudaFreeHost(void *start) { return fake_free(start); }
int cudaMemcpyAsync(void *to, const void *from, size_t size, int kind, void *stream) { return fake_copy(to, from, size); }
int cudaMemcpyPeerAsync(void *to, int a, const void *from, int b, size_t size, void *stream) { return fake_copy(to, from, size); }
int cudaMemcpy2DAsync(void *to, size_t pitch, const void *from, size_t other, size_t width, size_t rows, int kind, void *stream) {
  return fake_copy_rows(to, pitch, from, other, width, rows, kind);
}
int cudaMemcpy(void *to, const void *from, size_t size, int kind) {
  int failed = fake_copy(to, from, size);
  return failed ? failed : fake_wait();
}
int cudaMemsetAsync(void *to, int value, size_t size, void *stream) { return fake_fill(to, value, size); }
int cudaStreamCreate(void **stream) { *stream = (void *)(intptr_t)(++streams << 4); return fake_lost(); }
int cudaStreamCreateWithFlags(void **stream, unsigned flags) { return cudaStreamCreate(stream); }
int cudaStreamDestroy(void *stream) { return 0; }
int cudaStreamSynchronize(void *stream) { return fake_wait(); }
int cudaDeviceSynchronize(void) { return fake_wait(); }
int cudaStreamWaitEvent(void *stream, void *event, unsigned flags) { return fake_lost(); }
int cudaEventCreate(void **event) { *event = calloc(1, sizeof(long long)); return fake_lost(); }
int cudaEventCreateWithFlags(void **event, unsigned flags) { return cudaEventCreate(event); }
int cudaEventDestroy(void *event) { free(event); return 0; }
int cudaEventRecord(void *event, void *stream) { return fake_mark(&event); }
int cudaEventQuery(void *event) { return fake_marked(event); }
int cudaEventSynchronize(void *event) { return fake_wait(); }
int cudaEventElapsedTime(float *time, void *from, void *to) { *time = 1; return fake_lost(); }
const char *cudaGetErrorName(int code) { return "cudaErrorFake"; }
const char *cudaGetErrorString(int code) { return fake_words(code); }
int cudaGetLastError(void) { return 0; }
int cudaPeekAtLastError(void) { return 0; }
int cudaStreamBeginCapture(void *stream, int mode) { return fake_capture(stream); }
int cudaStreamEndCapture(void *stream, void **graph) { return fake_captured(graph); }
int cudaGraphInstantiate(void **ready, void *graph, unsigned long long flags) { *ready = graph; return fake_lost(); }
int cudaGraphDestroy(void *graph) { return 0; }
int cudaGraphExecDestroy(void *graph) { fake_forget(graph); return 0; }
int cudaGraphLaunch(void *ready, void *stream) { return fake_replay(ready); }
