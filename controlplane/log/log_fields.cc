#include "controlplane/log/log_fields.h"

#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>

#include "controlplane/log/log_line.h"

namespace sluice::log {
namespace {

using contract::Fate;
using contract::LogKind;
using contract::LogRecord;
using contract::RuleAction;
namespace log_flag = contract::log_flag;
using Json = nlohmann::ordered_json;

bool is_about_a_packet(const LogRecord& record) {
    return record.kind == LogKind::rule || record.kind == LogKind::refused ||
           record.kind == LogKind::state_limit || record.kind == LogKind::pullup_failed;
}

Fate fate_of(RuleAction action) {
    switch (action) {
        case RuleAction::allow:
        case RuleAction::fwd:
            return Fate::accept;
        case RuleAction::deny:
        case RuleAction::unreach:
        case RuleAction::unreach6:
        case RuleAction::reset:
        case RuleAction::reset6:
        case RuleAction::abort:
        case RuleAction::abort6:
            return Fate::deny;
        case RuleAction::count:
        case RuleAction::skipto:
        case RuleAction::divert:
        case RuleAction::tee:
        case RuleAction::call:
        case RuleAction::return_:
        case RuleAction::setfib:
        case RuleAction::setdscp:
        case RuleAction::tcp_setmss:
        case RuleAction::setmark:
        case RuleAction::reass:
        case RuleAction::check_state:
        case RuleAction::count_:
            break;
    }
    return Fate::any;
}

std::string dumped(const Json& object) {
    return object.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json json_of(const std::string& line, std::uint64_t time_ms) {
    return {{"schema", "sluice/log/1"}, {"time", utc_timestamp(time_ms)}, {"line", line}};
}

void put_interface(Json& object, const char* key, std::uint16_t index,
                   std::span<const std::string> names) {
    if (index != contract::kNoInterface)
        object[key] = index < names.size() ? printable(names[index]) : "?";
}

void put_packet(Json& object, const LogRecord& record, std::span<const std::string> names) {
    object["direction"] = (record.flags & log_flag::out) != 0 ? "out" : "in";
    put_interface(object, "receive_interface", record.receive_interface, names);
    put_interface(object, "transmit_interface", record.transmit_interface, names);
    if (record.ip_version == 0)
        return;
    object["ip_version"] = record.ip_version;
    object["protocol"] = protocol_word(record);
    object["protocol_number"] = record.protocol;
    object["source"] = address_text(record.source, record.ip_version);
    object["destination"] = address_text(record.destination, record.ip_version);
    if ((record.flags & log_flag::ports) != 0) {
        object["source_port"] = record.source_port;
        object["destination_port"] = record.destination_port;
    }
    if ((record.flags & log_flag::icmp) != 0) {
        object["icmp_type"] = record.icmp_type;
        object["icmp_code"] = record.icmp_code;
    }
    if ((record.flags & log_flag::fragment) != 0)
        object["fragment"] = {{"id", record.ip_id},
                              {"offset", record.fragment_offset},
                              {"length", record.fragment_length},
                              {"more", (record.flags & log_flag::more_fragments) != 0}};
}

}  // namespace

Fate fate_of(const LogRecord& record) {
    switch (record.kind) {
        case LogKind::rule:
            return fate_of(record.action);
        case LogKind::refused:
        case LogKind::pullup_failed:
        case LogKind::state_limit:
        case LogKind::state_table_full:
            return Fate::deny;
        case LogKind::call_stack:
            break;
    }
    return Fate::any;
}

bool meets(const contract::PacketFilter& filter, const LogRecord& record) {
    if (!is_about_a_packet(record))
        return filter == contract::PacketFilter();
    const bool has_ports =
        (record.flags & log_flag::ports) != 0 || record.kind == LogKind::state_limit;
    return contract::meets(filter, {.ip_version = record.ip_version,
                                    .protocol = record.protocol,
                                    .has_ports = has_ports,
                                    .out = (record.flags & log_flag::out) != 0,
                                    .fate = fate_of(record),
                                    .rule_number = record.rule_number,
                                    .source_port = record.source_port,
                                    .destination_port = record.destination_port,
                                    .source = record.source,
                                    .destination = record.destination});
}

std::string json_line(const LogRecord& record, std::span<const std::string> interface_names) {
    Json object = json_of(format_line(record, interface_names), record.time_ms);
    if (record.kind == LogKind::rule) {
        object["rule"] = record.rule_number;
        object["action"] = action_word(record);
    }
    if (!is_about_a_packet(record))
        return dumped(object);
    if (record.kind == LogKind::state_limit)
        object["rule"] = record.rule_number;
    if (const Fate fate = fate_of(record); fate != Fate::any)
        object["fate"] = fate == Fate::accept ? "accept" : "deny";
    put_packet(object, record, interface_names);
    return dumped(object);
}

std::string json_note(const std::string& line, std::uint64_t time_ms) {
    return dumped(json_of(line, time_ms));
}

std::string utc_timestamp(std::uint64_t time_ms) {
    const auto seconds = static_cast<std::time_t>(time_ms / 1000);
    std::tm utc{};
    char text[32] = {};
    if (gmtime_r(&seconds, &utc) == nullptr ||
        std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc) == 0)
        return "1970-01-01T00:00:00.000Z";
    char fraction[8];
    std::snprintf(fraction, sizeof fraction, ".%03uZ", static_cast<unsigned>(time_ms % 1000));
    return std::string(text) + fraction;
}

}  // namespace sluice::log
