/* Reads views in memory of a card: card SHARDS SOCKET SUBSCRIPTION prints the number of each sample and the sum of its first view.
 * With a fourth argument nobody says which stream reads. */
#include <dlfcn.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sslight_loader.h"

enum { MOST_BATCHES = 64 };

static SslightError error;
static void *driver;

static void must(SslightStatus status) {
    if (status == SSLIGHT_STATUS_OK) return;
    fprintf(stderr, "card: %s\n", error.text);
    exit(status);
}

/* Calls the driver's function of this name with up to four arguments; they are all as large as a pointer, or numbers. */
static void call(const char *name, uintptr_t a, uintptr_t b, uintptr_t c, uintptr_t d) {
    int (*function)(uintptr_t, uintptr_t, uintptr_t, uintptr_t);
    *(void **)&function = dlsym(driver, name);
    int failed = function == NULL ? -1 : function(a, b, c, d);
    if (failed != 0) {
        fprintf(stderr, "card: %s: %d\n", name, failed);
        exit(1);
    }
}

int main(int argc, char **argv) {
    if (argc < 4) return SSLIGHT_STATUS_USAGE;
    driver = dlopen("libcuda.so.1", RTLD_NOW);
    if (driver == NULL) return 1;
    uintptr_t context = 0, stream_of_card = 0;
    call("cuInit", 0, 0, 0, 0);
    call("cuDevicePrimaryCtxRetain", (uintptr_t)&context, 0, 0, 0);
    call("cuCtxSetCurrent", context, 0, 0, 0);
    call("cuStreamCreate", (uintptr_t)&stream_of_card, 1, 0, 0);

    const char *shards[] = {argv[1]};
    SslightHandle loader, stream;
    must(sslight_connect(SSLIGHT_ABI_VERSION, shards, 1, argv[2], NULL, 10000, &loader, &error));
    must(sslight_subscribe(loader, argv[3], &stream, &error));
    SslightStreamInfo info;
    must(sslight_describe(stream, &info, &error));
    if (info.not_on_card != NULL) fprintf(stderr, "not on the card: %s\n", info.not_on_card);
    else fprintf(stderr, "device %d %d\n", info.views[0].device_type, info.views[0].device_id);

    /* All copies are only asked for here; the card makes them when it likes. */
    const int64_t *shape = info.views[0].shape;
    size_t view_bytes = (size_t)(shape[2] * shape[3] * shape[4]), bytes = view_bytes * info.batch_size;
    unsigned char *copies[MOST_BATCHES];
    uint64_t *ids[MOST_BATCHES];
    size_t num_valid[MOST_BATCHES], num_batches = 0;
    SslightBatch batch;
    SslightStatus status;
    while ((status = sslight_next(stream, 60000, &batch, &error)) != SSLIGHT_STATUS_END) {
        must(status);
        if (num_batches == MOST_BATCHES) return 1;
        unsigned char *copy = copies[num_batches] = malloc(bytes);
        ids[num_batches] = malloc(info.batch_size * sizeof(uint64_t));
        memcpy(ids[num_batches], batch.ids, info.batch_size * sizeof(uint64_t));
        num_valid[num_batches++] = batch.num_valid;
        if (info.not_on_card != NULL) memcpy(copy, batch.views[0].data, bytes);
        else {
            call("cuMemcpyDtoHAsync_v2", (uintptr_t)copy, (uintptr_t)batch.views[0].data, bytes, stream_of_card);
            if (argc == 4) must(sslight_read_by(batch.handle, (void *)stream_of_card, &error));
        }
        must(sslight_release(batch.handle, &error));
    }
    call("cuStreamSynchronize", stream_of_card, 0, 0, 0);

    for (size_t b = 0; b < num_batches; b++) {
        for (size_t row = 0; row < num_valid[b]; row++) {
            uint64_t sum = 0;
            for (size_t i = 0; i < view_bytes; i++) sum += copies[b][row * view_bytes + i];
            printf("%" PRIu64 " %" PRIu64 "\n", ids[b][row], sum);
        }
        free(copies[b]);
        free(ids[b]);
    }
    must(sslight_release(stream, &error));
    must(sslight_release(loader, &error));
    return 0;
}
