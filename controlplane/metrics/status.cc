#include "controlplane/metrics/status.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "controlplane/metrics/rule_series.h"
#include "controlplane/metrics/sums.h"

namespace sluice::metrics {
namespace {

using Json = nlohmann::json;
using contract::WorkerCounters;

Json states_of(const View& view, const Sums& sums) {
    return {{"count", sums.of(&WorkerCounters::states)},
            {"unanswered", sums.of(&WorkerCounters::unanswered_states)},
            {"most", view.most_states()},
            {"made", sums.of(&WorkerCounters::states_made)}};
}

Json workers_of(const View& view) {
    Json workers = Json::array();
    for (const WorkerCounters* worker : view.counters.workers)
        workers.push_back({{"turns", contract::read(worker->heartbeat)},
                           {"bursts", contract::read(worker->bursts)},
                           {"generation", contract::read(worker->generation)}});
    return workers;
}

Json ports_of(const View& view, const Sums& sums) {
    using contract::PortCounters;
    Json ports = Json::array();
    const std::vector<std::string>& names = view.dataplane->ports;
    for (std::size_t port = 0; port < names.size() && port < contract::kMaximumPorts; ++port)
        ports.push_back({{"name", names[port]},
                         {"rx_packets", sums.of_port(port, &PortCounters::received_packets)},
                         {"rx_bytes", sums.of_port(port, &PortCounters::received_bytes)},
                         {"tx_packets", sums.of_port(port, &PortCounters::sent_packets)},
                         {"tx_bytes", sums.of_port(port, &PortCounters::sent_bytes)},
                         {"rx_drops", sums.of_port(port, &PortCounters::dropped_packets)}});
    return ports;
}

Json rules_of(const View& view) {
    Json rules = Json::array();
    const std::vector<const ruleset::StoredRule*> all = rules_in_order(view);
    for (std::size_t i = 0; i < all.size(); ++i) {
        const ruleset::StoredRule& rule = *all[i];
        const RuleCount count = count_of(view.counters, rule.slot, Since::zeroed);
        rules.push_back({{"number", rule.rule.number},
                         {"set", rule.rule.set},
                         {"id", rule_id(all, i)},
                         {"text", rule.text},
                         {"enabled", !view.ruleset.is_disabled(rule)},
                         {"packets", count.packets},
                         {"bytes", count.bytes},
                         {"last_match_s", count.last_match_s}});
    }
    return rules;
}

Json drops_of(const Sums& sums) {
    Json drops = Json::array();
    for (std::size_t reason = 1; reason < contract::kDropReasonCount; ++reason)
        if (const std::uint64_t packets = sums.of_drops(reason); packets != 0)
            drops.push_back({{"reason", contract::kDropReasonTexts[reason].label},
                             {"meaning", contract::kDropReasonTexts[reason].help},
                             {"packets", packets}});
    return drops;
}

Json tables_of(const View& view) {
    Json tables = Json::array();
    for (const TableSize& table : view.tables)
        tables.push_back({{"name", table.name}, {"entries", table.entries}});
    return tables;
}

}  // namespace

std::string Status::json() const {
    const std::optional<Board::Lease> lease = board_.look();
    const View* view = lease ? &**lease : nullptr;
    const bool there = view != nullptr && view->dataplane.has_value();
    Json status = {{"schema", "sluice/status/1"},
                   {"time_s", options_.now_s()},
                   {"started_s", start_s_},
                   {"version", options_.version},
                   {"dpdk", there ? view->dataplane->dpdk_version : ""},
                   {"dataplane", there},
                   {"generation", view != nullptr ? view->generation : 0},
                   {"foreign", view != nullptr && view->foreign},
                   {"last_apply", nullptr},
                   {"states", nullptr},
                   {"workers", Json::array()},
                   {"ports", Json::array()},
                   {"rules", Json::array()},
                   {"drops", Json::array()},
                   {"tables", Json::array()}};
    if (const Tally::Apply apply = tally_.apply(); apply.applied + apply.failed != 0)
        status["last_apply"] = {{"worked", apply.last_worked}, {"time_s", apply.last_time_s}};
    if (there) {
        const Sums sums(view->counters);
        status["states"] = states_of(*view, sums);
        status["workers"] = workers_of(*view);
        status["ports"] = ports_of(*view, sums);
        status["drops"] = drops_of(sums);
        status["tables"] = tables_of(*view);
    }
    if (view != nullptr && !view->foreign)
        status["rules"] = rules_of(*view);
    // Comments may be no UTF-8.
    return status.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace sluice::metrics
