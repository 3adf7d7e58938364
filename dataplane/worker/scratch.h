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

// What gateway ports need: of a burst that comes, and for its `out` pass.
struct Worker::Routed {
    // All of the burst that comes are untagged IP frames in one buffer, for the port's address …
    bool all_plain_frames = false;
    // … and by their types they are of one version. 0: they are not.
    unsigned version_of_all = 0;
    // The interface that a packet of the last burst left by: the next ones will as a rule. Not 0 in
    // `other_ways_out`: some of this burst do not.
    packet::InterfaceIndex last_way_out = 0;
    packet::InterfaceIndex next_way_out = 0;
    unsigned other_ways_out = 0;

    // -- the packets that have been let in and have a way on, plain ones first --

    packet::Burst own_burst;
    std::array<rte_mbuf*, packet::Burst::kCapacity> own_mbufs;
    // The burst that came, if all of it goes on by one interface; else there are copies here.
    packet::Burst* burst = &own_burst;
    rte_mbuf** mbufs = own_mbufs.data();
    program::Judgement judgement;
    unsigned plain = 0;
    std::array<std::uint8_t, packet::Burst::kCapacity> places;         // where the plain ones came
    std::array<const route::NextHop*, packet::Burst::kCapacity> hops;  // of the plain ones …
    std::array<Router::Way, packet::Burst::kCapacity> ways;            // … and of the others

    // Begins to collect single packets.
    void begin(const packet::Burst::Circumstances& circumstances) {
        burst = &own_burst;
        mbufs = own_mbufs.data();
        burst->begin(circumstances);
        judgement.marked = 0;
        plain = 0;
    }

    // The burst that came goes on as a whole. REQUIRES: `hops` holds.
    void take_over(packet::Burst& came, rte_mbuf** came_in) {
        burst = &came;
        mbufs = came_in;
        judgement.marked = 0;
        plain = static_cast<unsigned>(came.size());
    }

    // Of datagrams that have been put together, by place in the burst. Pages that are never used
    // cost nothing.
    std::unique_ptr<std::byte[]> frames{new std::byte[packet::Burst::kCapacity * kLongestFrame]};
};

}  // namespace sluice::worker
