#include "dataplane/program/rule_log.h"

#include "dataplane/contract/counters.h"
#include "dataplane/program/log_record.h"

namespace sluice::program {

namespace {

void count(std::uint64_t* counter) {
    if (counter != nullptr)
        contract::add(*counter, 1);
}

}  // namespace

RuleLog::RuleLog(const EngineOutputs& outputs)
    : ring_(outputs.log),
      annotations_(outputs.annotations),
      dropped_(outputs.log_dropped),
      limited_(outputs.log_limited),
      written_(outputs.slot_capacity) {}

void RuleLog::matched(const contract::Sysctls& sysctls, const packet::Packet& packet,
                      const contract::RuleRecord& rule) {
    if (sysctls.verbose != 0 || (rule.flags & contract::rule_flag::log_syslog) != 0)
        push(log_record(packet, rule), rule.log_limit, sysctls.verbose_rate);
}

void RuleLog::malformed(const contract::Sysctls& sysctls, const packet::Packet& packet) {
    if (sysctls.verbose == 0)
        return;
    contract::LogRecord record = log_record(packet);
    // "pullup failed" names no entry, so it has no limit and does not use up that of entry -1.
    if (packet.malformed == contract::DropReason::short_transport ||
        packet.malformed == contract::DropReason::extension_chain) {
        record.kind = contract::LogKind::pullup_failed;
    } else {
        record.kind = contract::LogKind::refused;
        record.log_limit = sysctls.verbose_limit;
    }
    push(record, record.log_limit, sysctls.verbose_rate);
}

void RuleLog::state_refused(const packet::Packet& packet, const contract::RuleRecord& rule,
                            contract::LogKind kind, std::uint64_t entries) {
    if (last_state_s_ == packet.uptime_s)
        return;
    last_state_s_ = packet.uptime_s;
    push(state_log_record(packet, rule, kind, entries), 0, 0);
}

void RuleLog::call_refused(const packet::Packet& packet) {
    if (last_call_s_ == packet.uptime_s)
        return;
    last_call_s_ = packet.uptime_s;
    contract::LogRecord record = log_record(packet);
    record.kind = contract::LogKind::call_stack;
    push(record, 0, 0);
}

void RuleLog::push(const contract::LogRecord& record, std::uint32_t limit, std::uint32_t rate) {
    Written& written = written_[record.slot];
    if (limit != 0) {
        const std::uint32_t epoch =
            __atomic_load_n(&annotations_[record.slot].log_epoch, __ATOMIC_RELAXED);
        if (written.epoch != epoch) {
            written.epoch = epoch;
            written.count = 0;
        }
        if (written.count >= limit)
            return;
    }
    if (rate != 0) {
        const auto second = static_cast<std::uint32_t>(record.time_ms / 1000);
        if (written.second != second) {
            written.second = second;
            written.in_second = 0;
        }
        if (written.in_second >= rate)
            return count(limited_);
    }
    if (!ring_.push(record))
        return count(dropped_);
    ++written.in_second;
    if (limit != 0)
        ++written.count;
}

}  // namespace sluice::program
