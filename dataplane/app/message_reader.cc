#include "dataplane/app/message_reader.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cstring>
#include <string>

#include "dataplane/contract/snapshot.h"

namespace sluice::dataplane {

namespace {

Error refuse(std::string sentence) {
    return {ExitStatus::data, std::move(sentence)};
}

}  // namespace

Result<contract::Offer> read_offer(std::span<const std::byte> message, std::size_t descriptors) {
    contract::MessageHeader header;
    if (message.size() < sizeof header)
        return refuse("a message of " + std::to_string(message.size()) +
                      " bytes is shorter than its header");
    std::memcpy(&header, message.data(), sizeof header);
    if (header.magic != contract::kMessageMagic)
        return refuse("what came is not a message of the Sluice contract");
    if (header.version != contract::kMessageVersion)
        return refuse("the message has version " + std::to_string(header.version) +
                      ", this data plane speaks version " +
                      std::to_string(contract::kMessageVersion) +
                      ": install both programs from the same release");
    if (header.length != message.size())
        return refuse("the message says that it has " + std::to_string(header.length) +
                      " bytes and has " + std::to_string(message.size()));
    if (header.type != contract::MessageType::offer)
        return refuse("a message of type " + std::to_string(static_cast<unsigned>(header.type)) +
                      " is not expected here");
    contract::Offer offer;
    if (message.size() != sizeof offer)
        return refuse("an offer has " + std::to_string(sizeof offer) + " bytes, not " +
                      std::to_string(message.size()));
    std::memcpy(&offer, message.data(), sizeof offer);
    if (descriptors != 1)
        return refuse("an offer comes with one descriptor, not " + std::to_string(descriptors));
    if (offer.size < sizeof(contract::SnapshotHeader) ||
        offer.size > contract::kSnapshotMaximumSize)
        return refuse("a snapshot cannot have " + std::to_string(offer.size) + " bytes");
    return offer;
}

Result<Done> check_image_file(int descriptor, std::uint64_t size) {
    constexpr int kNeeded = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
    const int seals = fcntl(descriptor, F_GET_SEALS);
    if (seals < 0 || (seals & kNeeded) != kNeeded)
        return refuse(
            "the snapshot is not in a memfd sealed against writing, growing, shrinking "
            "and further seals");
    struct stat status;
    if (fstat(descriptor, &status) != 0 || static_cast<std::uint64_t>(status.st_size) != size)
        return refuse("the snapshot is not as large as the offer says");
    return Done{};
}

}  // namespace sluice::dataplane
