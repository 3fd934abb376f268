/* Calls that are wrong, and a loader that dies: each is a status and words, and what was right before goes on.
 *
 * usage: misuse SHARDS SOCKET    the loader at SOCKET is killed at the end
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sslight_loader.h"

#define EXPECT(call, status, words) expect(__LINE__, call, SSLIGHT_STATUS_##status, words)
#define OK(call) EXPECT(call, OK, "")
#define MOMENT_MS 50
#define PATIENCE_MS 120000

static SslightError error;

static void expect(int line, SslightStatus status, SslightStatus wanted, const char *words) {
    int is_told = status == SSLIGHT_STATUS_OK || status == SSLIGHT_STATUS_END ? error.text[0] == 0 : strstr(error.text, words) != NULL;
    if (status == wanted && is_told) return;
    fprintf(stderr, "misuse.c:%d: status %d: %s\n", line, (int)status, error.text);
    exit(1);
}

static SslightHandle subscribed(SslightHandle loader, const char *subscription) {
    SslightHandle stream;
    OK(sslight_subscribe(loader, subscription, &stream, &error));
    return stream;
}

static void wrong_arguments(const char *shards, const char *socket) {
    const char *folders[] = {shards}, *nothing[] = {NULL};
    SslightHandle loader, stream;
    EXPECT(sslight_connect(99, folders, 1, socket, NULL, MOMENT_MS, &loader, &error), USAGE, "version mismatch");
    EXPECT(sslight_connect(SSLIGHT_ABI_VERSION, NULL, 1, socket, NULL, MOMENT_MS, &loader, &error), USAGE, "names no folder");
    EXPECT(sslight_connect(SSLIGHT_ABI_VERSION, nothing, 1, socket, NULL, MOMENT_MS, &loader, &error), USAGE, "`shards[0]` is NULL");
    EXPECT(sslight_connect(SSLIGHT_ABI_VERSION, folders, 1, socket, NULL, MOMENT_MS, NULL, &error), USAGE, "`loader` is NULL");
    EXPECT(sslight_connect(SSLIGHT_ABI_VERSION, folders, 1, "/nowhere/s", NULL, MOMENT_MS, &loader, &error), PEER_LOST, "no loader answers");
    EXPECT(sslight_connect(SSLIGHT_ABI_VERSION, folders, 1, "/nowhere/s", NULL, MOMENT_MS, &loader, NULL), PEER_LOST, error.text);
    const char *others[] = {"/"};
    EXPECT(sslight_connect(SSLIGHT_ABI_VERSION, others, 1, socket, NULL, PATIENCE_MS, &loader, &error), USAGE, "serves");
    OK(sslight_connect(SSLIGHT_ABI_VERSION, folders, 1, socket, NULL, PATIENCE_MS, &loader, &error));
    EXPECT(sslight_subscribe(loader, "{\"batch\": 3}", &stream, &error), USAGE, "there is no `batch`");
    EXPECT(sslight_subscribe(loader, "\xff", &stream, &error), USAGE, "utf-8");
    EXPECT(sslight_subscribe(loader, "{\"recipe\": \"dyno\"}", &stream, &error), USAGE, "ask for sslight, dino");
    EXPECT(sslight_subscribe(loader, "{\"split\": \"other\"}", &stream, &error), USAGE, "other");
    EXPECT(sslight_subscribe(loader, "{\"batch_size\": 60000}", &stream, &error), DATA, "60000");
    char key[4000] = "{\"";
    memset(key + 2, 'x', sizeof key - 8);
    strcat(key, "\": 1}");
    EXPECT(sslight_subscribe(loader, key, &stream, &error), USAGE, "bad subscription");
    if (strlen(error.text) != SSLIGHT_ERROR_BYTES - 1) exit(2);
    OK(sslight_release(loader, &error));
}

static void wrong_handles(SslightHandle loader) {
    SslightHandle stream = subscribed(loader, "{\"recipe\": \"val\", \"batch_size\": 4}");
    SslightBatch batch;
    SslightStreamInfo info;
    EXPECT(sslight_next(0, 0, &batch, &error), USAGE, "is no handle");
    EXPECT(sslight_next(loader, 0, &batch, &error), USAGE, "a loader where a stream was due");
    EXPECT(sslight_next(stream, 0, NULL, &error), USAGE, "`batch` is NULL");
    EXPECT(sslight_describe(stream, NULL, &error), USAGE, "`info` is NULL");
    EXPECT(sslight_subscribe(stream, "{}", &stream, &error), USAGE, "a stream where a loader was due");
    OK(sslight_next(stream, PATIENCE_MS, &batch, &error));
    OK(sslight_release(stream, &error));
    EXPECT(sslight_release(stream, &error), USAGE, "was a stream and is released");
    EXPECT(sslight_describe(stream, &info, &error), USAGE, "is released");
    if (batch.labels[0] < 0 || batch.views[0].shape[1] != 4) exit(2);
    OK(sslight_release(batch.handle, &error));
    EXPECT(sslight_release(batch.handle, &error), USAGE, "was a batch and is released");
}

/* Takes a batch as soon as no other thread is in the stream. */
static void *take(void *stream) {
    SslightBatch *batch = malloc(sizeof *batch);
    SslightStatus status;
    do status = sslight_next(*(SslightHandle *)stream, PATIENCE_MS, batch, NULL);
    while (status == SSLIGHT_STATUS_USAGE);
    if (status != SSLIGHT_STATUS_OK) exit(2);
    return batch;
}

static void all_slots_held(SslightHandle loader) {
    SslightHandle stream = subscribed(loader, "{\"recipe\": \"val\", \"batch_size\": 4, \"num_slots\": 2, \"num_epochs\": 3}");
    SslightBatch first, second, third, *fourth;
    OK(sslight_next(stream, PATIENCE_MS, &first, &error));
    OK(sslight_next(stream, PATIENCE_MS, &second, &error));
    EXPECT(sslight_next(stream, MOMENT_MS, &third, &error), TIMED_OUT, "give that back first");

    /* A forked process has no part in them, and gives back nothing. */
    pid_t child = fork();
    if (child == 0) {
        EXPECT(sslight_next(stream, 0, &third, &error), USAGE, "connect again after a fork");
        OK(sslight_release(first.handle, &error));
        OK(sslight_release(stream, &error));
        OK(sslight_release(loader, &error));
        _exit(0);
    }
    int status;
    if (waitpid(child, &status, 0) != child || status != 0) exit(2);
    EXPECT(sslight_next(stream, MOMENT_MS, &third, &error), TIMED_OUT, "give that back first");

    OK(sslight_release(first.handle, &error));
    OK(sslight_next(stream, PATIENCE_MS, &third, &error));
    pthread_t taker;
    if (pthread_create(&taker, NULL, take, &stream) != 0) exit(2);
    while (sslight_next(stream, 0, &first, &error) != SSLIGHT_STATUS_USAGE) continue;
    EXPECT(sslight_next(stream, 0, &first, &error), USAGE, "another thread waits in this stream");
    OK(sslight_release(second.handle, &error));
    pthread_join(taker, (void **)&fourth);
    if (fourth->step != third.step + 1 || third.next_step != fourth->step) exit(2);
    OK(sslight_release(fourth->handle, &error));
    OK(sslight_release(third.handle, &error));
    free(fourth);
    OK(sslight_release(stream, &error));
}

static void the_end(SslightHandle loader) {
    SslightHandle stream = subscribed(loader, "{\"recipe\": \"val\", \"batch_size\": 8, \"drop_last\": false}");
    SslightStreamInfo info;
    OK(sslight_describe(stream, &info, &error));
    SslightBatch batch;
    uint64_t num_samples = 0;
    for (uint64_t i = 0; i < info.num_batches; i++) {
        OK(sslight_next(stream, PATIENCE_MS, &batch, &error));
        num_samples += batch.num_valid;
        OK(sslight_release(batch.handle, &error));
    }
    if (num_samples != info.num_samples || batch.next_epoch != 1 || batch.next_step != 0) exit(2);
    EXPECT(sslight_next(stream, 0, &batch, &error), END, "");
    EXPECT(sslight_next(stream, 0, &batch, &error), END, "");
    OK(sslight_release(stream, &error));
}

static void the_loader_dies(SslightHandle loader) {
    SslightHandle stream = subscribed(loader, "{\"recipe\": \"val\", \"batch_size\": 4, \"num_slots\": 2, \"num_epochs\": 100000}");
    SslightStreamInfo info;
    OK(sslight_describe(stream, &info, &error));
    kill(info.loader_pid, SIGKILL);
    SslightBatch batch;
    SslightStatus status;
    while ((status = sslight_next(stream, PATIENCE_MS, &batch, &error)) == SSLIGHT_STATUS_OK) OK(sslight_release(batch.handle, &error));
    EXPECT(status, PEER_LOST, "is gone");
    EXPECT(sslight_subscribe(loader, NULL, &stream, &error), PEER_LOST, "no loader answers");
    OK(sslight_release(stream, &error));
}

int main(int argc, char **argv) {
    if (argc != 3 || sslight_abi_version() != SSLIGHT_ABI_VERSION) return 2;
    const char *folders[] = {argv[1]};
    SslightHandle loader;
    wrong_arguments(argv[1], argv[2]);
    OK(sslight_connect(SSLIGHT_ABI_VERSION, folders, 1, argv[2], NULL, PATIENCE_MS, &loader, &error));
    wrong_handles(loader);
    all_slots_held(loader);
    the_end(loader);
    the_loader_dies(loader);
    OK(sslight_release(loader, &error));
    puts("all were told");
    return 0;
}
