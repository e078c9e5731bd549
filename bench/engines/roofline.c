/* What this machine can do at most: streaming reads, and multiply-adds in registers.
 *
 *     cc -O3 -march=native -pthread roofline.c -o roofline && ./roofline THREADS SECONDS MIB
 *
 * Prints one JSON line of 1e9 bytes or operations a second over all threads, a multiply-add being two.
 * Each rate is of the instructions that our kernels use on this CPU: bf16 is the faster of VDPBF16PS and f32's FMA,
 * int8 and int4 are VPDPBUSD or else VPMADDWD (8 bits) and VPMADDUBSW (4 bits) with an addition.
 * Rates that need an instruction the CPU lacks are left out. */
#if defined(__x86_64__)
#include <immintrin.h>
#endif
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct {
  double (*pass)(void *); /* does some work, returns how much: bytes or operations */
  double seconds, rate;
  char *buf;
  size_t bytes;
  pthread_barrier_t *gate;
  volatile int64_t sink; /* keeps results alive */
} job;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + 1e-9 * t.tv_nsec;
}

/* CHAINS independent sums hide the latency and leave registers for the operands. They are variables, for an
 * array may end up in memory. REPS make a pass long enough for the clock. HIDE keeps the compiler from
 * computing ahead what it could know. */
#define CHAINS 12
#define EACH(does) \
  does(0) does(1) does(2) does(3) does(4) does(5) does(6) does(7) does(8) does(9) does(10) does(11)
#define REPS 20000
#define HIDE(x) __asm__ volatile("" : "+v"(x))

/* Defines a pass: STEP(k) adds to sum k a product of x, `counted` operations. All begin as x, but the
 * compiler must not know, or one chain would do. */
#define CHAINED(name, type, operand, counted) \
  static double name(void *p) {               \
    type x = operand;                         \
    EACH(BEGIN_##type)                        \
    for (int r = 0; r < REPS; r++) {          \
      HIDE(x);                                \
      EACH(STEP_##name)                       \
    }                                         \
    EACH(END)                                 \
    ((job *)p)->sink++;                       \
    return (double)(counted) * CHAINS * REPS; \
  }
#define BEGIN___m256(k) __m256 sum##k = x; HIDE(sum##k);
#define BEGIN___m256i(k) __m256i sum##k = x; HIDE(sum##k);
#define BEGIN___m512(k) __m512 sum##k = x; HIDE(sum##k);
#define BEGIN___m512i(k) __m512i sum##k = x; HIDE(sum##k);
#define END(k) HIDE(sum##k);

#if defined(__AVX512F__)
#define STEP_fp32_pass(k) sum##k = _mm512_fmadd_ps(sum##k, x, x);
CHAINED(fp32_pass, __m512, _mm512_set1_ps(0.9999f), 2 * 16)
#define FP32 fp32_pass
#elif defined(__FMA__)
#define STEP_fp32_pass(k) sum##k = _mm256_fmadd_ps(sum##k, x, x);
CHAINED(fp32_pass, __m256, _mm256_set1_ps(0.9999f), 2 * 8)
#define FP32 fp32_pass
#else
#define FP32 NULL
#endif

#if defined(__AVX512BF16__)
#define STEP_bf16_pass(k) sum##k = _mm512_dpbf16_ps(sum##k, (__m512bh)x, (__m512bh)x);
CHAINED(bf16_pass, __m512, _mm512_set1_ps(1.0f), 2 * 32)
#define BF16 bf16_pass
#else
#define BF16 FP32
#endif

/* In assembly: the product does not depend on the sum, and would be computed once for all. */
#define ADD_PRODUCT(multiply, add, k) \
  __asm__ volatile(multiply " %1, %1, %%ymm15\n\t" add " %%ymm15, %0, %0" : "+x"(sum##k) : "x"(x) : "xmm15");

#if defined(__AVX512VNNI__)
#define STEP_int8_pass(k) sum##k = _mm512_dpbusd_epi32(sum##k, x, x);
CHAINED(int8_pass, __m512i, _mm512_set1_epi8(1), 2 * 64)
#define INT8 int8_pass
#define INT4 int8_pass
#elif defined(__AVX2__)
#define STEP_int8_pass(k) ADD_PRODUCT("vpmaddwd", "vpaddd", k)
CHAINED(int8_pass, __m256i, _mm256_set1_epi16(1), 2 * 16)
#define STEP_int4_pass(k) ADD_PRODUCT("vpmaddubsw", "vpaddw", k)
CHAINED(int4_pass, __m256i, _mm256_set1_epi8(1), 2 * 32)
#define INT8 int8_pass
#define INT4 int4_pass
#else
#define INT8 NULL
#define INT4 NULL
#endif

/* Eight sums of the widest loads there are. */
#if defined(__AVX512F__)
typedef __m512i vector;
#define ADD _mm512_add_epi64
#elif defined(__AVX2__)
typedef __m256i vector;
#define ADD _mm256_add_epi64
#else
typedef uint64_t vector;
#define ADD(a, b) ((a) + (b))
#endif

static double read_pass(void *p) {
  job *j = p;
  vector sums[8];
  memset(sums, 0, sizeof sums);
  const vector *v = (const vector *)j->buf, *end = v + j->bytes / sizeof(vector) / 8 * 8;
  for (; v < end; v += 8)
    for (int k = 0; k < 8; k++) sums[k] = ADD(sums[k], v[k]);
  for (int k = 1; k < 8; k++) sums[0] = ADD(sums[0], sums[k]);
  int64_t low;
  memcpy(&low, sums, sizeof low);
  j->sink += low;
  return (double)j->bytes;
}

static void *work(void *p) {
  job *j = p;
  j->pass(j);
  pthread_barrier_wait(j->gate);
  double begun = now(), done = 0, spent;
  do {
    done += j->pass(j);
    spent = now() - begun;
  } while (spent < j->seconds);
  j->rate = done / spent;
  return NULL;
}

static double measure(double (*pass)(void *), int threads, double seconds, char **bufs, size_t bytes) {
  pthread_t ids[threads];
  job jobs[threads];
  pthread_barrier_t gate;
  pthread_barrier_init(&gate, NULL, threads);
  for (int t = 0; t < threads; t++) {
    jobs[t] = (job){.pass = pass, .seconds = seconds, .buf = bufs[t], .bytes = bytes, .gate = &gate};
    pthread_create(&ids[t], NULL, work, &jobs[t]);
  }
  double rate = 0;
  for (int t = 0; t < threads; t++) {
    pthread_join(ids[t], NULL);
    rate += jobs[t].rate;
  }
  pthread_barrier_destroy(&gate);
  return rate;
}

int main(int argc, char **argv) {
  if (argc != 4) {
    fprintf(stderr, "usage: roofline THREADS SECONDS MIB\n");
    return 2;
  }
  int threads = atoi(argv[1]);
  double seconds = atof(argv[2]);
  size_t bytes = ((size_t)atol(argv[3]) << 20) / threads / 4096 * 4096;
  char *bufs[threads];
  for (int t = 0; t < threads; t++) {
    bufs[t] = aligned_alloc(4096, bytes);
    if (!bufs[t]) return 1;
    memset(bufs[t], 1, bytes);
  }
  struct { const char *name; double (*pass)(void *); } rates[] = {
      {"read", read_pass}, {"fp32", FP32}, {"bf16", BF16}, {"int8", INT8}, {"int4", INT4}};
  printf("{\"threads\": %d", threads);
  double before = 0; /* the rate of the row above: bf16 is FP32's where its own instruction is slower */
  for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
    if (!rates[i].pass) continue;
    double rate = measure(rates[i].pass, threads, seconds, bufs, bytes) / 1e9;
    if (rates[i].pass == BF16 && rate < before) rate = before;
    printf(", \"%s\": %.2f", rates[i].name, rate);
    before = rate;
  }
  printf("}\n");
  return 0;
}
