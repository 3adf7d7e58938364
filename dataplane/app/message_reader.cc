#include "dataplane/app/message_reader.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cstring>
#include <string>

#include "dataplane/contract/snapshot.h"
#include "dataplane/contract/table.h"

namespace sluice::dataplane {

namespace {

Error refuse(std::string sentence) {
    return {ExitStatus::data, std::move(sentence)};
}

Result<Done> check_header(std::span<const std::byte> message, contract::MessageHeader& header) {
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
    return Done{};
}

// `name` as in "an offer".
template <typename Message>
Result<Done> take(std::span<const std::byte> bytes, const std::string& name, Message& message) {
    if (bytes.size() != sizeof message)
        return refuse(name + " has " + std::to_string(sizeof message) + " bytes, not " +
                      std::to_string(bytes.size()));
    std::memcpy(&message, bytes.data(), sizeof message);
    return Done{};
}

Result<Done> check_filter(const contract::StateFilter& filter) {
    const unsigned version = filter.ip_version;
    if (version != 0 && version != 4 && version != 6)
        return refuse("a filter of states names IP version " + std::to_string(version));
    const unsigned longest = version == 0 ? 0 : version == 4 ? 32 : 128;
    if (filter.prefix_length > longest)
        return refuse("a filter of states has a prefix of " + std::to_string(filter.prefix_length) +
                      " bits, at most " + std::to_string(longest) + " are possible");
    if (filter.has_protocol > 1 || (filter.has_protocol == 0 && filter.protocol != 0))
        return refuse("a filter of states does not say clearly whether it names a protocol");
    return Done{};
}

// Of a message that is a filter and comes alone.
template <typename Message>
Result<Request> read_filtered(std::span<const std::byte> bytes, std::size_t descriptors,
                              const std::string& name) {
    Message message;
    if (auto taken = take(bytes, name, message); !taken)
        return taken.error();
    if (descriptors != 0)
        return refuse(name + " comes without a descriptor, not with " +
                      std::to_string(descriptors));
    if (auto checked = check_filter(message.filter); !checked)
        return checked.error();
    return Request(message);
}

Result<Request> read_states_request(std::span<const std::byte> message, std::size_t descriptors) {
    auto request =
        read_filtered<contract::StatesRequest>(message, descriptors, "a request for states");
    if (request &&
        std::get<contract::StatesRequest>(*request).wanted > contract::StatesWanted::count)
        return refuse("a request for states wants neither records nor their number");
    return request;
}

Result<Request> read_recheck(std::span<const std::byte> bytes, std::size_t descriptors) {
    contract::RecheckStates request;
    if (auto taken = take(bytes, "an order to judge states anew", request); !taken)
        return taken.error();
    if (descriptors != 0)
        return refuse("an order to judge states anew comes without a descriptor, not with " +
                      std::to_string(descriptors));
    return Request(request);
}

Result<Request> read_offer(std::span<const std::byte> message, std::size_t descriptors) {
    contract::Offer offer;
    if (auto taken = take(message, "an offer", offer); !taken)
        return taken.error();
    if (descriptors != 1)
        return refuse("an offer comes with one descriptor, not " + std::to_string(descriptors));
    if (offer.size < sizeof(contract::SnapshotHeader) ||
        offer.size > contract::kSnapshotMaximumSize)
        return refuse("a snapshot cannot have " + std::to_string(offer.size) + " bytes");
    if (offer.with_tables > 1)
        return refuse("an offer does not say clearly whether tables change with it");
    if (offer.revert_after_ms > contract::kLongestReversionMs)
        return refuse("an offer cannot wait for its confirmation longer than " +
                      std::to_string(contract::kLongestReversionMs / 3'600'000) + " hours");
    if (offer.revert_after_ms != 0 && offer.with_tables != 0)
        return refuse("tables do not return with a ruleset that is not confirmed");
    return Request(offer);
}

Result<Request> read_tables_request(std::span<const std::byte> message, std::size_t descriptors) {
    contract::TablesRequest request;
    if (auto taken = take(message, "a request about tables", request); !taken)
        return taken.error();
    if (descriptors != 1)
        return refuse("a request about tables comes with one descriptor, not " +
                      std::to_string(descriptors));
    if (request.size < sizeof(contract::TableBatchHeader) ||
        request.size > contract::kMaximumTableBatch)
        return refuse("a batch of changes to tables cannot have " + std::to_string(request.size) +
                      " bytes");
    if (request.mode >= contract::TablesMode::count_)
        return refuse("a request about tables is of an unknown mode");
    return Request(request);
}

Result<Request> read_order(std::span<const std::byte> message, std::size_t descriptors) {
    contract::Order order;
    if (auto taken = take(message, "an order", order); !taken)
        return taken.error();
    if (descriptors != 0)
        return refuse("an order comes without a descriptor, not with " +
                      std::to_string(descriptors));
    if (order.kind >= contract::OrderKind::count_ || order.panic > contract::Panic::pass ||
        (order.kind != contract::OrderKind::panic && order.panic != contract::Panic::off))
        return refuse("an order does not say clearly what is to be done");
    return Request(order);
}

template <std::size_t N>
bool ends(const char (&name)[N]) {
    return strnlen(name, N) < N;
}

Result<Request> read_trace_request(std::span<const std::byte> message, std::size_t descriptors) {
    constexpr std::size_t kEthernet = 14;
    contract::TraceRequest request;
    if (auto taken = take(message, "a request for a trace", request); !taken)
        return taken.error();
    if (descriptors != 0)
        return refuse("a request for a trace comes without a descriptor, not with " +
                      std::to_string(descriptors));
    if (request.frame_length < kEthernet || request.frame_length > sizeof request.frame)
        return refuse("a frame of " + std::to_string(request.frame_length) +
                      " bytes cannot be traced");
    if (request.out > 1 || request.chance >= contract::ChanceIs::count_ ||
        !ends(request.interface) || !ends(request.receive_interface))
        return refuse("a request for a trace does not say clearly which way the packet goes");
    return Request(request);
}

Result<Request> read_watch_order(std::span<const std::byte> message, std::size_t descriptors) {
    contract::WatchOrder order;
    if (auto taken = take(message, "an order to watch", order); !taken)
        return taken.error();
    if (descriptors != 0)
        return refuse("an order to watch comes without a descriptor, not with " +
                      std::to_string(descriptors));
    if (order.on > 1 || !contract::is_sound(order.filter) || order.filter.has_protocol > 1)
        return refuse("an order to watch does not say clearly what is to be watched");
    if (order.snap_length == 0 || order.snap_length > contract::kLongestCapture)
        return refuse("of a frame 1 to " + std::to_string(contract::kLongestCapture) +
                      " bytes can be captured, not " + std::to_string(order.snap_length));
    return Request(order);
}

Result<Request> read_pattern_request(std::span<const std::byte> message, std::size_t descriptors) {
    contract::PatternRequest request;
    if (auto taken = take(message, "a request about a pattern object", request); !taken)
        return taken.error();
    if (descriptors != 0)
        return refuse("a request about a pattern object comes without a descriptor, not with " +
                      std::to_string(descriptors));
    if (!ends(request.name))
        return refuse("a request about a pattern object names none");
    return Request(request);
}

}  // namespace

Result<Request> read_request(std::span<const std::byte> message, std::size_t descriptors) {
    contract::MessageHeader header;
    if (auto checked = check_header(message, header); !checked)
        return checked.error();
    switch (header.type) {
        case contract::MessageType::offer:
            return read_offer(message, descriptors);
        case contract::MessageType::states_request:
            return read_states_request(message, descriptors);
        case contract::MessageType::kill_states:
            return read_filtered<contract::KillStates>(message, descriptors,
                                                       "an order to kill states");
        case contract::MessageType::recheck_states:
            return read_recheck(message, descriptors);
        case contract::MessageType::tables_request:
            return read_tables_request(message, descriptors);
        case contract::MessageType::order:
            return read_order(message, descriptors);
        case contract::MessageType::trace_request:
            return read_trace_request(message, descriptors);
        case contract::MessageType::watch_order:
            return read_watch_order(message, descriptors);
        case contract::MessageType::pattern_request:
            return read_pattern_request(message, descriptors);
        case contract::MessageType::order_done:
        case contract::MessageType::returned:
        case contract::MessageType::watch_reply:
        case contract::MessageType::hello:
        case contract::MessageType::tables_reply:
        case contract::MessageType::working:
        case contract::MessageType::accepted:
        case contract::MessageType::rejected:
        case contract::MessageType::states_reply:
        case contract::MessageType::kill_reply:
        case contract::MessageType::recheck_reply:
        case contract::MessageType::trace_reply:
        case contract::MessageType::pattern_reply:
            break;
    }
    return refuse("a message of type " + std::to_string(static_cast<unsigned>(header.type)) +
                  " is not expected here");
}

Result<Done> check_image_file(int descriptor, std::uint64_t size, const std::string& name) {
    constexpr int kNeeded = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
    const int seals = fcntl(descriptor, F_GET_SEALS);
    if (seals < 0 || (seals & kNeeded) != kNeeded)
        return refuse(name +
                      " is not in a memfd sealed against writing, growing, shrinking "
                      "and further seals");
    struct stat status;
    if (fstat(descriptor, &status) != 0 || static_cast<std::uint64_t>(status.st_size) != size)
        return refuse(name + " is not as large as the message says");
    return Done{};
}

}  // namespace sluice::dataplane
