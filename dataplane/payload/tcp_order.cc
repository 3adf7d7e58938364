#include "dataplane/payload/tcp_order.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace sluice::payload {

namespace {

// How far `a` is behind `b` in the sequence space, which is a circle.
std::int32_t distance(std::uint32_t a, std::uint32_t b) {
    return static_cast<std::int32_t>(a - b);
}

}  // namespace

void TcpOrder::Free::operator()(Segment* segments) const {
    std::free(segments);
}

// Pages of calloc come when they are first touched; a Segment of zeros is never read before it is
// written.
TcpOrder::TcpOrder(std::size_t pieces)
    : count_(pieces),
      segments_(
          static_cast<Segment*>(std::calloc(std::max<std::size_t>(pieces, 1), sizeof(Segment)))),
      free_count_(segments_ ? pieces : 0) {
    if (!segments_)
        count_ = 0;
}

void TcpOrder::begin_packet() {
    while (given_out_ != kNoSegment) {
        const std::uint32_t segment = given_out_;
        given_out_ = segments_.get()[segment].next;
        give_back(segment);
    }
}

std::uint32_t TcpOrder::take_segment() {
    std::uint32_t segment = first_free_;
    if (segment != kNoSegment)
        first_free_ = segments_.get()[segment].next;
    else if (fresh_ < count_)
        segment = static_cast<std::uint32_t>(fresh_++);
    else
        return kNoSegment;
    --free_count_;
    return segment;
}

void TcpOrder::give_back(std::uint32_t segment) {
    segments_.get()[segment].next = first_free_;
    first_free_ = segment;
    ++free_count_;
}

TcpOrder::Took TcpOrder::take(SideOrder& side, std::uint32_t sequence,
                              std::span<const std::byte> bytes, Pieces& pieces) {
    pieces.count = 0;
    release_ready(side, pieces);  // there may be some behind a `skip_to`
    const Took without = pieces.count != 0 ? Took::in_order : Took::old;
    std::int32_t ahead = distance(sequence, side.next_sequence);
    if (ahead < 0 && differs(side.first_given, sequence, bytes))
        return Took::conflict;
    if (bytes.empty() || std::int64_t{ahead} + static_cast<std::int64_t>(bytes.size()) <= 0)
        return without;
    if (ahead < 0) {
        bytes = bytes.subspan(static_cast<std::size_t>(-std::int64_t{ahead}));
        sequence = side.next_sequence;
        ahead = 0;
    }
    if (differs(side.first_kept, sequence, bytes))
        return Took::conflict;
    if (ahead > 0) {
        if (static_cast<std::size_t>(ahead) + bytes.size() > kWindow ||
            !keep(side, sequence, bytes))
            return Took::no_room;
        return pieces.count != 0 ? Took::in_order : Took::kept;
    }
    pieces.at[pieces.count++] = bytes;
    remember(side, sequence, bytes);
    side.next_sequence = sequence + static_cast<std::uint32_t>(bytes.size());
    release_ready(side, pieces);
    return Took::in_order;
}

// Whether the list that begins with `first` has other bytes in the same place.
bool TcpOrder::differs(std::uint32_t first, std::uint32_t sequence,
                       std::span<const std::byte> bytes) const {
    for (std::uint32_t i = first; i != kNoSegment; i = segments_.get()[i].next) {
        const Segment& kept = segments_.get()[i];
        const std::int64_t begin = std::max<std::int64_t>(distance(kept.sequence, sequence), 0);
        const std::int64_t end =
            std::min<std::int64_t>(std::int64_t{distance(kept.sequence, sequence)} + kept.length,
                                   static_cast<std::int64_t>(bytes.size()));
        if (begin >= end)
            continue;
        const std::int64_t in_kept = begin - distance(kept.sequence, sequence);
        if (std::memcmp(bytes.data() + begin, kept.bytes.data() + in_kept,
                        static_cast<std::size_t>(end - begin)) != 0)
            return true;
    }
    return false;
}

// Keeps a copy of what follows the copies before it, as long as that leaves half of the memory for
// what waits, and a side has no more than its window of them.
void TcpOrder::remember(SideOrder& side, std::uint32_t sequence, std::span<const std::byte> bytes) {
    if (side.first_given != kNoSegment &&
        distance(sequence, segments_.get()[side.first_given].sequence) >
            static_cast<std::int32_t>(kWindow))
        return;
    while (!bytes.empty()) {
        Segment* last = side.last_given != kNoSegment ? segments_.get() + side.last_given : nullptr;
        if (last != nullptr && last->sequence + last->length != sequence)
            return;  // there was no room for something before
        if (last == nullptr || last->length == kPieceSize) {
            if (free_count_ <= count_ / 2)
                return;
            const std::uint32_t index = take_segment();
            segments_.get()[index].next = kNoSegment;
            segments_.get()[index].sequence = sequence;
            segments_.get()[index].length = 0;
            (last != nullptr ? last->next : side.first_given) = index;
            side.last_given = index;
            last = segments_.get() + index;
        }
        const std::size_t length = std::min<std::size_t>(bytes.size(), kPieceSize - last->length);
        std::memcpy(last->bytes.data() + last->length, bytes.data(), length);
        last->length += static_cast<std::uint32_t>(length);
        bytes = bytes.subspan(length);
        sequence += static_cast<std::uint32_t>(length);
    }
}

void TcpOrder::acknowledged(SideOrder& side, std::uint32_t sequence) {
    while (side.first_given != kNoSegment) {
        const std::uint32_t index = side.first_given;
        const Segment& given = segments_.get()[index];
        if (distance(given.sequence + given.length, sequence) > 0)
            return;
        side.first_given = given.next;
        give_back(index);
    }
    side.last_given = kNoSegment;
}

bool TcpOrder::is_kept(const SideOrder& side, std::uint32_t sequence, std::size_t length) const {
    for (std::uint32_t i = side.first_kept; i != kNoSegment; i = segments_.get()[i].next) {
        const Segment& kept = segments_.get()[i];
        const std::int32_t offset = distance(sequence, kept.sequence);
        if (offset >= 0 && static_cast<std::size_t>(offset) + length <= kept.length)
            return true;
    }
    return false;
}

bool TcpOrder::keep(SideOrder& side, std::uint32_t sequence, std::span<const std::byte> bytes) {
    const std::size_t pieces = (bytes.size() + kPieceSize - 1) / kPieceSize;
    if (side.kept + pieces > kKeptPerSide || pieces > free_count_)
        return is_kept(side, sequence, bytes.size());
    while (!bytes.empty()) {
        const std::size_t length = std::min(bytes.size(), kPieceSize);
        if (!is_kept(side, sequence, length)) {
            const std::uint32_t index = take_segment();
            Segment& segment = segments_.get()[index];
            segment.sequence = sequence;
            segment.length = static_cast<std::uint32_t>(length);
            std::memcpy(segment.bytes.data(), bytes.data(), length);
            std::uint32_t* at = &side.first_kept;
            while (*at != kNoSegment && distance(segments_.get()[*at].sequence, sequence) <= 0)
                at = &segments_.get()[*at].next;
            segment.next = *at;
            *at = index;
            ++side.kept;
        }
        bytes = bytes.subspan(length);
        sequence += static_cast<std::uint32_t>(length);
    }
    return true;
}

// What waited and follows now. Each side has no more of it than there is room for in `pieces`.
void TcpOrder::release_ready(SideOrder& side, Pieces& pieces) {
    while (side.first_kept != kNoSegment) {
        const std::uint32_t index = side.first_kept;
        Segment& kept = segments_.get()[index];
        const std::int32_t behind = distance(side.next_sequence, kept.sequence);
        if (behind < 0)
            return;
        side.first_kept = kept.next;
        --side.kept;
        kept.next = given_out_;
        given_out_ = index;
        if (static_cast<std::uint32_t>(behind) >= kept.length)
            continue;
        const auto piece = std::span<const std::byte>(kept.bytes)
                               .first(kept.length)
                               .subspan(static_cast<std::size_t>(behind));
        pieces.at[pieces.count++] = piece;
        remember(side, side.next_sequence, piece);
        side.next_sequence = kept.sequence + kept.length;
    }
}

void TcpOrder::skip_to(SideOrder& side, std::uint32_t sequence) {
    side.next_sequence = sequence;
    while (side.first_kept != kNoSegment) {
        Segment& kept = segments_.get()[side.first_kept];
        if (distance(kept.sequence + kept.length, sequence) > 0)
            return;
        const std::uint32_t index = side.first_kept;
        side.first_kept = kept.next;
        --side.kept;
        give_back(index);
    }
}

void TcpOrder::forget(SideOrder& side) {
    while (side.first_kept != kNoSegment) {
        const std::uint32_t index = side.first_kept;
        side.first_kept = segments_.get()[index].next;
        give_back(index);
    }
    while (side.first_given != kNoSegment) {
        const std::uint32_t index = side.first_given;
        side.first_given = segments_.get()[index].next;
        give_back(index);
    }
    side = {};
}

}  // namespace sluice::payload
