// The log, and those who look at what happens while it happens.
#include <utility>

#include "controlplane/service/controller.h"

namespace sluice::service {

void Controller::drain_logs() {
    limiter_.set_rate(ruleset_.sysctls().verbose_rate);
    log_writer_.drain(memory_.log_rings(), limiter_, interface_names_);
    live_log_.flush();
    if (observation_ == nullptr)
        return;
    observation_->tally.log_lines.set(log_writer_.lines());
    observation_->tally.log_lines_lost.set(log_writer_.lost());
    observation_->tally.followers.set(live_log_.size());
    observation_->tally.follower_lines_lost.set(live_log_.lost());
}

// One line, whatever was left out, where it was left out.
void Controller::report_left_out() {
    const log::LogLimiter::LeftOut here = limiter_.take_left_out();
    std::uint64_t by_workers = 0;
    for (const contract::WorkerCounters* worker : memory_.counters().workers)
        by_workers += contract::read(worker->log_limited);
    const std::uint64_t lines =
        here.lines + by_workers - std::exchange(left_out_by_workers_, by_workers);
    if (observation_ != nullptr)
        observation_->tally.log_lines_left_out.add(here.lines);
    if (lines == 0)
        return;
    std::string rules;
    for (const std::uint16_t rule : here.rules)
        rules += " " + std::to_string(rule);
    log_writer_.note("ipfw: " + std::to_string(lines) +
                         (lines == 1 ? " line was left out: " : " lines were left out: ") +
                         (rules.empty() ? std::string("a rule logs") : "at entry" + rules) +
                         (rules.empty() ? "" : ",") + " more than " +
                         std::to_string(ruleset_.sysctls().verbose_rate) +
                         " in a second (net.inet.ip.fw.verbose_rate)",
                     clock_s_() * 1000);
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
