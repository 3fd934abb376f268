// The C++ side of graph.rs. at::cuda::CUDAGraph is called by the names that its functions have in PyTorch 2.11's CUDA half, which is there
// once it has been loaded: nothing of CUDA is compiled or linked here.

#include "graph.h"

#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <c10/util/Exception.h>
#include <dlfcn.h>

#include <optional>

#include "caught.h"

namespace {

// CUDAGraph(bool keep_graph), ~CUDAGraph(), capture_begin(MempoolId_t, cudaStreamCaptureMode), capture_end(), replay(); clearCublasWorkspaces()
constexpr const char *MAKE = "_ZN2at4cuda9CUDAGraphC1Eb";
constexpr const char *DROP = "_ZN2at4cuda9CUDAGraphD1Ev";
constexpr const char *CAPTURE_BEGIN = "_ZN2at4cuda9CUDAGraph13capture_beginESt4pairIyyE21cudaStreamCaptureMode";
constexpr const char *CAPTURE_END = "_ZN2at4cuda9CUDAGraph11capture_endEv";
constexpr const char *REPLAY = "_ZN2at4cuda9CUDAGraph6replayEv";
constexpr const char *CLEAR_WORKSPACES = "_ZN2at4cuda21clearCublasWorkspacesEv";
constexpr const char *NAMES[] = {MAKE, DROP, CAPTURE_BEGIN, CAPTURE_END, REPLAY, CLEAR_WORKSPACES};

// cudaStreamCaptureModeThreadLocal: other threads may take memory of the card meanwhile.
constexpr int THREAD_LOCAL = 1;
// More than a CUDAGraph takes, which is below 256 bytes.
constexpr size_t ROOM = 1024;

template <typename F> F *of_cuda_half(const char *name) {
    void *found = dlsym(RTLD_DEFAULT, name);
    TORCH_CHECK(found, "libtorch's CUDA half is not loaded, or not that of PyTorch 2.11: it has no ", name);
    return reinterpret_cast<F *>(found);
}

// One stream captures all graphs of a thread: libraries keep memory for every stream that they have seen.
c10::Stream captures_on(const c10::impl::VirtualGuardImpl &cards, c10::Device card) {
    static thread_local std::optional<c10::Stream> stream;
    if (!stream || stream->device() != card) stream = cards.getStreamFromGlobalPool(card);
    return *stream;
}

class OnCard : public Graph {
    c10::Device device;
    c10::impl::VirtualGuardImpl cards{c10::kCUDA};
    std::optional<c10::Device> before;     // while it captures: the thread's card
    std::optional<c10::Stream> computes;   // and its stream
    alignas(std::max_align_t) unsigned char graph[ROOM];

public:
    explicit OnCard(c10::DeviceIndex card) : device(c10::kCUDA, card) { of_cuda_half<void(void *, bool)>(MAKE)(graph, false); }

    ~OnCard() override {
        if (computes) {
            try {
                end();
            } catch (...) {  // what was captured is thrown away
            }
        }
        of_cuda_half<void(void *)>(DROP)(graph);
        try {
            c10::getDeviceAllocator(c10::kCUDA)->emptyCache();  // its pool, which serves nobody else
        } catch (...) {
        }
    }

    void begin() override {
        // The memory of the steps before serves the graph, which keeps a pool of its own.
        cards.synchronizeDevice(device.index());
        c10::getDeviceAllocator(c10::kCUDA)->emptyCache();
        before = cards.exchangeDevice(device);
        computes = cards.exchangeStream(captures_on(cards, device));
        of_cuda_half<void(void *, c10::MempoolId_t, int)>(CAPTURE_BEGIN)(graph, {0, 0}, THREAD_LOCAL);
    }

    void end() override {
        auto back = [&] {
            cards.exchangeStream(*std::exchange(computes, std::nullopt));
            cards.exchangeDevice(*before);
            // Memory of matrix products that was taken in the graph's pool is the graph's alone from now on.
            of_cuda_half<void()>(CLEAR_WORKSPACES)();
        };
        try {
            of_cuda_half<void(void *)>(CAPTURE_END)(graph);
        } catch (...) {
            back();
            throw;
        }
        back();
    }

    void replay() override { of_cuda_half<void(void *)>(REPLAY)(graph); }
};

std::unique_ptr<Graph> (*make_on_cpu)() = nullptr;

std::unique_ptr<Graph> on_cpu() {
    TORCH_CHECK(make_on_cpu, "work can be recorded on a card, not on the CPU");
    return make_on_cpu();
}

}  // namespace

void torch_shim_graph_on_cpu(std::unique_ptr<Graph> (*make)()) { make_on_cpu = make; }

extern "C" {

char *torch_shim_graph_begin(int card, Graph **begun) {
    return caught([&] {
        std::unique_ptr<Graph> graph;
        if (card < 0) graph = on_cpu();
        else graph = std::make_unique<OnCard>(static_cast<c10::DeviceIndex>(card));
        graph->begin();
        *begun = graph.release();
    });
}

char *torch_shim_graph_end(Graph *graph) {
    return caught([&] { graph->end(); });
}

char *torch_shim_graph_replay(Graph *graph) {
    return caught([&] { graph->replay(); });
}

void torch_shim_graph_drop(Graph *graph) { delete graph; }

// The first function that the CUDA half lacks, or null.
const char *torch_shim_graph_missing() {
    for (const char *name : NAMES) {
        if (!dlsym(RTLD_DEFAULT, name)) return name;
    }
    return nullptr;
}

}
