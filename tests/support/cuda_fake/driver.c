/* NVIDIA's driver without a GPU, for tests of everything that is not machine code.

   Device memory is host memory. What is put on a stream waits in one queue, copies too, and is done
   when somebody waits for it, as late as a device may: who reads a result too early, or writes to what
   is still to be copied, is found out. A launch calls back into Python, which checks and runs it.
   While a stream captures, launches are kept, and what CUDA forbids then fails as it does there.

   RAYLAX_FAKE_GPUS how many there are (1), of which CUDA_VISIBLE_DEVICES says by index or UUID who is
   seen, RAYLAX_FAKE_DRIVER the driver's version (13000), RAYLAX_FAKE_CHIP their generation (90), RAYLAX_FAKE_BYTES
   the memory of each (1 GiB), RAYLAX_FAKE_LOST a file: while it is there, every call fails with the
   code in it, or that of the GPU whose number stands behind the code. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define NO_MEMORY 2
#define INVALID 1
#define NOT_FOUND 500
#define NOT_READY 600
#define CAPTURING 900
#define FAILED 719

typedef struct { unsigned grid[3], block[3], shared; void *stream, *attributes; unsigned count; } Config;
typedef enum { COPY, LAUNCH, REPLAY, EVENT, FILL, ROWS, CALL } Kind;
typedef struct { Kind kind; void *to; const void *from; size_t size; int id; long long mark;
    size_t strides[2], rows; int (*run)(void *); void (*gone)(void *); } Work;
typedef struct { int (*load)(int, const void *), (*function)(int, const char *), (*attribute)(int, int, int),
    (*launch)(int, const Config *, void **), (*run)(int), (*allocated)(void *, size_t); } Python;

static Python python;
static int installed, modules, capturing_graph;
static void *capturing;
static long long marks, done;
static Work *queue;
static size_t queued, room;
static size_t used[64];
static __thread int current;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct { Work *works; size_t count; } *graphs;
static int graph_count;
typedef struct { void *start; size_t size; int device; } Block;
static Block *blocks;
static size_t block_count;

static long long number(const char *name, long long usual) {
  const char *text = getenv(name);
  return text && *text ? atoll(text) : usual;
}
int fake_physical(int);
int fake_lost(void) {
  const char *path = getenv("RAYLAX_FAKE_LOST");
  FILE *file = path ? fopen(path, "r") : NULL;
  int code = 0, device = -1;
  if (file) { if (fscanf(file, "%d %d", &code, &device) < 1) code = 0; fclose(file); }  /* it is being written */
  return device < 0 || device == fake_physical(current) ? code : 0;
}
#define ALIVE do { int lost = fake_lost(); if (lost) return lost; } while (0)
#define FORBIDDEN do { ALIVE; if (capturing) return CAPTURING; } while (0)

void fake_install(const Python *given) { python = *given; }
/* The part in Python, in whatever process this is loaded. */
static void need_python(void) {
  if (installed++) return;
  int (*run)(const char *) = dlsym(RTLD_DEFAULT, "PyRun_SimpleString");
  int (*ensure)(void) = dlsym(RTLD_DEFAULT, "PyGILState_Ensure");
  void (*release)(int) = dlsym(RTLD_DEFAULT, "PyGILState_Release");
  const char *code = getenv("RAYLAX_FAKE_PYTHON");
  if (!run || !code) return;
  int state = ensure();
  run(code);
  release(state);
}

/* On the queue, or into the graph that is being captured. */
static void push(Work work) {
  if (capturing) {
    typeof(graphs) graph = &graphs[capturing_graph];
    graph->works = realloc(graph->works, (graph->count + 1) * sizeof(Work));
    graph->works[graph->count++] = work;
    return;
  }
  if (queued == room) queue = realloc(queue, (room = room ? 2 * room : 64) * sizeof *queue);
  queue[queued++] = work;
}
static int perform(const Work *one) {
  int failed = 0;
  switch (one->kind) {
    case COPY: memcpy(one->to, one->from, one->size); return 0;
    case FILL: memset(one->to, one->id, one->size); return 0;
    case EVENT: done = one->mark; return 0;
    case LAUNCH: return python.run(one->id);
    case CALL: return one->run(one->to);
    case ROWS:
      for (size_t row = 0; row < one->rows; row++)
        memcpy((char *)one->to + row * one->strides[0], (char *)one->from + row * one->strides[1], one->size);
      return 0;
    case REPLAY:
      for (size_t k = 0; k < graphs[one->id].count && !failed; k++) failed = perform(&graphs[one->id].works[k]);
      return failed;
  }
}
/* Everything that waits, in order. */
int fake_drain(void) {
  int failed = 0;
  for (size_t i = 0; i < queued && !failed; i++) { Work one = queue[i]; failed = perform(&one); }
  queued = 0;
  return failed;
}
int fake_wait(void) { FORBIDDEN; return fake_drain(); }
int fake_copy(void *to, const void *from, size_t size) {
  FORBIDDEN;
  push((Work){COPY, to, from, size});
  return 0;
}
/* What may be captured: within the memory of a device. */
int fake_copy_rows(void *to, size_t pitch, const void *from, size_t other, size_t width, size_t rows, int kind) {
  ALIVE;
  if (capturing && kind != 3) return CAPTURING;
  if (width > pitch || width > other) return INVALID;
  push((Work){ROWS, to, from, width, .strides = {pitch, other}, .rows = rows});
  return 0;
}
int fake_is_capturing(void) { return capturing != NULL; }
int fake_push_call(int (*run)(void *), void (*gone)(void *), void *given) {
  ALIVE;
  push((Work){CALL, given, .run = run, .gone = gone});
  return 0;
}
int fake_fill(void *to, int value, size_t size) { FORBIDDEN; push((Work){FILL, to, 0, size, value}); return 0; }
/* The GPU that a process sees as this one, -1 beyond the last. */
int fake_physical(int index) {
  const char *seen = getenv("CUDA_VISIBLE_DEVICES");
  int all = number("RAYLAX_FAKE_GPUS", 1);
  if (!seen) return index < all ? index : -1;
  for (int i = 0; *seen; i++) {
    const char *digits = seen;
    if (!strncmp(seen, "GPU-", 4)) { digits = strrchr(seen, '-') + 1; const char *end = strchr(seen, ',');
      if (end) { digits = end; while (digits[-1] != '-') digits--; } }
    int one = *digits >= '0' && *digits <= '9' ? atoi(digits) : -1;
    if (one < 0 || one >= all) return -1;
    if (i == index) return one;
    seen = strchr(seen, ',');
    if (!seen) return -1;
    seen++;
  }
  return -1;
}
static int visible(void) { int n = 0; while (fake_physical(n) >= 0) n++; return n; }
int fake_device(int set) {
  if (set >= visible()) return -1;
  if (set >= 0) current = set;
  return current;
}
size_t fake_bytes(int free) {
  size_t all = number("RAYLAX_FAKE_BYTES", 1 << 30);
  return free ? all - used[current] : all;
}
int fake_allocate(void **found, size_t size, int on_device) {
  FORBIDDEN;
  need_python();
  if (on_device && size > fake_bytes(1)) return NO_MEMORY;
  if (posix_memalign(found, 512, size ? size : 1)) return NO_MEMORY;
  memset(*found, 0xff, size);
  blocks = realloc(blocks, (block_count + 1) * sizeof *blocks);
  blocks[block_count++] = (Block){*found, on_device ? size : 0, current};
  if (on_device) used[current] += size;
  return python.allocated ? python.allocated(*found, size) : 0;
}
int fake_free(void *start) {
  FORBIDDEN;
  int failed = fake_drain();
  for (size_t i = 0; i < block_count; i++)
    if (blocks[i].start == start) { used[blocks[i].device] -= blocks[i].size; blocks[i] = blocks[--block_count]; break; }
  free(start);
  return failed;
}
int fake_mark(void **event) { ALIVE; *(long long *)*event = ++marks; push((Work){EVENT, .mark = marks}); return 0; }
/* Not ready when first asked, so that nobody relies on its being so. */
int fake_marked(void *event) {
  ALIVE;
  if (*(long long *)event <= done) return 0;
  int failed = fake_drain();
  return failed ? failed : NOT_READY;
}
int fake_capture(void *stream) {
  FORBIDDEN;
  capturing = stream ? stream : &capturing;
  graphs = realloc(graphs, ++graph_count * sizeof *graphs);
  graphs[capturing_graph = graph_count - 1] = (typeof(*graphs)){0};
  return 0;
}
int fake_captured(void **graph) {
  ALIVE;
  if (!capturing) return INVALID;
  capturing = NULL;
  *graph = (void *)(intptr_t)(capturing_graph + 1);
  return 0;
}
int fake_replay(void *graph) { FORBIDDEN; push((Work){REPLAY, .id = (int)(intptr_t)graph - 1}); return 0; }
void fake_forget(void *graph) {
  typeof(graphs) one = &graphs[(int)(intptr_t)graph - 1];
  for (size_t k = 0; k < one->count; k++) if (one->works[k].gone) one->works[k].gone(one->works[k].to);
  free(one->works);
  *one = (typeof(*one)){0};
}

int cuInit(unsigned flags) { need_python(); return visible() ? 0 : 100; }
int cuDriverGetVersion(int *version) { *version = number("RAYLAX_FAKE_DRIVER", 13000); return 0; }
int cuDeviceGetCount(int *count) { *count = visible(); return 0; }
int cuDeviceGet(int *device, int index) { *device = index; return 0; }
int cuDeviceGetName(char *name, int size, int device) { snprintf(name, size, "Fake %d", fake_physical(device)); return 0; }
int cuDeviceGetUuid_v2(unsigned char *uuid, int device) { memset(uuid, 0, 16); uuid[15] = fake_physical(device); return 0; }
int cuDeviceGetAttribute(int *value, int attribute, int device) {
  int chip = number("RAYLAX_FAKE_CHIP", 90), small = chip == 86 || chip == 89 || chip == 120;
  switch (attribute) {
    case 75: *value = chip / 10; return 0;
    case 76: *value = chip % 10; return 0;
    case 10: *value = 32; return 0;
    case 16: *value = 132; return 0;
    case 97: *value = small ? 101376 : chip == 80 ? 166912 : 232448; return 0;
  }
  *value = 1024;
  return 0;
}
int cuDevicePrimaryCtxRetain(void **context, int device) { *context = (void *)(intptr_t)(device + 1); return 0; }
int cuDevicePrimaryCtxRelease_v2(int device) { return 0; }
int cuCtxPushCurrent_v2(void *context) { fake_device((int)(intptr_t)context - 1); return 0; }
int cuCtxPopCurrent_v2(void **context) { return 0; }
int cuCtxSetCurrent(void *context) { return fake_device((int)(intptr_t)context - 1) < 0 ? 201 : 0; }
int cuStreamQuery(void *stream) { ALIVE; if (!queued) return 0; int failed = fake_drain(); return failed ? failed : NOT_READY; }
int cuMemGetInfo_v2(size_t *free, size_t *total) { ALIVE; *free = fake_bytes(1); *total = fake_bytes(0); return 0; }
const char *fake_words(int code) {
  switch (code) {
    case NO_MEMORY: return "out of memory";
    case CAPTURING: return "operation not permitted when stream is capturing";
    case FAILED: return "unspecified launch failure";
    case 79: return "the GPU has fallen off the bus";
    case 214: return "uncorrectable ECC error encountered";
    case 999: return "unknown error";
  }
  return "refused by the fake driver";
}
int cuGetErrorString(int code, const char **text) { *text = fake_words(code); return 0; }
int cuGetErrorName(int code, const char **text) { *text = "CUDA_ERROR_FAKE"; return 0; }
int cuModuleLoadData(void **module, const void *image) {
  FORBIDDEN;
  need_python();
  *module = (void *)(intptr_t)++modules;
  return python.load ? python.load(modules, image) : NOT_FOUND;
}
int cuModuleUnload(void *module) { return 0; }
int cuModuleGetFunction(void **function, void *module, const char *name) {
  int id = python.function((int)(intptr_t)module, name);
  if (id <= 0) return NOT_FOUND;
  *function = (void *)(intptr_t)id;
  return 0;
}
int cuFuncSetAttribute(void *function, int attribute, int value) {
  return python.attribute((int)(intptr_t)function, attribute, value);
}
int cuLaunchKernelEx(const Config *config, void *function, void **parameters, void **extra) {
  ALIVE;
  int id = python.launch((int)(intptr_t)function, config, parameters);
  if (id <= 0) return id ? -id : FAILED;
  push((Work){LAUNCH, .id = id});
  return 0;
}
int cuTensorMapEncodeTiled(void *map) { memset(map, 0, 128); return 0; }
