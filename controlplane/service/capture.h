// The client that watches packets: `ipfw capture`, `ipfw trace --live`. There is one at a time.
//
// The data plane is told what to copy (contract/message.h: WatchOrder); the copies come through
// rings, which are emptied here as the log rings are. To capture, each is sent on. To trace, each
// is kept, a few at a time, until the data plane has been asked which way it would take: that is a
// question of now, so the answer is held against what the rules said of the packet itself.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/result.h"
#include "controlplane/service/shared_memory.h"
#include "controlplane/service/stream.h"
#include "dataplane/contract/capture_ring.h"
#include "dataplane/contract/message.h"

namespace sluice::service {

CapturedPacket described(const contract::CaptureSlot& slot);

class Capture {
  public:
    Capture(const FollowOperation& wanted, std::shared_ptr<Stream> stream)
        : wanted_(wanted), stream_(std::move(stream)) {}

    const FollowOperation& wanted() const { return wanted_; }
    contract::WatchOrder order() const;

    // The data plane has begun.
    Result<Done> begin(int rings, std::size_t workers, std::uint64_t watch);

    bool is_wanted() const { return stream_->there(); }

    // Takes what has come. False: nobody wants it any more.
    bool drain();

    // Packets that were lost since the last call.
    std::uint64_t take_lost() { return std::exchange(lost_in_all_, 0); }

    // The next packet that waits for its trace.
    const contract::CaptureSlot* waiting() const {
        return waiting_.empty() ? nullptr : &waiting_.front();
    }
    // What the trace of that packet says; `verdict_rule`: of the rule that it ends with.
    void traced(std::vector<std::string> lines, std::optional<std::int32_t> verdict_rule);

    // The end, and why.
    void end(const std::string& reason);

  private:
    std::uint64_t lost_in_rings() const;
    void send(StreamPiece piece, std::uint64_t packets);
    void lose(std::uint64_t packets) {
        lost_ += packets;
        lost_in_all_ += packets;
    }

    FollowOperation wanted_;
    std::shared_ptr<Stream> stream_;
    Mapping memory_;
    std::vector<contract::CaptureRing> rings_;
    std::uint64_t watch_ = 0;
    std::uint64_t lost_before_ = 0;  // in rings, as far as told
    std::uint64_t lost_ = 0;         // not told yet: to the client
    std::uint64_t lost_in_all_ = 0;  // to the metrics
    std::deque<contract::CaptureSlot> waiting_;
};

}  // namespace sluice::service
