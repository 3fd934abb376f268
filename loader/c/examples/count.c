/* Counts the images of each class in one epoch, and tells how bright they are.
 *
 * usage: count SHARDS [SOCKET]    SHARDS is a packed data set; a loader is started (from PATH) where none serves it
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "sslight_loader.h"

static SslightError error;

/* Ends the program, with the loader's words, if a call failed. */
static void must(SslightStatus status) {
    if (status == SSLIGHT_STATUS_OK) return;
    fprintf(stderr, "count: %s\n", error.text);
    exit(status);
}

/* Sum of all values of the first view of each sample of the batch. Views lie one after the other: [num_views, batch_size, height, width, 3]. */
static uint64_t sum_of_first_view(const SslightBatch *batch, uint64_t *num_values) {
    const SslightViews *views = &batch->views[0];
    size_t num = batch->num_valid * (size_t)(views->shape[2] * views->shape[3] * views->shape[4]);
    uint64_t sum = 0;
    for (size_t i = 0; i < num; i++) sum += views->data[i];
    *num_values += num;
    return sum;
}

int main(int argc, char **argv) {
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: count SHARDS [SOCKET]\n");
        return SSLIGHT_STATUS_USAGE;
    }
    const char *shards[] = {argv[1]};
    const char *socket = argc == 3 ? argv[2] : NULL;
    SslightHandle loader, stream;
    must(sslight_connect(SSLIGHT_ABI_VERSION, shards, 1, socket, "loader", 10000, &loader, &error));
    must(sslight_subscribe(loader, "{\"split\": \"train\", \"recipe\": \"val\", \"batch_size\": 32, \"drop_last\": false}", &stream, &error));
    SslightStreamInfo info;
    must(sslight_describe(stream, &info, &error));

    uint64_t *counts = calloc(info.num_classes + 1, sizeof *counts), sum = 0, num_values = 0;
    if (counts == NULL) return SSLIGHT_STATUS_RESOURCES;
    SslightBatch batch;
    SslightStatus status;
    while ((status = sslight_next(stream, 60000, &batch, &error)) != SSLIGHT_STATUS_END) {
        must(status);
        for (size_t i = 0; i < batch.num_valid; i++) {
            uint64_t label = (uint64_t)batch.labels[i]; /* of -1, which is no label, this makes the largest number */
            counts[label < info.num_classes ? label : info.num_classes]++;
        }
        sum += sum_of_first_view(&batch, &num_values);
        must(sslight_release(batch.handle, &error)); /* the memory goes back to the loader */
    }

    for (size_t label = 0; label < info.num_classes; label++) printf("%8" PRIu64 " %s\n", counts[label], info.classes[label]);
    printf("%8" PRIu64 " images of %s, mean value %.3f\n", info.num_samples, argv[1], (double)sum / (double)num_values);
    free(counts);
    must(sslight_release(stream, &error));
    must(sslight_release(loader, &error));
    return 0;
}
