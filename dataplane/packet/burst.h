// Packets that are judged together, column by column, and each of them whole only when somebody
// asks.
//
// A frame that is added is glanced at (glance.h), which is enough for most; its headers are parsed
// when `packet` is called for the first time. So what common packets of a plain ruleset cost is a
// glance, and the rest sees the same Packet as ever. The frames are not owned and must not change
// or go while the burst is in use.
//
// Threads: belongs to one worker.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "dataplane/packet/glance.h"
#include "dataplane/packet/packet.h"
#include "dataplane/packet/parser.h"

namespace sluice::packet {

class Burst {
  public:
    static constexpr std::size_t kCapacity = 64;
    using Mask = std::uint64_t;  // bit i: packet i
    static_assert(kCapacity == 8 * sizeof(Mask));

    // What is true of all packets of a burst.
    struct Circumstances {
        ParserSettings parser_settings;
        std::uint64_t first_sequence = 0;  // the others follow
        std::uint64_t now_ms = 0;          // as in Packet
        std::uint32_t uptime_s = 0;
    };

    // Begins an empty one.
    void begin(const Circumstances& circumstances) {
        // One by one: what has just been written in pieces cannot be copied as a whole at once.
        circumstances_.parser_settings = circumstances.parser_settings;
        circumstances_.first_sequence = circumstances.first_sequence;
        circumstances_.now_ms = circumstances.now_ms;
        circumstances_.uptime_s = circumstances.uptime_s;
        size_ = 0;
        common_ = 0;
        common_bytes_ = 0;
        parsed_ = 0;
        one_passage_ = true;
    }

    struct Frame {
        const std::byte* data;
        std::uint32_t length;
    };

    // REQUIRES: size() < kCapacity.
    void add(const std::byte* frame, std::uint32_t length, const Passage& passage) {
        add(1, passage, [&](std::size_t) { return Frame{frame, length}; });
    }
    // Several that all go the same way: frame_at(0) … frame_at(count - 1).
    // REQUIRES: size() + count <= kCapacity.
    template <typename FrameAt>
    void add(std::size_t count, const Passage& passage, FrameAt frame_at) {
        note_passage(count, passage);
        for (std::size_t i = 0; i < count; ++i)
            frames_[size_ + i] = frame_at(i);
        look(count);
    }
    // Some of another burst, by place there, that all go the same way, and whose bytes that a
    // glance sees are the same but for TTL and Ethernet addresses. REQUIRES: size() + places.size()
    // <= kCapacity; they were added as frames.
    void add(const Burst& other, std::span<const std::uint8_t> places, const Passage& passage) {
        note_passage(places.size(), passage);
        std::size_t to = size_;
        for (const std::size_t from : places) {
            frames_[to] = other.frames_[from];
            glances_[to] = other.glances_[from];
            common_ |= Mask{other.is_common(from)} << to;
            common_bytes_ += other.glances_[from].ip_length;
            ++to;
        }
        size_ = to;
    }
    // One that has been parsed already, and outlives the burst. It is not glanced at.
    // REQUIRES: size() < kCapacity.
    void add(const Packet& packet) {
        note_passage(1, packet.passage);
        parsed_packets_[size_] = &packet;
        glances_[size_] = {};
        parsed_ |= Mask{1} << size_;
        ++size_;
    }
    // From now on all go another way, and the bytes that a glance does not see may have changed.
    // REQUIRES: they were added as frames.
    void redirect(const Passage& passage) {
        passage_ = passage;
        one_passage_ = true;
        parsed_ = 0;
    }
    // Takes all others out; those that stay move together.
    void keep_only(Mask kept);

    std::size_t size() const { return size_; }
    Mask all() const { return size_ == kCapacity ? ~Mask{0} : (Mask{1} << size_) - 1; }

    // The packets whose glance says all of them that plain rules ask. REQUIRES of what follows:
    // i < size().
    Mask common() const { return common_; }
    bool is_common(std::size_t i) const { return (common_ >> i & 1) != 0; }
    // That rules count, of all of these.
    std::uint64_t common_bytes() const { return common_bytes_; }
    // Its version is 0 if the packet is not common.
    const Glance& glance(std::size_t i) const { return glances_.data()[i]; }
    // Its bytes. REQUIRES: it was added as a frame.
    const Frame& frame(std::size_t i) const { return frames_[i]; }
    const Passage& passage(std::size_t i) const { return one_passage_ ? passage_ : passages_[i]; }
    // All packets go the same way.
    bool has_one_passage() const { return one_passage_; }

    const Packet& packet(std::size_t i) {
        if ((parsed_ >> i & 1) == 0)
            parse(i);
        return *parsed_packets_[i];
    }

    const Circumstances& circumstances() const { return circumstances_; }

  private:
    // Of the next `count` packets. As long as it is one for all there is one.
    void note_passage(std::size_t count, const Passage& passage) {
        if (size_ == 0)
            passage_ = passage;
        else if (!one_passage_ || passage != passage_)
            note_passages(count, passage);
    }
    void note_passages(std::size_t count, const Passage& passage);
    // At the next frames.
    void look(std::size_t count);
    void parse(std::size_t i);

    Circumstances circumstances_;
    std::size_t size_ = 0;
    Mask common_ = 0;
    std::uint64_t common_bytes_ = 0;
    Mask parsed_ = 0;
    std::array<Glance, kCapacity> glances_;
    bool one_passage_ = true;
    Passage passage_;                          // if it is one
    std::array<Passage, kCapacity> passages_;  // if they are several
    std::array<Frame, kCapacity> frames_;
    // Where the packets of `parsed_` are: with the caller, or here.
    std::array<const Packet*, kCapacity> parsed_packets_;
    std::array<Packet, kCapacity> packets_;
};

}  // namespace sluice::packet
