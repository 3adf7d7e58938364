// What the control plane may send to the data plane: any bytes, with any number of descriptors.
// A message that is taken must be one.
//
// Input: a byte with the number of descriptors in its lower two bits, and the message. Its version
// becomes ours, unless the highest bit is set, so that the corpus does not grow old with it: that
// is what a control plane has sent.
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <variant>
#include <vector>

#include "dataplane/app/message_reader.h"
#include "dataplane/contract/snapshot.h"

namespace {

using namespace sluice;

void check_filter(const contract::StateFilter& filter) {
    const unsigned longest = filter.ip_version == 4 ? 32 : filter.ip_version == 6 ? 128 : 0;
    if (filter.prefix_length > longest || filter.has_protocol > 1)
        std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    if (size == 0)
        return 0;
    const std::size_t descriptors = data[0] % 4;
    std::vector<unsigned char> bytes(data + 1, data + size);
    if ((data[0] & 0x80) == 0 && bytes.size() >= sizeof(contract::MessageHeader))
        std::memcpy(bytes.data() + offsetof(contract::MessageHeader, version),
                    &contract::kMessageVersion, sizeof contract::kMessageVersion);
    const auto message = std::as_bytes(std::span(bytes));
    const auto request = dataplane::read_request(message, descriptors);
    if (!request) {
        if (request.error().message.empty())
            std::abort();
        return 0;
    }
    if (const auto* offer = std::get_if<contract::Offer>(&*request)) {
        if (descriptors != 1 || message.size() != sizeof *offer ||
            offer->size > contract::kSnapshotMaximumSize)
            std::abort();
    } else if (const auto* states = std::get_if<contract::StatesRequest>(&*request)) {
        if (descriptors != 0 || message.size() != sizeof *states ||
            states->wanted > contract::StatesWanted::count)
            std::abort();
        check_filter(states->filter);
    } else if (const auto* tables = std::get_if<contract::TablesRequest>(&*request)) {
        if (descriptors != 1 || message.size() != sizeof *tables ||
            tables->mode >= contract::TablesMode::count_)
            std::abort();
    } else if (const auto* order = std::get_if<contract::Order>(&*request)) {
        if (descriptors != 0 || message.size() != sizeof *order ||
            order->kind >= contract::OrderKind::count_ || order->panic > contract::Panic::pass)
            std::abort();
    } else if (const auto* trace = std::get_if<contract::TraceRequest>(&*request)) {
        if (descriptors != 0 || message.size() != sizeof *trace ||
            trace->frame_length > sizeof trace->frame)
            std::abort();
    } else if (const auto* watch = std::get_if<contract::WatchOrder>(&*request)) {
        if (descriptors != 0 || message.size() != sizeof *watch || watch->on > 1 ||
            watch->snap_length == 0 || watch->snap_length > contract::kLongestCapture ||
            !contract::is_sound(watch->filter))
            std::abort();
        // Asking it never reads outside of the addresses.
        contract::meets(watch->filter, {});
    } else if (const auto* recheck = std::get_if<contract::RecheckStates>(&*request)) {
        if (descriptors != 0 || message.size() != sizeof *recheck)
            std::abort();
    } else if (const auto* pattern = std::get_if<contract::PatternRequest>(&*request)) {
        if (descriptors != 0 || message.size() != sizeof *pattern ||
            std::memchr(pattern->name, '\0', sizeof pattern->name) == nullptr)
            std::abort();
    } else {
        const auto& kill = std::get<contract::KillStates>(*request);
        if (descriptors != 0 || message.size() != sizeof kill)
            std::abort();
        check_filter(kill.filter);
    }
    return 0;
}
