#include "dataplane/program/rule_log.h"

#include "dataplane/contract/counters.h"
#include "dataplane/program/log_record.h"

namespace sluice::program {

RuleLog::RuleLog(const contract::LogRing& ring, const contract::SlotAnnotation* annotations,
                 std::uint32_t slot_capacity, std::uint64_t* dropped)
    : ring_(ring), annotations_(annotations), dropped_(dropped), written_(slot_capacity) {}

void RuleLog::matched(const contract::Sysctls& sysctls, const packet::Packet& packet,
                      const contract::RuleRecord& rule) {
    if (sysctls.verbose != 0 || (rule.flags & contract::rule_flag::log_syslog) != 0)
        push(log_record(packet, rule), rule.log_limit);
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
    push(record, record.log_limit);
}

void RuleLog::state_refused(const packet::Packet& packet, const contract::RuleRecord& rule,
                            contract::LogKind kind, std::uint64_t entries) {
    if (last_state_s_ == packet.uptime_s)
        return;
    last_state_s_ = packet.uptime_s;
    push(state_log_record(packet, rule, kind, entries), 0);
}

void RuleLog::call_refused(const packet::Packet& packet) {
    if (last_call_s_ == packet.uptime_s)
        return;
    last_call_s_ = packet.uptime_s;
    contract::LogRecord record = log_record(packet);
    record.kind = contract::LogKind::call_stack;
    push(record, 0);
}

void RuleLog::push(const contract::LogRecord& record, std::uint32_t limit) {
    Written& written = written_[record.slot];
    if (limit != 0) {
        const std::uint32_t epoch =
            __atomic_load_n(&annotations_[record.slot].log_epoch, __ATOMIC_RELAXED);
        if (written.epoch != epoch)
            written = {.epoch = epoch, .count = 0};
        if (written.count >= limit)
            return;
    }
    if (!ring_.push(record)) {
        if (dropped_ != nullptr)
            contract::add(*dropped_, 1);
    } else if (limit != 0) {
        ++written.count;
    }
}

}  // namespace sluice::program
