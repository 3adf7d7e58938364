// Puts what one side of a TCP connection says into its order.
//
// A segment that comes in its turn is looked at where it lies; one that comes too early is copied
// and waits, within bounds. Of bytes that come twice the first copy counts: what was given out is
// never given out again. A copy that differs is told, as long as the first one may have been lost
// on its way: until the receiver has acknowledged them, copies are kept to compare with, while
// there is room. So the pieces that come out are the same however the bytes were cut and in
// whatever order they came, and they are what the receiver gets.
//
// Threads: belongs to one worker. No allocation after it is made.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace sluice::payload {

inline constexpr std::uint32_t kNoSegment = 0xffffffff;

// One side of a connection.
struct SideOrder {
    std::uint32_t next_sequence = 0;         // of the first byte that was not given out
    std::uint32_t first_kept = kNoSegment;   // of the segments that wait, by sequence
    std::uint32_t kept = 0;                  // how many they are
    std::uint32_t first_given = kNoSegment;  // copies of what was given out, by sequence
    std::uint32_t last_given = kNoSegment;
};

class TcpOrder {
  public:
    static constexpr std::size_t kPieceSize = 2032;      // longer segments wait in several pieces
    static constexpr std::uint32_t kKeptPerSide = 32;    // pieces that wait
    static constexpr std::uint32_t kWindow = 64 * 1024;  // bytes that they may be ahead

    // Memory for so many pieces of all connections together; it is taken as it is used.
    explicit TcpOrder(std::size_t pieces);

    // Bytes that follow each other. They lie in the packet or here, until the next `begin_packet`.
    struct Pieces {
        std::array<std::span<const std::byte>, kKeptPerSide + 1> at;
        std::size_t count = 0;

        std::span<const std::span<const std::byte>> all() const { return {at.data(), count}; }
    };

    enum class Took : std::uint8_t {
        in_order,  // there are pieces
        old,       // nothing of it is new
        kept,      // it waits for what is missing
        no_room,   // … and there is no room for that: whoever sends it must send it again
        conflict,  // bytes of it have come before, and were others
    };

    void begin_packet();
    // `pieces` is set anew. Sequence numbers in host byte order.
    Took take(SideOrder& side, std::uint32_t sequence, std::span<const std::byte> bytes,
              Pieces& pieces);
    // The other side has all bytes before `sequence`.
    void acknowledged(SideOrder& side, std::uint32_t sequence);
    // What lies before `sequence` will not come.
    void skip_to(SideOrder& side, std::uint32_t sequence);
    void forget(SideOrder& side);

    std::size_t free_pieces() const { return free_count_; }

  private:
    struct Segment {
        std::uint32_t next = kNoSegment;
        std::uint32_t sequence = 0;
        std::uint32_t length = 0;
        std::array<std::byte, kPieceSize> bytes;
    };
    struct Free {
        void operator()(Segment* segments) const;
    };

    std::uint32_t take_segment();
    void give_back(std::uint32_t segment);
    bool differs(std::uint32_t first, std::uint32_t sequence,
                 std::span<const std::byte> bytes) const;
    void remember(SideOrder& side, std::uint32_t sequence, std::span<const std::byte> bytes);
    bool is_kept(const SideOrder& side, std::uint32_t sequence, std::size_t length) const;
    bool keep(SideOrder& side, std::uint32_t sequence, std::span<const std::byte> bytes);
    void release_ready(SideOrder& side, Pieces& pieces);

    std::size_t count_;
    std::unique_ptr<Segment, Free> segments_;
    std::uint32_t first_free_ = kNoSegment;
    std::size_t fresh_ = 0;  // segments from here on have never been used
    std::size_t free_count_;
    std::uint32_t given_out_ = kNoSegment;  // pieces of the packet lie in these
};

}  // namespace sluice::payload
