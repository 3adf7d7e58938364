#include "controlplane/service/live_log.h"

#include "controlplane/log/log_fields.h"

namespace sluice::service {
namespace {

bool wants(const contract::PacketFilter& filter, const log::LogEntry& entry) {
    return entry.cause != nullptr ? log::meets(filter, *entry.cause)
                                  : filter == contract::PacketFilter();
}

}  // namespace

void LiveLog::add(const FollowOperation& wanted, std::shared_ptr<Stream> stream) {
    const std::size_t room = stream->room();
    followers_.push_back({.wanted = wanted, .stream = std::move(stream), .room = room});
}

void LiveLog::take(const log::LogEntry& entry) {
    constexpr std::size_t kAround = 16;  // quotes, a comma, what has to be escaped
    for (Follower& follower : followers_) {
        if (!wants(follower.wanted.filter, entry))
            continue;
        std::string line = follower.wanted.form == FollowOperation::Form::json
                               ? log::json_of(entry)
                               : log::line_of_file(entry.line, entry.time_ms);
        // JSON within JSON: each quote becomes two bytes.
        const std::size_t size =
            line.size() * (follower.wanted.form == FollowOperation::Form::json ? 2 : 1) + kAround;
        if (size > follower.room) {
            ++follower.piece.lost;
            ++lost_;
            continue;
        }
        follower.room -= size;
        follower.piece.lines.push_back(std::move(line));
    }
}

void LiveLog::flush() {
    for (Follower& follower : followers_) {
        const bool nothing = follower.piece.lines.empty() && follower.piece.lost == 0;
        if (!nothing && follower.stream->send(follower.piece)) {
            follower.piece = {};
        } else {
            lost_ += follower.piece.lines.size();
            follower.piece.lost += follower.piece.lines.size();
            follower.piece.lines.clear();
        }
        follower.room = follower.stream->room();
    }
    std::erase_if(followers_, [](const Follower& follower) { return !follower.stream->there(); });
}

}  // namespace sluice::service
