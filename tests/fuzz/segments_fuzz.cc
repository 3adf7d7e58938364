// One side of a TCP connection in segments that come as they like: cut anyhow, in any order, again
// and again, some of them with other bytes.
//
// What comes out must be the stream that was sent, each byte once, from its beginning on; a copy
// that differs may count only where no other has come before, or where the first has arrived. At
// the end nothing may be left in use.
//
// Input: each segment takes four bytes: offset (two), length, and whether it is a copy with other
// bytes. The first two bytes of the input are where sequence numbers begin.
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "dataplane/payload/tcp_order.h"

namespace {

using namespace sluice::payload;

constexpr std::size_t kStream = 70'000;
constexpr std::size_t kPieces = 48;

void require(bool condition) {
    if (!condition)
        std::abort();
}

const std::vector<std::byte>& stream() {
    static const std::vector<std::byte> bytes = [] {
        std::vector<std::byte> made(kStream);
        for (std::size_t i = 0; i < made.size(); ++i)
            made[i] = static_cast<std::byte>(i * 2654435761u >> 13);
        return made;
    }();
    return bytes;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    if (size < 2)
        return 0;
    // Near the end of the sequence numbers half of the time.
    const std::uint32_t start = (data[0] & 1) != 0 ? 0xffff0000u + data[1] * 256u : data[1];
    TcpOrder order(kPieces);
    SideOrder side{.next_sequence = start};
    std::size_t given = 0;
    bool deceived = false;  // a wrong copy came first

    const auto acknowledge = [&](std::size_t bytes) {
        order.acknowledged(side, start + static_cast<std::uint32_t>(bytes));
    };
    const auto send = [&](std::size_t offset, std::span<const std::byte> bytes, bool genuine) {
        order.begin_packet();
        TcpOrder::Pieces pieces;
        const std::vector<std::byte> copy(bytes.begin(), bytes.end());
        const TcpOrder::Took took =
            order.take(side, start + static_cast<std::uint32_t>(offset), copy, pieces);
        require(!genuine || deceived || took != TcpOrder::Took::conflict);
        require((took == TcpOrder::Took::in_order) == (pieces.count != 0));
        // Behind what has come; a copy of that is either told, or nothing of it is taken.
        if (!genuine && (took == TcpOrder::Took::in_order || took == TcpOrder::Took::kept))
            deceived = true;
        for (const std::span<const std::byte> piece : pieces.all()) {
            require(!piece.empty() && given + piece.size() <= kStream);
            require(deceived ||
                    std::memcmp(piece.data(), stream().data() + given, piece.size()) == 0);
            given += piece.size();
        }
        require(side.next_sequence == start + static_cast<std::uint32_t>(given));
        require(side.kept <= TcpOrder::kKeptPerSide && order.free_pieces() <= kPieces);
    };

    for (std::size_t at = 2; at + 4 <= size; at += 4) {
        const std::size_t offset = (std::size_t{data[at]} << 8 | data[at + 1]) % kStream;
        const std::size_t length = std::min<std::size_t>(1 + data[at + 2] * 20u, kStream - offset);
        std::vector<std::byte> bytes(
            stream().begin() + static_cast<std::ptrdiff_t>(offset),
            stream().begin() + static_cast<std::ptrdiff_t>(offset + length));
        const bool genuine = data[at + 3] % 8 != 0;
        if (data[at + 3] % 8 == 1)
            acknowledge(given);
        if (!genuine)
            bytes[data[at + 3] % length] ^= std::byte{1};
        send(offset, bytes, genuine);
    }
    // Who sends it sends all of it again until it is there. A copy that differs from one that waits
    // is refused until that has been given out, or has been forgotten.
    if (!deceived) {
        constexpr std::size_t kSegment = 1460;
        while (given < kStream) {
            const std::size_t before = given;
            send(given,
                 std::span(stream()).subspan(given).first(std::min(kSegment, kStream - given)),
                 true);
            require(given > before);
        }
    }
    order.forget(side);
    order.begin_packet();
    require(order.free_pieces() == kPieces);
    return 0;
}
