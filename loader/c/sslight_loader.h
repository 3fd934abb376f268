/* The sslight loader's client for C and whatever calls C: views of images for training, made by a daemon and read without a copy.
 *
 *     connect -> subscribe -> next, release, next, release, ... -> release the stream -> release the loader
 *
 * loader/README.md says what it is for, how to build and link it, and has an example. Every function answers with a status and, where an error is
 * passed, with words. Handles may be used from any thread; a stream serves one thread at a time.
 *
 * Made by cbindgen from loader/c/src; do not edit. */

#ifndef SSLIGHT_LOADER_H
#define SSLIGHT_LOADER_H

#include <stddef.h>
#include <stdint.h>

// Version of these functions and structures; `sslight_connect` compares it with that of the library.
#define SSLIGHT_ABI_VERSION 2

// Bytes of an error's text, the closing zero included.
#define SSLIGHT_ERROR_BYTES 1024

// DLPack's number for main memory (`kDLCPU`).
#define SSLIGHT_DEVICE_CPU 1

// DLPack's number for memory of an NVIDIA card (`kDLCUDA`).
#define SSLIGHT_DEVICE_CUDA 2

// How a call went. The numbers from 2 to 6 are the exit codes of the project's programs.
enum SslightStatus
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // Done.
  SSLIGHT_STATUS_OK = 0,
  // Something was asked for that makes no sense, or not here.
  SSLIGHT_STATUS_USAGE = 2,
  // The data are at fault.
  SSLIGHT_STATUS_DATA = 3,
  // The machine lacks memory, descriptors, threads or permission.
  SSLIGHT_STATUS_RESOURCES = 4,
  // The library is at fault.
  SSLIGHT_STATUS_LIBRARY = 5,
  // The loader is gone, silent, or not what it should be. Connect anew, and subscribe from the last batch's `next_epoch` and `next_step`.
  SSLIGHT_STATUS_PEER_LOST = 6,
  // The stream has delivered its last batch.
  SSLIGHT_STATUS_END = 10,
  // No batch came in time although the loader lives. The stream goes on.
  SSLIGHT_STATUS_TIMED_OUT = 11,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum SslightStatus SslightStatus;
#else
typedef int32_t SslightStatus;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// A loader, a stream or a batch. No handle is ever 0, and none is used again for something else.
typedef uint64_t SslightHandle;

// Why a call failed: what happened; where; what to do. UTF-8, closed by a zero; empty after a call that succeeded.
typedef struct SslightError {
  // The sentence. What is longer is cut.
  char text[SSLIGHT_ERROR_BYTES];
} SslightError;

// All views of one size: `uint8 [num_views, batch_size, height, width, 3]`, without gaps, last index fastest, red first.
typedef struct SslightViews {
  // The pixels, memory that is shared with the loader and only to be read; NULL in a stream's description. On a card, the card's address.
  const uint8_t *data;
  // Number of views, of samples, of lines, of pixels in a line, and 3.
  int64_t shape[5];
  // Where the pixels lie, in DLPack's words: `SSLIGHT_DEVICE_CPU`, or `SSLIGHT_DEVICE_CUDA` if a card was asked for and can be had.
  int32_t device_type;
  // Number of the device, as CUDA counts in this process; 0 for main memory.
  int32_t device_id;
} SslightViews;

// What a stream will deliver. Its pointers are good until the stream is released.
typedef struct SslightStreamInfo {
  // Process id of the loader.
  int32_t loader_pid;
  // Samples in a batch.
  uint32_t batch_size;
  // Batches that fit into shared memory: those that are held and those that are made ahead.
  uint32_t num_slots;
  // Samples of an epoch, those left out at its end included.
  uint64_t num_samples;
  // How many of them have no label.
  uint64_t num_unlabelled;
  // Batches per epoch.
  uint64_t steps_per_epoch;
  // Batches of the whole stream.
  uint64_t num_batches;
  // Number of classes.
  size_t num_classes;
  // Names of the classes, by label.
  const char *const *classes;
  // Number of arrays of views in each batch, one for each run of views of one size.
  size_t num_groups;
  // Their shapes.
  const struct SslightViews *views;
  // Why the views lie in main memory although a card was asked for; else NULL.
  const char *not_on_card;
} SslightStreamInfo;

// A batch. Its pointers are good until it is released, whatever becomes of its stream.
typedef struct SslightBatch {
  // What to release once the batch is no longer needed. Each batch holds one slot of its stream.
  SslightHandle handle;
  // Epoch, from 0.
  uint64_t epoch;
  // Step within the epoch, from 0.
  uint64_t step;
  // Where a stream goes on after this batch: its `start_epoch`.
  uint64_t next_epoch;
  // And its `start_step`.
  uint64_t next_step;
  // Samples of this batch. They are the first of every array; what follows is padding.
  size_t num_valid;
  // `[batch_size]`, positions in the stream's classes; -1 where there is none.
  const int64_t *labels;
  // `[batch_size]`, numbers of the samples in their split.
  const uint64_t *ids;
  // Number of arrays of views.
  size_t num_groups;
  // The arrays.
  const struct SslightViews *views;
} SslightBatch;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// `SSLIGHT_ABI_VERSION` of the library.
uint32_t sslight_abi_version(void);

// Finds the loader that serves a data set, or starts one that ends with its last user.
//
// `abi_version` is `SSLIGHT_ABI_VERSION`. `shards` are the `num_shards` folders of the packed data set. `socket` is where the loader listens;
// NULL means the data set's own place. `program` is the `loader` to start where none answers, a path or a name to look for in `PATH`; NULL starts
// none. `timeout_ms` is how long a loader may take for an answer (one that is started has a minute more). `*loader` becomes the handle.
//
// # Safety
// Texts are closed by a zero, `shards` has `num_shards` of them, and `loader` and `error` lead to memory of their types. `error` may be NULL.
SslightStatus sslight_connect(uint32_t abi_version,
                              const char *const *shards,
                              size_t num_shards,
                              const char *socket,
                              const char *program,
                              uint64_t timeout_ms,
                              SslightHandle *loader,
                              struct SslightError *error);

// Subscribes to batches, and makes `*stream` the handle.
//
// `subscription` is a JSON object; NULL is `{}`. Its keys, all optional: `split` ("train"), `recipe` (a name: "sslight", "dino", "swav", "moco",
// "simclr", "supervised", "val"; or an object, as `loader preview --recipe` reads it), `batch_size` (256), `rank` (0) of `world_size` (1),
// `seed` (0), `order` ("shuffled" or "sequential"), `drop_last` (true), `start_epoch` and `start_step` (0), `num_epochs` (1, the first included),
// `num_slots` (null: the loader's choice), `subset` (null, or names of images), `name` (what `loader status` shows), `card` (null, or the number of
// CUDA's device, which this process must see, whose memory shall hold the views; where the loader cannot make them there, `sslight_describe` says why, and they lie in main memory).
//
// # Safety
// `subscription` is closed by a zero; `stream` and `error` lead to memory of their types. `error` may be NULL.
SslightStatus sslight_subscribe(SslightHandle loader,
                                const char *subscription,
                                SslightHandle *stream,
                                struct SslightError *error);

// Tells what a stream will deliver.
//
// # Safety
// `info` and `error` lead to memory of their types. `error` may be NULL.
SslightStatus sslight_describe(SslightHandle stream,
                               struct SslightStreamInfo *info,
                               struct SslightError *error);

// Waits for the next batch, at most `timeout_ms`: `SSLIGHT_STATUS_OK`, and the batch is to be released; `SSLIGHT_STATUS_END` after the
// last one; `SSLIGHT_STATUS_TIMED_OUT`, after which one may ask again.
//
// Batches that are held may be released in any order, by any thread. But each holds a slot, so whoever holds all of them waits in vain.
//
// # Safety
// `batch` and `error` lead to memory of their types. `error` may be NULL.
SslightStatus sslight_next(SslightHandle stream,
                           uint64_t timeout_ms,
                           struct SslightBatch *batch,
                           struct SslightError *error);

// Says that a stream of the card (`CUstream` or `cudaStream_t`) reads the views of a batch: what it is asked to do before the batch is released is done before the
// slot is filled anew. It is a stream of the card's primary context, as those of CUDA's runtime are; NULL is the default stream. Where nobody says so, all streams of that
// context are waited for when the next batch is asked for.
//
// # Safety
// `stream` is one of the card's until the batch is released; `error` leads to memory of its type, or is NULL.
SslightStatus sslight_read_by(SslightHandle batch,
                              void *stream,
                              struct SslightError *error);

// Lets go of a batch, a stream or a loader, in any order: batches outlive their stream, streams their loader. A forked process may so let go of
// what it inherited, which takes nothing from the process that forked it.
//
// # Safety
// `error` leads to memory of its type, or is NULL. Nothing reads any more what the handle's structures point to.
SslightStatus sslight_release(SslightHandle handle,
                              struct SslightError *error);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* SSLIGHT_LOADER_H */
