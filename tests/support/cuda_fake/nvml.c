/* NVIDIA's management library over the fake driver's GPUs. It counts them the other way round, as it
   may: by their place on the bus.

   RAYLAX_FAKE_WATTS what each draws (300), RAYLAX_FAKE_ECC its uncorrectable errors (0),
   RAYLAX_FAKE_XID a file with a GPU's index in the driver and an Xid, told once to each who listens;
   while the file of RAYLAX_FAKE_LOST is there, every GPU is lost, or the one whose number is in it. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define INVALID 2
#define NOT_FOUND 6
#define TIMEOUT 10
#define LOST 15

typedef struct { void *device; unsigned long long type, data; unsigned instance, compute; } Event;

static long long number(const char *name, long long usual) {
  const char *text = getenv(name);
  return text && *text ? atoll(text) : usual;
}
static int all(void) { return number("RAYLAX_FAKE_GPUS", 1); }
static int lost(void *device) {
  const char *path = getenv("RAYLAX_FAKE_LOST");
  FILE *file = path ? fopen(path, "r") : NULL;
  int code, gpu = -1, read = file ? fscanf(file, "%d %d", &code, &gpu) : 0;
  if (file) fclose(file);
  return read > 0 && (gpu < 0 || gpu == (int)(intptr_t)device - 1) ? LOST : 0;
}

int nvmlInit_v2(void) { return 0; }
int nvmlInitWithFlags(unsigned flags) { return 0; }
int nvmlShutdown(void) { return 0; }
const char *nvmlErrorString(int code) { return code == LOST ? "GPU is lost" : code == TIMEOUT ? "Timeout" : "Not Found"; }
int nvmlSystemGetDriverVersion(char *version, unsigned size) { snprintf(version, size, "580.00"); return 0; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = all(); return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) {
  *device = (void *)(intptr_t)(all() - (int)index);
  return index < all() ? 0 : INVALID;
}
int nvmlDeviceGetHandleByUUID(const char *uuid, void **device) {
  int index = atoi(strrchr(uuid, '-') + 1);
  *device = (void *)(intptr_t)(index + 1);
  return index < all() ? lost(*device) : NOT_FOUND;
}
int nvmlDeviceGetUUID(void *device, char *uuid, unsigned size) {
  snprintf(uuid, size, "GPU-00000000-0000-0000-0000-%012d", (int)(intptr_t)device - 1);
  return 0;
}
int nvmlDeviceGetName(void *device, char *name, unsigned size) { snprintf(name, size, "Fake %d", (int)(intptr_t)device - 1); return 0; }
int nvmlDeviceGetUtilizationRates(void *device, unsigned *rates) { rates[0] = 40 + (int)(intptr_t)device; rates[1] = 1; return lost(device); }
int nvmlDeviceGetMemoryInfo(void *device, unsigned long long *memory) {
  memory[0] = number("RAYLAX_FAKE_BYTES", 1 << 30);
  memory[1] = memory[0] - (memory[2] = memory[0] / 4);
  return lost(device);
}
int nvmlDeviceGetPowerUsage(void *device, unsigned *milliwatts) { *milliwatts = 1000 * number("RAYLAX_FAKE_WATTS", 300); return lost(device); }
int nvmlDeviceGetTotalEnergyConsumption(void *device, unsigned long long *millijoules) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  *millijoules = number("RAYLAX_FAKE_WATTS", 300) * (now.tv_sec * 1000LL + now.tv_nsec / 1000000);
  return lost(device);
}
int nvmlDeviceGetTotalEccErrors(void *device, int type, int since, unsigned long long *count) { *count = number("RAYLAX_FAKE_ECC", 0); return lost(device); }
int nvmlEventSetCreate(void **set) { *set = calloc(1, sizeof(int)); return 0; }
int nvmlDeviceRegisterEvents(void *device, unsigned long long types, void *set) { return lost(device); }
int nvmlEventSetWait_v2(void *set, Event *event, unsigned timeout) {
  const char *path = getenv("RAYLAX_FAKE_XID");
  FILE *file = path && !*(int *)set ? fopen(path, "r") : NULL;
  int index, xid, read = file ? fscanf(file, "%d %d", &index, &xid) : 0;
  if (file) fclose(file);
  if (read != 2) return TIMEOUT;
  *(int *)set = 1;
  *event = (Event){(void *)(intptr_t)(index + 1), 8, xid, 0, 0};
  return 0;
}
int nvmlEventSetFree(void *set) { free(set); return 0; }
