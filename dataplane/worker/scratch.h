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

// What a burst has for its `out` pass: the packets that have been let in and have a way on.
struct Worker::Routed {
    // Destinations that are looked up together.
    template <typename Address>
    struct Wanted {
        std::array<std::uint8_t, packet::Burst::kCapacity> packets;
        std::array<Address, packet::Burst::kCapacity> destinations;
        std::array<std::uint32_t, packet::Burst::kCapacity> hashes;
    };

    std::uint64_t own_mac = 0;  // of the port whose frames are taken
    Wanted<Ipv4> wanted4;
    Wanted<Ipv6> wanted6;
    std::array<const route::NextHop*, packet::Burst::kCapacity> hops;
    packet::Burst burst;
    program::Judgement judgement;
    std::array<rte_mbuf*, packet::Burst::kCapacity> mbufs;
    std::array<Router::Way, packet::Burst::kCapacity> ways;
    // Of datagrams that have been put together, by place in the burst. Pages that are never used
    // cost nothing.
    std::unique_ptr<std::byte[]> frames{new std::byte[packet::Burst::kCapacity * kLongestFrame]};
};

}  // namespace sluice::worker
