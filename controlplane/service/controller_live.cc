// The log, and those who look at what happens while it happens.
#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>

#include "controlplane/service/controller.h"
#include "controlplane/service/pattern_request.h"
#include "controlplane/service/trace_request.h"

namespace sluice::service {

void Controller::drain_logs() {
    limiter_.set_rate(ruleset_.sysctls().verbose_rate);
    log_writer_.drain(memory_.log_rings(), limiter_, interface_names_);
    live_log_.flush();
    const bool wanted = !capture_ || !watch_on_ || capture_->drain();
    if (observation_ != nullptr && capture_)
        observation_->tally.capture_packets_lost.add(capture_->take_lost());
    if (!wanted)
        capture_.reset();
    if (observation_ == nullptr)
        return;
    observation_->tally.log_lines.set(log_writer_.lines());
    observation_->tally.log_write_errors.set(log_writer_.failures());
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
    if (operation.kind != FollowOperation::Kind::log)
        return begin_capture(operation, std::move(stream), reply);
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

// ---- Packets
// -------------------------------------------------------------------------------------

void Controller::begin_capture(const FollowOperation& operation, std::shared_ptr<Stream> stream,
                               const Reply& reply) {
    if (const std::optional<Error> reason = cannot_change())
        return reply(refused(*reason));
    if (capture_ && capture_->is_wanted())
        return reply(refused({ExitStatus::unavailable,
                              "somebody captures packets or traces them live already, and there "
                              "can be one only; end that first"}));
    capture_.emplace(operation, std::move(stream));
    capture_reply_ = reply;
    tend_capture();
}

// What the data plane does for it, and what is wanted of it, come together again.
void Controller::tend_capture() {
    if (busy() || !link_.up())
        return;
    const bool wanted = capture_.has_value();
    if (wanted == watch_on_ && !capture_reply_)
        return trace_next();
    contract::WatchOrder end;
    end.header.length = sizeof end;
    watch_asked_ = static_cast<bool>(link_.watch(wanted ? capture_->order() : end));
}

void Controller::on_watched(Result<WatchAnswer> answer) {
    watch_asked_ = false;
    watch_on_ = answer && answer->watch != 0;
    const Reply reply = std::exchange(capture_reply_, {});
    if (watch_on_ && capture_) {
        const Result<Done> begun =
            capture_->begin(answer->rings.get(), memory_.counters().workers.size(), answer->watch);
        if (!begun)
            answer = begun.error();
    }
    if (!answer) {
        capture_.reset();
        if (reply)
            reply(refused({ExitStatus::unavailable,
                           "sluice-dataplane does not watch packets: " + answer.error().message}));
    } else if (reply) {
        reply(ready({OperationResult()}));
    }
    next_change();
}

// Asks which way the next packet that waits for it would take now.
void Controller::trace_next() {
    const contract::CaptureSlot* slot = capture_ ? capture_->waiting() : nullptr;
    if (slot == nullptr)
        return;
    const contract::CaptureRecord& record = slot->record;
    contract::TraceRequest request;
    if (record.captured_length < record.frame_length ||
        record.captured_length > sizeof request.frame)
        return capture_->traced({"no trace: the frame is longer than " +
                                 std::to_string(sizeof request.frame) + " bytes"},
                                std::nullopt);
    request.out = record.out;
    const auto& by = record.out != 0 ? record.transmit_interface : record.receive_interface;
    std::copy(std::begin(by), std::end(by), std::begin(request.interface));
    if (record.out != 0)
        std::copy(std::begin(record.receive_interface), std::end(record.receive_interface),
                  std::begin(request.receive_interface));
    request.frame_length = record.captured_length;
    std::memcpy(request.frame, slot->frame, record.captured_length);
    live_tracing_ = static_cast<bool>(link_.request_trace(request));
}

void Controller::end_capture(const std::string& reason) {
    if (!capture_)
        return;
    if (const Reply reply = std::exchange(capture_reply_, {}))
        reply(refused({ExitStatus::unavailable, reason}));
    else
        capture_->end(reason);
    capture_.reset();
}

Response Controller::told(std::vector<std::string> lines) const {
    OperationResult result;
    result.lines = std::move(lines);
    return ready({std::move(result)});
}

void Controller::ask_for_trace(Change next, const TraceOperation& operation) {
    const Result<contract::TraceRequest> request = trace_request(operation);
    if (!request)
        return next.reply(refused(request.error()));
    if (const Result<Done> asked = link_.request_trace(*request); !asked)
        return next.reply(refused(asked.error()));
    tracing_ = std::move(next);
}

void Controller::on_traced(const Result<TraceAnswer>& answer) {
    if (std::exchange(live_tracing_, false)) {
        if (capture_ && answer)
            capture_->traced(trace_result(ruleset_, *answer).lines, answer->verdict.rule_number);
        else if (capture_)
            capture_->traced({"no trace: " + answer.error().message}, std::nullopt);
        return next_change();
    }
    const Change asked = std::move(*std::exchange(tracing_, std::nullopt));
    if (answer)
        asked.reply(ready({trace_result(ruleset_, *answer)}));
    else
        asked.reply(refused({ExitStatus::unavailable, answer.error().message}));
    next_change();
}

void Controller::ask_for_patterns(Change next, const std::string& object) {
    if (const Result<Done> asked = link_.request_patterns(object); !asked)
        return next.reply(refused(asked.error()));
    counting_ = std::move(next);
}

void Controller::on_patterns(const Result<PatternAnswer>& answer) {
    const Change asked = std::move(*std::exchange(counting_, std::nullopt));
    if (answer)
        asked.reply(ready({counted_result(asked.request, ruleset_, *answer)}));
    else
        asked.reply(refused({ExitStatus::unavailable, answer.error().message}));
    next_change();
}

}  // namespace sluice::service
