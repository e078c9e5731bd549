/* NVIDIA's driver as far as raylax asks it: two GPUs of two generations, and no way to run anything. */
#include <stddef.h>
#include <string.h>

static int generation[] = {9, 8};

int cuInit(unsigned flags) { return 0; }
int cuDriverGetVersion(int *version) { *version = 13000; return 0; }
int cuDeviceGetCount(int *count) { *count = 2; return 0; }
int cuDeviceGet(int *device, int index) { *device = index; return 0; }
int cuDeviceGetName(char *name, int size, int device) {
    strncpy(name, device ? "Second" : "First", size);
    return 0;
}
int cuDeviceGetAttribute(int *value, int attribute, int device) {
    *value = attribute == 75 ? generation[device] : device ? 6 : 0;
    return 0;
}
int cuDevicePrimaryCtxRetain(void **context, int device) { *context = &generation[device]; return 0; }
int cuDevicePrimaryCtxRelease_v2(int device) { return device ? 201 : 0; }
int cuCtxPushCurrent_v2(void *context) { return 0; }
int cuCtxPopCurrent_v2(void **context) { return 0; }
int cuCtxSetCurrent(void *context) { return context == &generation[1] ? 0 : 201; }
int cuStreamQuery(void *stream) { return (size_t)stream; } /* the stream 600 is busy */
int cuMemGetInfo_v2(size_t *free, size_t *total) {
    *free = (size_t)70 << 30;
    *total = (size_t)80 << 30;
    return 0;
}
int cuGetErrorString(int code, const char **text) { *text = "it went wrong"; return 0; }
int cuGetErrorName(int code, const char **text) { *text = "WRONG"; return 0; }

/* What TVM's run time is linked to besides. */
int cuFuncSetAttribute(void) { return 999; }
int cuLaunchKernelEx(void) { return 999; }
int cuModuleGetFunction(void) { return 999; }
int cuModuleLoadData(void) { return 999; }
int cuModuleUnload(void) { return 999; }
int cuTensorMapEncodeTiled(void) { return 999; }
