// Those who look at the log as it is written: `ipfw tail`.
//
// Lines are collected while the log rings are emptied, and sent behind that, one piece for each
// client. What a client has no room for it loses, and is told how much with the next piece that it
// takes; the daemon never waits for it.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "controlplane/log/log_writer.h"
#include "controlplane/service/stream.h"

namespace sluice::service {

class LiveLog {
  public:
    void add(const FollowOperation& wanted, std::shared_ptr<Stream> stream);

    void take(const log::LogEntry& entry);

    // Sends what was taken; clients that have gone are forgotten.
    void flush();

    std::size_t size() const { return followers_.size(); }
    std::uint64_t lost() const { return lost_; }  // by all clients together

  private:
    struct Follower {
        FollowOperation wanted;
        std::shared_ptr<Stream> stream;
        StreamPiece piece = {};
        std::size_t room = 0;  // for further lines of this piece
    };

    std::vector<Follower> followers_;
    std::uint64_t lost_ = 0;
};

}  // namespace sluice::service
