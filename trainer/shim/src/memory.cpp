// The C++ side of memory.rs, by c10's allocator for any device.

#include <c10/core/CachingDeviceAllocator.h>

#include "caught.h"

extern "C" {

// Peak of the bytes in tensors, bytes held, bytes free on the card, bytes of the card.
char *torch_shim_memory(int card, uint64_t numbers[4]) {
    return caught([&] {
        auto device = static_cast<c10::DeviceIndex>(card);
        auto all = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);
        c10::DeviceAllocator *allocator = c10::getDeviceAllocator(c10::kCUDA);
        auto stats = allocator->getDeviceStats(device);
        auto [free, total] = allocator->getMemoryInfo(device);
        numbers[0] = stats.allocated_bytes[all].peak;
        numbers[1] = stats.reserved_bytes[all].current;
        numbers[2] = free;
        numbers[3] = total;
    });
}

}
