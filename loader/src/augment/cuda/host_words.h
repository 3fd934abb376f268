// CUDA's words for a compiler of the host, and a loop for its launches.
#include <cmath>
#include <cstddef>

#define __global__
#define __device__

using std::fabs;

struct Words { unsigned x, y, z; };
static thread_local Words blockIdx, threadIdx, blockDim;

// Threads run one after the other.
static unsigned atomicAdd(unsigned *sum, unsigned value) {
    unsigned before = *sum;
    *sum += value;
    return before;
}

struct View;

// Runs a kernel for blocks of `num_threads` threads, `num_blocks` for each view; the last thread first if `backward`.
extern "C" void run_threads(void (*kernel)(const View *, unsigned char *), unsigned num_blocks, unsigned num_threads, unsigned num_views,
                            const View *views, unsigned char *scratch, int backward) {
    blockDim = {num_threads, 1, 1};
    size_t num = (size_t)num_views * num_blocks * num_threads;
    for (size_t step = 0; step < num; step++) {
        size_t at = backward ? num - 1 - step : step;
        threadIdx = {(unsigned)(at % num_threads), 0, 0};
        blockIdx = {(unsigned)(at / num_threads % num_blocks), (unsigned)(at / num_threads / num_blocks), 0};
        kernel(views, scratch);
    }
}
