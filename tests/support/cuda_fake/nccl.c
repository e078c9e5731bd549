/* NCCL among processes of one machine, for the fake driver: parts go by a file in shared memory.

   As with NCCL a call returns at once, work is done in the order of the stream or of the graph that
   captured it, whoever waits for a rank that has gone waits until it is aborted, an abort returns when no
   graph has launches of the group any more, and one GPU is no two ranks. What differs: of ranks that do
   not gather as many bytes all learn it.

   RAYLAX_FAKE_NCCL_TARDY milliseconds that a gathering takes to begin (0). */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define MOST 16
#define CAPACITY (1 << 20)
#define INVALID_ARGUMENT 4
#define INVALID_USAGE 5
#define IN_PROGRESS 7

extern int fake_push_call(int (*run)(void *), void (*gone)(void *), void *given), fake_lost(void);
extern int fake_physical(int), fake_device(int), fake_is_capturing(void);

typedef struct { char data[128]; } Name;
typedef struct {
  volatile long long came[MOST], size[2][MOST];
  volatile int device[MOST], present[MOST], wrong;
  char parts[2][MOST][CAPACITY];
} Meeting;
typedef struct { Name name; Meeting *meeting; int rank, world, aborted; volatile int captured; long long calls; double until; } Comm;
typedef struct { Comm *comm; const char *own; char *all; size_t size; int captured; } Gathering;

static void nap(void) { struct timespec t = {0, 20000}; nanosleep(&t, NULL); }
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec * 1e-9; }

int ncclGetVersion(int *version) { *version = 23203; return 0; }
const char *ncclGetErrorString(int code) {
  return code == INVALID_ARGUMENT ? "invalid argument" : code == INVALID_USAGE ? "invalid usage" : "unhandled cuda error";
}
const char *ncclGetLastError(void *comm) { return "of the fake NCCL"; }
/* Its sockets must be on loopback. */
static int is_private(void) {
  const char *interface = getenv("NCCL_SOCKET_IFNAME"), *ras = getenv("NCCL_RAS_ENABLE");
  return interface && !strcmp(interface, "lo") && ras && !strcmp(ras, "0");
}
int ncclGetUniqueId(Name *name) {
  if (!is_private()) return INVALID_USAGE;
  int random = open("/dev/urandom", O_RDONLY);
  unsigned char bytes[16];
  if (read(random, bytes, 16) != 16) return 1;
  close(random);
  memset(name, 0, sizeof *name);
  /* Not in /dev/shm: tests that run beside this one look there for what ranks have left. */
  size_t length = strlen(strcpy(name->data, "/tmp/raylax-fake-nccl-"));
  for (int i = 0; i < 16; i++) sprintf(name->data + length + 2 * i, "%02x", bytes[i]);
  return 0;
}
int ncclCommInitRankConfig(void **made, int world, Name name, int rank, void *config) {
  if (world > MOST || rank >= world) return INVALID_ARGUMENT;
  if (!is_private()) return INVALID_USAGE;
  int file = open(name.data, O_RDWR | O_CREAT, 0600);
  if (file < 0 || ftruncate(file, sizeof(Meeting))) return 1;
  Comm *comm = calloc(1, sizeof *comm);
  comm->meeting = mmap(NULL, sizeof(Meeting), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  comm->name = name, comm->rank = rank, comm->world = world;
  comm->meeting->device[rank] = fake_physical(fake_device(-1));
  __sync_synchronize();
  comm->meeting->present[rank] = 1;
  *made = comm;
  const char *tardy = getenv("RAYLAX_FAKE_NCCL_TARDY");
  comm->until = now() + (tardy ? atof(tardy) : 0) * 1e-3;
  return IN_PROGRESS;
}
int ncclCommGetAsyncError(Comm *comm, int *state) {
  Meeting *at = comm->meeting;
  *state = at->wrong;
  if (at->wrong) return 0;
  for (int r = 0; r < comm->world; r++) {
    if (!at->present[r]) { *state = IN_PROGRESS; return 0; }
    for (int s = 0; s < r; s++) if (at->device[r] == at->device[s]) *state = INVALID_USAGE;
  }
  unlink(comm->name.data);
  if (*state == 0 && now() < comm->until) *state = IN_PROGRESS;
  return 0;
}
/* One piece of a part, on the stream: published, and those of the others taken when they are there. Of two
   buffers one is free: who comes to the piece after next has seen all others take this one. */
static int exchange(Comm *comm, const char *own, char *all, size_t whole, size_t size) {
  Meeting *at = comm->meeting;
  long long turn = ++comm->calls;
  memcpy(at->parts[turn & 1][comm->rank], own, size);
  at->size[turn & 1][comm->rank] = size;
  __sync_synchronize();
  at->came[comm->rank] = turn;
  for (int r = 0; r < comm->world; r++) {
    while (at->came[r] < turn) { if (comm->aborted || at->wrong) return 1; nap(); }
    if (at->size[turn & 1][r] != (long long)size) { at->wrong = INVALID_ARGUMENT; return 1; }
    memcpy(all + r * whole, at->parts[turn & 1][r], size);
  }
  return 0;
}
static int gather(void *given) {
  Gathering *one = given;
  char *own = malloc(one->size ? one->size : 1);
  memcpy(own, one->own, one->size);
  for (size_t first = 0; first < one->size; first += CAPACITY) {
    size_t size = one->size - first < CAPACITY ? one->size - first : CAPACITY;
    if (exchange(one->comm, own + first, one->all + first, one->size, size)) break;
  }
  free(own);
  int lost = fake_lost();
  if (!one->captured) free(one);
  return lost;
}
static void forgotten(void *given) { ((Gathering *)given)->comm->captured--; free(given); }
int ncclAllGather(const void *own, void *all, size_t count, int kind, Comm *comm, void *stream) {
  if (kind != 1) return INVALID_ARGUMENT;
  if (comm->aborted) return INVALID_USAGE;
  if ((char *)all + comm->rank * count != own) return INVALID_ARGUMENT;
  Gathering *one = malloc(sizeof *one);
  *one = (Gathering){comm, own, all, count, fake_is_capturing()};
  if (one->captured) comm->captured++;
  int failed = fake_push_call(gather, forgotten, one);
  const char *tardy = getenv("RAYLAX_FAKE_NCCL_TARDY");
  if (!tardy) return failed ? 1 : 0;
  comm->until = now() + atof(tardy) * 1e-3;
  return failed ? 1 : IN_PROGRESS;
}
int ncclCommAbort(Comm *comm) {
  comm->aborted = 1;
  unlink(comm->name.data);
  while (comm->captured) nap();
  return 0;
}
