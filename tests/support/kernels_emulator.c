/* Calls one function of a compiled library where Python and TVM are not: its tensors come by stdin
 * and go by stdout. Beside that it is what a library asks of TVM's run time. */

#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <tvm/ffi/c_api.h>

enum { WORKERS = 2, MOST = 64 };

typedef struct { void *sync; int32_t tasks; } Group; /* TVMParallelGroupEnv */
typedef struct { int (*run)(int, Group *, void *); void *data; Group *group; int id; } Task;

static void *run_task(void *argument) {
  Task *task = argument;
  return (void *)(intptr_t)task->run(task->id, task->group, task->data);
}

static int launch(int (*run)(int, Group *, void *), void *data, int wanted) {
  Group group = {NULL, WORKERS};
  pthread_t threads[WORKERS];
  Task tasks[WORKERS];
  intptr_t failed = 0;
  for (int i = 0; i < WORKERS; i++) {
    tasks[i] = (Task){run, data, &group, i};
    pthread_create(&threads[i], NULL, run_task, &tasks[i]);
  }
  for (int i = 0; i < WORKERS; i++) {
    void *result;
    pthread_join(threads[i], &result);
    failed |= (intptr_t)result;
  }
  return (int)failed;
}

void TVMFFIErrorSetRaisedFromCStrParts(const char *kind, const char **parts, int32_t count) {
  fprintf(stderr, "%s: ", kind);
  for (int32_t i = 0; i < count; i++)
    if (parts[i]) fputs(parts[i], stderr);
}

static void take(void *to, size_t bytes) {
  if (fread(to, 1, bytes, stdin) != bytes) exit(3);
}

/* Each tensor: type code, bits, dimensions and bytes as int64, the shape, the data. */
static DLTensor tensor(int64_t *bytes) {
  int64_t head[4];
  take(head, sizeof head);
  int64_t *shape = calloc(head[2] + 1, sizeof *shape);
  take(shape, head[2] * sizeof *shape);
  void *data = aligned_alloc(64, (head[3] + 63) / 64 * 64);
  take(data, *bytes = head[3]);
  DLDataType type = {(uint8_t)head[0], (uint8_t)head[1], 1};
  return (DLTensor){data, {kDLCPU, 0}, (int32_t)head[2], type, shape, NULL, 0};
}

int main(int argc, char **argv) {
  void *library = argc == 3 ? dlopen(argv[1], RTLD_NOW) : NULL;
  TVMFFISafeCallType function = library ? (TVMFFISafeCallType)dlsym(library, argv[2]) : NULL;
  if (!function) return fprintf(stderr, "host LIBRARY FUNCTION: %s\n", dlerror()), 2;
  void **launcher = dlsym(library, "__TVMBackendParallelLaunch");
  if (launcher) *launcher = launch;
  DLTensor tensors[MOST];
  TVMFFIAny arguments[MOST] = {0}, result = {0};
  int64_t bytes[MOST], count;
  take(&count, sizeof count);
  for (int64_t i = 0; i < count; i++) {
    tensors[i] = tensor(&bytes[i]);
    arguments[i].type_index = kTVMFFIDLTensorPtr;
    arguments[i].v_ptr = &tensors[i];
  }
  if (function(NULL, arguments, (int32_t)count, &result)) return 1;
  for (int64_t i = 0; i < count; i++) fwrite(tensors[i].data, 1, bytes[i], stdout);
  return 0;
}
