#include "dataplane/packet/burst.h"

#include <algorithm>

namespace sluice::packet {

// What grows with every packet stays in registers: the next one would wait for memory.
void Burst::look(std::size_t count) {
    const std::size_t end = size_ + count;
    Mask common = common_;
    std::uint64_t bytes = common_bytes_;
    for (std::size_t i = size_; i < end; ++i) {
        const Glance glance = glance_at(frames_[i].data, frames_[i].length);
        glances_[i] = glance;
        common |= Mask{glance.ip_version != 0} << i;
        bytes += glance.ip_length;
    }
    common_ = common;
    common_bytes_ = bytes;
    size_ = end;
}

void Burst::note_passages(std::size_t count, const Passage& passage) {
    if (one_passage_)
        std::fill_n(passages_.begin(), size_, passage_);
    one_passage_ = false;
    std::fill_n(passages_.begin() + size_, count, passage);
}

// Their numbers are those of their new places.
void Burst::keep_only(Mask kept) {
    std::size_t to = 0;
    Mask common = 0;
    std::uint64_t bytes = 0;
    for (std::size_t from = 0; from < size_; ++from) {
        if ((kept >> from & 1) == 0)
            continue;
        frames_[to] = frames_[from];
        glances_[to] = glances_[from];
        if (!one_passage_)
            passages_[to] = passages_[from];
        common |= Mask{is_common(from)} << to;
        bytes += glances_[to].ip_length;
        ++to;
    }
    size_ = to;
    common_ = common;
    common_bytes_ = bytes;
    parsed_ = 0;
}

void Burst::parse(std::size_t i) {
    Packet& packet = packets_[i];
    packet.malformed = parse_frame({frames_[i].data, frames_[i].length},
                                   circumstances_.parser_settings, packet.headers);
    packet.passage = passage(i);
    packet.sequence = circumstances_.first_sequence + i;
    packet.now_ms = circumstances_.now_ms;
    packet.uptime_s = circumstances_.uptime_s;
    parsed_packets_[i] = &packet;
    parsed_ |= Mask{1} << i;
}

}  // namespace sluice::packet
