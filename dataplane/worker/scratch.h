// Room of a worker for frames that do not lie in one buffer. For the files of the worker only.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "dataplane/forward/keepalive.h"
#include "dataplane/worker/worker.h"

namespace sluice::worker {

// Where frames that lie in several buffers are put together, one place for each packet of a burst.
// Pages that are never used cost nothing.
struct Worker::Scratch {
    explicit Scratch(unsigned burst) : frames(new std::byte[std::size_t{burst} * kLongestFrame]) {}

    std::unique_ptr<std::byte[]> frames;
    std::byte keepalive[forward::kMaximumKeepalive];
    std::byte fragment[kLongestFrame];
};

// A packet that a rule gives to a program.
struct Worker::Handed {
    rte_mbuf* mbuf = nullptr;  // null: it lies in no buffer, but here:
    std::span<const std::byte> whole{};
    const packet::Packet& packet;
    program::PacketMarks& marks;
};

// What a burst has for its `out` pass: the packets that have been let in and have a way on. Plain
// ones come first.
struct Worker::Routed {
    // Destinations that are looked up together.
    template <typename Address>
    struct Wanted {
        unsigned count = 0;
        std::array<std::uint8_t, packet::Burst::kCapacity> packets;
        std::array<Address, packet::Burst::kCapacity> destinations;
        std::array<const route::NextHop*, packet::Burst::kCapacity> found;
    };

    bool all_plain_frames = false;  // in the burst that came
    Wanted<Ipv4> wanted4;
    Wanted<Ipv6> wanted6;
    packet::Burst burst;
    program::Judgement judgement;
    std::array<rte_mbuf*, packet::Burst::kCapacity> mbufs;
    unsigned plain = 0;
    std::array<const route::NextHop*, packet::Burst::kCapacity> hops;  // of the plain ones …
    std::array<Router::Way, packet::Burst::kCapacity> ways;            // … and of the others
    // Of datagrams that have been put together, by place in the burst. Pages that are never used
    // cost nothing.
    std::unique_ptr<std::byte[]> frames{new std::byte[packet::Burst::kCapacity * kLongestFrame]};
};

}  // namespace sluice::worker
