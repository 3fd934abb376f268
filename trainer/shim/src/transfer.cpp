// The C++ side of transfer.rs, which says what each function does. Streams and events are c10's, for any kind of device: nothing of CUDA is
// compiled or linked here, libtorch's CUDA half brings it when it is loaded.

#include <ATen/core/Tensor.h>
#include <c10/core/Event.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <optional>

#include "caught.h"

namespace {

// The stream of copies to a card: one for each thread, which is asked for again where the card is another.
c10::Stream copies_to(const c10::impl::VirtualGuardImpl &cards, c10::Device card) {
    static thread_local std::optional<c10::Stream> stream;
    if (!stream || stream->device() != card) stream = cards.getStreamFromGlobalPool(card);
    return *stream;
}

}  // namespace

extern "C" {

char *torch_shim_to_card(const at::Tensor *source, int card, at::Tensor **moved) {
    return caught([&] {
        c10::Device device(c10::kCUDA, static_cast<c10::DeviceIndex>(card));
        c10::impl::VirtualGuardImpl cards(c10::kCUDA);
        c10::Stream computes = cards.getStream(device), copies = copies_to(cards, device);
        at::Tensor pinned = source->pin_memory();
        at::Tensor on_card;
        c10::Event copied(c10::kCUDA);
        {
            c10::StreamGuard guard(copies);
            on_card = pinned.to(device, pinned.scalar_type(), /*non_blocking=*/true);
            copied.record(copies);
        }
        copied.block(computes);
        on_card.record_stream(computes);  // its memory is of the other stream, and must not be used again before this one is done
        *moved = new at::Tensor(std::move(on_card));
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

char *torch_shim_stream(int card, size_t *stream) {
    return caught([&] {
        c10::Device device(c10::kCUDA, static_cast<c10::DeviceIndex>(card));
        c10::Stream computes = c10::impl::VirtualGuardImpl(c10::kCUDA).getStream(device);
        *stream = reinterpret_cast<size_t>(computes.native_handle());
    });
}

char *torch_shim_wait(c10::Event *fence) {
    return caught([&] { fence->synchronize(); });
}

void torch_shim_drop(c10::Event *fence) { delete fence; }

}
