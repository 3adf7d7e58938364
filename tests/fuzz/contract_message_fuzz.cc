// What the control plane may send to the data plane: any bytes, with any number of descriptors.
// An offer that is taken must be one.
#include <cstdlib>

#include "dataplane/app/message_reader.h"
#include "dataplane/contract/snapshot.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    if (size == 0)
        return 0;
    const std::size_t descriptors = data[0] % 4;
    const auto message = std::as_bytes(std::span(data + 1, size - 1));
    const auto offer = sluice::dataplane::read_offer(message, descriptors);
    if (offer) {
        if (descriptors != 1 || message.size() != sizeof(sluice::contract::Offer) ||
            offer->size > sluice::contract::kSnapshotMaximumSize)
            std::abort();
    } else if (offer.error().message.empty()) {
        std::abort();
    }
    return 0;
}
