# The pool: arenas from the system, and the list of what is free in them (cpu.pyx says why; the caller of take() holds no lock,
# that of the others holds LOCK).
from libc.stdlib cimport realloc
from libc.string cimport memmove

cdef extern from *:
    """
    #if defined(_WIN32)
    #include <windows.h>
    static void* tgc_take(size_t bytes) { return VirtualAlloc(NULL, bytes, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE); }
    static void tgc_give(void* memory, size_t bytes) { (void)bytes; VirtualFree(memory, 0, MEM_RELEASE); }
    static void tgc_discard(void* memory, size_t bytes) { VirtualAlloc(memory, bytes, MEM_RESET, PAGE_READWRITE); }
    #define TGC_ARENA ((size_t)64 << 20)
    #else
    #include <stdint.h>
    #include <sys/mman.h>
    #ifndef MAP_ANONYMOUS
    #define MAP_ANONYMOUS MAP_ANON
    #endif
    #ifndef MAP_NORESERVE
    #define MAP_NORESERVE 0
    #endif
    #define TGC_HUGE ((uintptr_t)2 << 20)
    static void* tgc_take(size_t bytes) {                        /* begins on a huge page; what lies before and after is given back */
        char* memory = mmap(NULL, bytes + TGC_HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED) return NULL;
        char* start = (char*)(((uintptr_t)memory + TGC_HUGE - 1) & ~(TGC_HUGE - 1));
        if (start > memory) munmap(memory, start - memory);
        munmap(start + bytes, memory + TGC_HUGE - start);
    #if defined(__linux__) && defined(MADV_HUGEPAGE)
        madvise(start, bytes, MADV_HUGEPAGE);                    /* a wish: a kernel without them says no */
    #endif
        return start;
    }
    static void tgc_give(void* memory, size_t bytes) { munmap(memory, bytes); }
    static void tgc_discard(void* memory, size_t bytes) { madvise(memory, bytes, MADV_DONTNEED); }
    #define TGC_ARENA ((size_t)1 << 30)
    #endif
    """
    void* tgc_take(size_t bytes) nogil
    void tgc_give(void* memory, size_t bytes) nogil
    void tgc_discard(void* memory, size_t bytes) nogil
    const size_t TGC_ARENA

cdef enum:
    PAGE = 4096

ctypedef struct Extent:
    char* start
    Py_ssize_t bytes
    bint clean                      # never written since the system gave it (or took its memory back)

cdef PyThread_type_lock LOCK = PyThread_allocate_lock()
cdef Extent* FREE = NULL            # the free extents by address; neighbours of one kind are one extent
cdef Py_ssize_t FREES = 0, ROOM = 0
cdef Extent* ARENAS = NULL          # what the system gave
cdef Py_ssize_t ARENA_COUNT = 0
cdef Py_ssize_t BLOCKS = 0         # how many are alive
cdef Py_ssize_t IN_USE = 0          # bytes asked for by the blocks alive
cdef Py_ssize_t PEAK = 0            # the most that IN_USE was
cdef Py_ssize_t CACHED = 0          # bytes of free extents that are not clean


cdef inline Py_ssize_t pages(Py_ssize_t nbytes) noexcept nogil:
    """nbytes, at least 1, rounded up to whole pages."""
    return (max(nbytes, 1) + PAGE - 1) & ~<Py_ssize_t>(PAGE - 1)


cdef bint make_room(Py_ssize_t more) noexcept nogil:
    """Whether the list of free extents has room for `more` of them."""
    global FREE, ROOM
    cdef void* grown
    if FREES + more > ROOM:
        grown = realloc(FREE, 2 * (FREES + more) * sizeof(Extent))
        if grown == NULL:
            return False
        FREE, ROOM = <Extent*>grown, 2 * (FREES + more)
    return True


cdef void put(char* start, Py_ssize_t bytes, bint clean) noexcept nogil:
    """Add a free extent, joined with those of its kind beside it. There is room: a block is taken only where there is."""
    global FREES
    cdef Py_ssize_t at = FREES
    while at > 0 and FREE[at - 1].start > start:
        at -= 1
    cdef bint before = at > 0 and FREE[at - 1].clean == clean and FREE[at - 1].start + FREE[at - 1].bytes == start
    cdef bint after = at < FREES and FREE[at].clean == clean and start + bytes == FREE[at].start
    if before and after:
        FREE[at - 1].bytes += bytes + FREE[at].bytes
        remove(at)
    elif before:
        FREE[at - 1].bytes += bytes
    elif after:
        FREE[at].start, FREE[at].bytes = start, bytes + FREE[at].bytes
    else:
        memmove(FREE + at + 1, FREE + at, (FREES - at) * sizeof(Extent))
        FREE[at].start, FREE[at].bytes, FREE[at].clean = start, bytes, clean
        FREES += 1


cdef void remove(Py_ssize_t at) noexcept nogil:
    """Take one extent off the list."""
    global FREES
    FREES -= 1
    memmove(FREE + at, FREE + at + 1, (FREES - at) * sizeof(Extent))


cdef char* cut(Py_ssize_t at, Py_ssize_t bytes) noexcept nogil:
    """The first bytes of a free extent, which are free no longer."""
    global CACHED
    cdef char* start = FREE[at].start
    if not FREE[at].clean:
        CACHED -= bytes
    FREE[at].start += bytes
    FREE[at].bytes -= bytes
    if FREE[at].bytes == 0:
        remove(at)
    return start


cdef char* find(Py_ssize_t bytes) noexcept nogil:
    """Bytes from the smallest used extent that holds them; else from a clean one, begun in a used one that ends where it begins."""
    cdef Py_ssize_t i, best = -1, begun
    cdef char* start
    for i in range(FREES):
        if not FREE[i].clean and FREE[i].bytes >= bytes and (best < 0 or FREE[i].bytes < FREE[best].bytes):
            best = i
    if best >= 0:
        return cut(best, bytes)
    for i in range(FREES):
        if not FREE[i].clean:
            continue
        begun = FREE[i - 1].bytes if i > 0 and FREE[i - 1].start + FREE[i - 1].bytes == FREE[i].start else 0
        if begun + FREE[i].bytes >= bytes:
            start = FREE[i].start - begun
            cut(i, bytes - begun)
            if begun:
                cut(i - 1, begun)
            return start
    return NULL


cdef bint add_arena(Py_ssize_t bytes) noexcept nogil:
    """A new clean extent of at least so many bytes. Its last page is never used, so that arenas beside each other stay apart."""
    global ARENAS, ARENA_COUNT
    cdef Py_ssize_t size = max(bytes + PAGE, <Py_ssize_t>TGC_ARENA)
    cdef void* grown = realloc(ARENAS, (ARENA_COUNT + 1) * sizeof(Extent))
    cdef char* start
    if grown == NULL:
        return False
    ARENAS = <Extent*>grown
    start = <char*>tgc_take(size)
    if start == NULL:
        size = bytes + PAGE
        start = <char*>tgc_take(size)
    if start == NULL:
        return False
    ARENAS[ARENA_COUNT].start, ARENAS[ARENA_COUNT].bytes = start, size
    ARENA_COUNT += 1
    put(start, size - PAGE, True)
    return True


cdef void* take(Py_ssize_t nbytes) noexcept nogil:
    """Pages for nbytes: free ones, or new ones from the system, or from there once the cache is given back; NULL if there are none."""
    global IN_USE, PEAK
    cdef Py_ssize_t bytes = pages(nbytes)
    cdef char* memory = NULL
    PyThread_acquire_lock(LOCK, 1)
    if make_room(ARENA_COUNT + BLOCKS + 4):         # every block alive may become an extent of its own
        memory = find(bytes)
        if memory == NULL and (add_arena(bytes) or (drop_cache() and add_arena(bytes))):
            memory = find(bytes)
    if memory != NULL:
        count(nbytes, 1)
        PEAK = max(PEAK, IN_USE)
    PyThread_release_lock(LOCK)
    return memory


cdef inline void count(Py_ssize_t nbytes, int blocks) noexcept nogil:
    """One block more, or one less."""
    global IN_USE, BLOCKS
    IN_USE += nbytes if blocks > 0 else -nbytes
    BLOCKS += blocks


cdef bint drop_cache() noexcept nogil:
    """Give the memory of every free extent back to the system, and arenas that are all free; True. The caller holds LOCK."""
    global CACHED, FREES, ARENA_COUNT
    cdef Py_ssize_t i, kept = FREES, arena
    cdef Extent extent
    FREES = 0
    for i in range(kept):                            # put() never writes past what has been read
        extent = FREE[i]
        if not extent.clean:
            tgc_discard(extent.start, extent.bytes)
        put(extent.start, extent.bytes, True)
    CACHED = 0
    for arena in range(ARENA_COUNT - 1, -1, -1):
        for i in range(FREES):
            if FREE[i].start == ARENAS[arena].start and FREE[i].bytes == ARENAS[arena].bytes - PAGE:
                tgc_give(ARENAS[arena].start, ARENAS[arena].bytes)
                remove(i)
                ARENA_COUNT -= 1
                ARENAS[arena] = ARENAS[ARENA_COUNT]
                break
    return True
