// The first bytes of a flow, as they come: each prefix of them must be answered with `more`, or
// with the one answer that stays for all longer ones.
//
// The first byte says which part is looked for, and over which transport.
#include <algorithm>
#include <cstdlib>
#include <vector>

#include "dataplane/payload/parts.h"

namespace {

using namespace sluice;

constexpr std::size_t kLongest = 600;

bool lies_in(std::span<const std::byte> part, std::span<const std::byte> whole) {
    return part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    if (size == 0)
        return 0;
    const auto part = static_cast<contract::PayloadPart>(1 + data[0] % 4);
    const auto transport = (data[0] & 8) != 0 ? payload::Transport::udp : payload::Transport::tcp;
    const auto message =
        std::as_bytes(std::span(data, size)).subspan(1).first(std::min(size - 1, kLongest));

    payload::Found decided = payload::Found::more;
    std::vector<std::byte> answer;
    for (std::size_t length = 0; length <= message.size(); ++length) {
        // In memory of its own, so that a sanitizer sees when one byte too many is read.
        const std::vector<std::byte> start(message.begin(),
                                           message.begin() + static_cast<std::ptrdiff_t>(length));
        payload::PartScratch scratch;
        const payload::Part found = payload::find_part(part, transport, start, scratch);
        const bool in_place = lies_in(found.bytes, start) || lies_in(found.bytes, scratch.bytes);
        if ((found.found == payload::Found::yes) != !found.bytes.empty() ||
            (!found.bytes.empty() && !in_place))
            std::abort();
        if (decided == payload::Found::more) {
            decided = found.found;
            answer.assign(found.bytes.begin(), found.bytes.end());
        } else if (found.found != decided || !std::equal(answer.begin(), answer.end(),
                                                         found.bytes.begin(), found.bytes.end())) {
            std::abort();
        }
    }
    return 0;
}
