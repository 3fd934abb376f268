// CUDA's words for a compiler of the host, and a loop for its launches.
#pragma once
#include <cmath>
#include <cstddef>

#define __global__
#define __device__

using std::fabs;

struct Words { unsigned x, y, z; };
inline thread_local Words blockIdx, threadIdx, blockDim, gridDim;

// Threads run one after the other.
inline unsigned atomicAdd(unsigned *sum, unsigned value) {
    unsigned before = *sum;
    *sum += value;
    return before;
}

// Runs a kernel for blocks of `num_threads` threads, `num_blocks` for each descriptor; the last thread first if `backward`.
typedef void (*Kernel)(const void *, unsigned char *);
extern "C" __attribute__((used)) inline void run_threads(Kernel kernel, unsigned num_blocks, unsigned num_threads, unsigned num_descriptors, const void *descriptors,
                                   unsigned char *scratch, int backward) {
    blockDim = {num_threads, 1, 1};
    gridDim = {num_blocks, num_descriptors, 1};
    size_t num = (size_t)num_descriptors * num_blocks * num_threads;
    for (size_t step = 0; step < num; step++) {
        size_t at = backward ? num - 1 - step : step;
        threadIdx = {(unsigned)(at % num_threads), 0, 0};
        blockIdx = {(unsigned)(at / num_threads % num_blocks), (unsigned)(at / num_threads / num_blocks), 0};
        kernel(descriptors, scratch);
    }
}
