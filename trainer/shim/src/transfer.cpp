// The C++ side of transfer.rs, which says what each function does. Streams and events are c10's, for any kind of device: nothing of CUDA is
// compiled or linked here, libtorch's CUDA half brings it when it is loaded.

#include <ATen/core/Tensor.h>
#include <c10/core/Event.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <optional>

#include "caught.h"

namespace {

// The stream beside the one that computes: one for each thread, which is asked for again where the card is another.
c10::Stream side_of(const c10::impl::VirtualGuardImpl &cards, c10::Device card) {
    static thread_local std::optional<c10::Stream> stream;
    if (!stream || stream->device() != card) stream = cards.getStreamFromGlobalPool(card);
    return *stream;
}

// While it lives the thread's operations go onto the side stream.
struct Beside {
    c10::Stream computes;
    c10::StreamGuard guard;

    Beside(c10::Stream computes, c10::Stream side) : computes(computes), guard(side) {}
};

}  // namespace

extern "C" {

char *torch_shim_go_beside(int card, Beside **beside) {
    return caught([&] {
        c10::Device device(c10::kCUDA, static_cast<c10::DeviceIndex>(card));
        c10::impl::VirtualGuardImpl cards(c10::kCUDA);
        *beside = new Beside(cards.getStream(device), side_of(cards, device));
    });
}

char *torch_shim_hand_over(Beside *beside, const at::Tensor *made) {
    return caught([&] {
        c10::Stream side = beside->guard.current_stream();
        if (side == beside->computes) return;  // beside within beside: the outer one hands over
        c10::Event done(c10::kCUDA);
        done.record(side);
        done.block(beside->computes);
        made->record_stream(beside->computes);  // its memory is of the side stream, and must not be used again before the other one is done
    });
}

void torch_shim_come_back(Beside *beside) { delete beside; }

char *torch_shim_to_card(const at::Tensor *source, int card, at::Tensor **moved) {
    return caught([&] {
        c10::Device device(c10::kCUDA, static_cast<c10::DeviceIndex>(card));
        *moved = new at::Tensor(source->pin_memory().to(device, source->scalar_type(), /*non_blocking=*/true));
    });
}

char *torch_shim_to_host(const at::Tensor *source, at::Tensor **values, c10::Event **fence) {
    return caught([&] {
        auto copied = std::make_unique<c10::Event>(source->device().type());
        at::Tensor pinned = source->to(c10::kCPU, source->scalar_type(), /*non_blocking=*/true);
        copied->record(c10::impl::VirtualGuardImpl(source->device().type()).getStream(source->device()));
        *values = new at::Tensor(std::move(pinned));
        *fence = copied.release();
    });
}

char *torch_shim_side_stream(int card, size_t *stream) {
    return caught([&] {
        c10::Device device(c10::kCUDA, static_cast<c10::DeviceIndex>(card));
        c10::Stream side = side_of(c10::impl::VirtualGuardImpl(c10::kCUDA), device);
        *stream = reinterpret_cast<size_t>(side.native_handle());
    });
}

char *torch_shim_wait(c10::Event *fence) {
    return caught([&] { fence->synchronize(); });
}

void torch_shim_drop(c10::Event *fence) { delete fence; }

}
