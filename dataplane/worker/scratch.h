// Room of a worker for frames that do not lie in one buffer. For the files of the worker only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "dataplane/forward/keepalive.h"
#include "dataplane/forward/reply.h"
#include "dataplane/worker/worker.h"

namespace sluice::worker {

// The longest IP packet and the longest header in front of it. What a frame has beyond is padding
// to the engine.
inline constexpr std::uint32_t kLongestFrame = 14 + 4 * 4 + 65535;

// Where frames that lie in several buffers are put together, one place for each packet of a burst.
// Pages that are never used cost nothing.
struct Worker::Scratch {
    explicit Scratch(unsigned burst) : frames(new std::byte[std::size_t{burst} * kLongestFrame]) {}

    std::unique_ptr<std::byte[]> frames;
    std::byte reply[forward::kMaximumReply];
    std::byte keepalive[forward::kMaximumKeepalive];
    std::byte fragment[kLongestFrame];
};

}  // namespace sluice::worker
