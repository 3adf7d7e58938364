// The log, and those who look at what happens while it happens.
#include <utility>

#include "controlplane/service/controller.h"

namespace sluice::service {

void Controller::drain_logs() {
    log_writer_.drain(memory_.log_rings(), limiter_, interface_names_);
    live_log_.flush();
    if (observation_ == nullptr)
        return;
    observation_->tally.log_lines.set(log_writer_.lines());
    observation_->tally.followers.set(live_log_.size());
    observation_->tally.follower_lines_lost.set(live_log_.lost());
}

std::uint64_t Controller::lost_in_rings() {
    std::uint64_t lost = 0;
    for (const contract::LogRing& ring : memory_.log_rings())
        lost += ring.dropped();
    return lost;
}

void Controller::report_lost_lines() {
    const std::uint64_t lost = lost_in_rings();
    if (lost > lost_lines_)
        report_(
            std::to_string(lost - lost_lines_) +
            " log lines were lost: they came faster than they were written, or while no control "
            "plane was there");
    lost_lines_ = lost;
}

void Controller::follow(const FollowOperation& operation, std::shared_ptr<Stream> stream,
                        const Reply& reply) {
    if (stream == nullptr)
        return reply(refused({ExitStatus::unavailable,
                              "too many clients follow what sluice-controlplane says already; "
                              "end one of them"}));
    OperationResult result;
    if (!link_.up())
        result.complaints.push_back(
            "sluice-dataplane is not connected: nothing is logged until it is there");
    else if (ruleset_.sysctls().verbose == 0)
        result.complaints.push_back(
            "net.inet.ip.fw.verbose is 0: only rules with `logdst syslog` log anything");
    live_log_.add(operation, std::move(stream));
    reply(ready({std::move(result)}));
}

Response Controller::told(std::vector<std::string> lines) const {
    OperationResult result;
    result.lines = std::move(lines);
    return ready({std::move(result)});
}

}  // namespace sluice::service
