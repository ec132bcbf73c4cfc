/* A stand-in for NVIDIA's driver library, for cuda.bindings to load: the host's memory is the GPU's, everything happens at once, a launched
   kernel is noted. What has no entry in the table below succeeds and does nothing. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef int status;
enum { INVALID = 1, NO_MEMORY = 2, ILLEGAL = 700 };

static uintptr_t handles = 0x1000;
static size_t most = 1 << 20;                       /* of one allocation */
static status sticky;

struct { long count; unsigned grid[3], threads[3], shared; int64_t first; void *function; } noted;
long noted_launches(void) { return noted.count; }
int64_t noted_first(void) { return noted.first; }
unsigned noted_grid(int axis) { return noted.grid[axis]; }
unsigned noted_threads(void) { return noted.threads[0]; }
void break_down(int with) { sticky = with; }

static status done() { return sticky; }
static status version(int *v) { *v = 13000; return 0; }
static status count(int *n) { *n = 1; return 0; }
static status device(int *d, int ordinal) { *d = ordinal; return ordinal ? INVALID : 0; }
static status name(char *text, int length, int d) { strncpy(text, "Stub GPU", length); return 0; }
static status attribute(int *v, int which, int d) { *v = which == 75 ? 9 : which == 76 ? 0 : which == 16 ? 132 : which == 97 ? 232448 : 1; return 0; }
static status capacity(size_t *n, int d) { *n = (size_t)80 << 30; return 0; }
static status handle(void **h) { *h = (void *)(handles += 16); return sticky; }
static status named(void **h, void *m, const char *n) { *h = (void *)(handles += 16); return strcmp(n, "absent") ? sticky : 500; }
static status allocate(uint64_t *p, size_t n) { if (n > most) return NO_MEMORY; *p = (uint64_t)malloc(n); return sticky; }
static status release(uint64_t p) { free((void *)p); return 0; }
static status pinned(void **p, size_t n, unsigned f) { *p = malloc(n); return sticky; }
static status release_pinned(void *p) { free(p); return 0; }
static status memory(size_t *f, size_t *t) { *f = 1 << 20; *t = 2 << 20; return 0; }
static status copy(uint64_t to, uint64_t from, size_t n, void *stream) { memcpy((void *)to, (void *)from, n); return sticky; }
static status fill(uint64_t to, unsigned char byte, size_t n, void *stream) { memset((void *)to, byte, n); return sticky; }
static status fill_words(uint64_t to, unsigned word, size_t n, void *stream) { while (n) ((unsigned *)to)[--n] = word; return sticky; }
static status error_name(int e, const char **text) { *text = "STUB_ERROR"; return 0; }
static status captured(void *stream, void **graph) { return handle(graph); }
static struct { long begun, started; int mode; } graphs;
long noted_graphs(int which) { return which == 0 ? graphs.begun : which == 1 ? graphs.started : graphs.mode; }
static status begin(void *stream, int mode) { graphs.begun++; graphs.mode = mode; return sticky; }
static status start(void *executable, void *stream) { graphs.started++; return sticky; }
static status launch(void *f, unsigned gx, unsigned gy, unsigned gz, unsigned tx, unsigned ty, unsigned tz, unsigned shared, void *stream,
                     void **arguments, void **extra) {
  noted.count++; noted.function = f; noted.shared = shared;
  noted.grid[0] = gx; noted.grid[1] = gy; noted.grid[2] = gz; noted.threads[0] = tx; noted.threads[1] = ty; noted.threads[2] = tz;
  noted.first = arguments ? *(int64_t *)arguments[0] : 0;
  return gy > 65535 ? INVALID : sticky;
}

status cuInit(unsigned flags) { return 0; }
status cuDriverGetVersion(int *v) { return version(v); }
status cuDeviceGetCount(int *n) { return count(n); }
status cuDeviceGet(int *d, int ordinal) { return device(d, ordinal); }
status cuDeviceGetName(char *t, int n, int d) { return name(t, n, d); }
status cuDeviceGetAttribute(int *v, int which, int d) { return attribute(v, which, d); }
status cuDeviceTotalMem_v2(size_t *n, int d) { return capacity(n, d); }

static const struct { const char *name; void *function; } table[] = {
  {"cuInit", cuInit}, {"cuDriverGetVersion", version}, {"cuDeviceGetCount", count}, {"cuDeviceGet", device}, {"cuDeviceGetName", name},
  {"cuDeviceGetAttribute", attribute}, {"cuDeviceTotalMem", capacity}, {"cuDevicePrimaryCtxRetain", handle}, {"cuStreamCreate", handle},
  {"cuEventCreate", handle}, {"cuMemAlloc", allocate}, {"cuMemFree", release}, {"cuMemHostAlloc", pinned}, {"cuMemFreeHost", release_pinned},
  {"cuMemGetInfo", memory}, {"cuMemcpyHtoDAsync", copy}, {"cuMemcpyDtoHAsync", copy}, {"cuMemcpyDtoDAsync", copy}, {"cuMemsetD8Async", fill},
  {"cuMemsetD32Async", fill_words},
  {"cuModuleLoadData", handle}, {"cuModuleGetFunction", named}, {"cuLaunchKernel", launch}, {"cuGetErrorName", error_name},
  {"cuStreamBeginCapture", begin}, {"cuStreamEndCapture", captured}, {"cuGraphInstantiate", handle}, {"cuGraphInstantiateWithFlags", handle},
  {"cuGraphLaunch", start}};

status cuGetProcAddress_v2(const char *wanted, void **found, int v, uint64_t flags, int *how) {
  if (how) *how = 0;
  *found = !strncmp(wanted, "cuGetProcAddress", 16) ? (void *)cuGetProcAddress_v2 : (void *)done;
  for (size_t i = 0; i < sizeof table / sizeof *table; i++)
    if (!strcmp(table[i].name, wanted)) *found = table[i].function;
  return 0;
}
status cuGetProcAddress(const char *wanted, void **found, int v, uint64_t flags) { return cuGetProcAddress_v2(wanted, found, v, flags, 0); }
