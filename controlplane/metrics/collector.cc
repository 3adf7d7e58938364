#include "controlplane/metrics/collector.h"

#include <prometheus/text_serializer.h>

#include <chrono>
#include <limits>
#include <sstream>
#include <utility>

#include "controlplane/metrics/rule_series.h"
#include "controlplane/metrics/sums.h"

namespace sluice::metrics {
namespace {

using contract::WorkerCounters;

struct WorkerField {
    const char* name;
    const char* help;
    std::uint64_t WorkerCounters::*field;
};

// Counters of which each worker has a series.
constexpr WorkerField kOfEachWorker[] = {
    {"sluice_lcore_turns_total", "Turns of the worker's poll loop.", &WorkerCounters::heartbeat},
    {"sluice_lcore_bursts_total", "Bursts of packets that the worker received.",
     &WorkerCounters::bursts},
    {"sluice_lcore_handovers_total", "Packets given to the worker that owns their flow.",
     &WorkerCounters::handed_over},
    {"sluice_lcore_handovers_misdirected_total",
     "Packets handed over that the port should have brought to the right worker.",
     &WorkerCounters::misdirected},
    {"sluice_lcore_handover_waits_total",
     "Turns that received less because another worker's queue was full.",
     &WorkerCounters::handover_waits},
};

// Counters that all workers have together.
constexpr WorkerField kOfAllWorkers[] = {
    {"sluice_log_dropped_total", "Log lines that found no room on their way from the workers.",
     &WorkerCounters::log_dropped},
    {"sluice_non_ip_frames_total", "Frames that no rule judged, passed on.",
     &WorkerCounters::non_ip},
    {"sluice_state_inserts_total", "States that were made.", &WorkerCounters::states_made},
    {"sluice_state_refused_passed_total",
     "Packets that went on although their state found no room (dyn_full_pass).",
     &WorkerCounters::without_state},
    {"sluice_state_keepalives_total", "Keepalives sent for states.",
     &WorkerCounters::keepalives_sent},
    {"sluice_fragments_kept_total", "Fragments kept by reass rules.",
     &WorkerCounters::fragments_kept},
    {"sluice_fragments_reassembled_datagrams_total", "Datagrams put together from fragments.",
     &WorkerCounters::datagrams_reassembled},
    {"sluice_replies_sent_total", "ICMP errors and TCP resets sent.",
     &WorkerCounters::replies_sent},
    {"sluice_replies_limited_total", "ICMP errors and TCP resets not sent, over their budget.",
     &WorkerCounters::replies_limited},
    {"sluice_router_packets_total", "Packets that the gateway sent to their next hop.",
     &WorkerCounters::routed},
    {"sluice_router_errors_sent_total",
     "ICMP errors that the gateway sent; they are among the replies, too.",
     &WorkerCounters::errors_sent},
    {"sluice_router_neighbour_waits_total",
     "Packets that were kept until the address of their next hop was known.",
     &WorkerCounters::waited_for_neighbour},
    {"sluice_exception_to_host_frames_total", "Frames given to the kernel of this machine.",
     &WorkerCounters::to_host},
    {"sluice_exception_from_host_frames_total", "Frames that the kernel of this machine sends.",
     &WorkerCounters::from_host},
    {"sluice_bridge_flooded_frames_total", "Frames that a bridge sent to all its ports.",
     &WorkerCounters::flooded},
    {"sluice_divert_packets_total", "Packets given to programs by divert rules.",
     &WorkerCounters::diverted},
    {"sluice_divert_copies_total", "Copies of packets given to programs by tee rules.",
     &WorkerCounters::teed},
    {"sluice_divert_injected_packets_total", "Packets that programs gave back, or made.",
     &WorkerCounters::injected},
    {"sluice_payload_scans_total", "Looks of pattern objects at a packet, or at a piece of a flow.",
     &WorkerCounters::payload_scans},
    {"sluice_payload_bytes_total", "Bytes that pattern objects have looked at.",
     &WorkerCounters::payload_bytes},
    {"sluice_payload_matches_total", "Packets in which a pattern object found something new.",
     &WorkerCounters::payload_matches},
    {"sluice_payload_segments_kept_total",
     "Segments kept until those before them in their connection had come.",
     &WorkerCounters::payload_kept},
    {"sluice_payload_streams_restarted_total",
     "Streams begun anew because a reload has changed their pattern object.",
     &WorkerCounters::payload_restarted},
};

struct PortField {
    const char* name;
    const char* help;
    std::uint64_t contract::PortCounters::*field;
};

constexpr PortField kOfPorts[] = {
    {"sluice_port_rx_packets_total", "Packets received.",
     &contract::PortCounters::received_packets},
    {"sluice_port_rx_bytes_total", "Bytes received, frames without their checksum.",
     &contract::PortCounters::received_bytes},
    {"sluice_port_tx_packets_total", "Packets sent.", &contract::PortCounters::sent_packets},
    {"sluice_port_tx_bytes_total", "Bytes sent, frames without their checksum.",
     &contract::PortCounters::sent_bytes},
    {"sluice_port_rx_drops_total",
     "Packets received by the port and not forwarded, whatever the reason.",
     &contract::PortCounters::dropped_packets},
};

struct DeviceField {
    const char* name;
    const char* help;
    std::uint64_t contract::DeviceStatus::*field;
    bool counts;  // it never falls
};

constexpr DeviceField kOfDevices[] = {
    {"sluice_port_link_up", "1 if the port has a link.", &contract::DeviceStatus::link_up, false},
    {"sluice_port_missed_packets_total",
     "Packets that the port's device lost because nobody fetched them in time.",
     &contract::DeviceStatus::missed, true},
    {"sluice_port_rx_errors_total", "Frames that the device received with an error.",
     &contract::DeviceStatus::receive_errors, true},
    {"sluice_port_tx_errors_total", "Frames that the device could not send.",
     &contract::DeviceStatus::send_errors, true},
    {"sluice_port_rx_without_buffer_total", "Packets that found no buffer.",
     &contract::DeviceStatus::without_buffer, true},
    {"sluice_mempool_size", "Buffers for packets of the port.", &contract::DeviceStatus::buffers,
     false},
    {"sluice_mempool_available", "Those of them that are free.",
     &contract::DeviceStatus::free_buffers, false},
};

void add_devices(const View& view, Families& families) {
    const std::vector<std::string>& ports = view.dataplane->ports;
    const std::size_t count = std::min(ports.size(), view.counters.devices.size());
    for (const DeviceField& field : kOfDevices) {
        Family family = field.counts ? families.counter(field.name, field.help)
                                     : families.gauge(field.name, field.help);
        for (std::size_t port = 0; port < count; ++port)
            family.add({{"port", ports[port]}},
                       contract::read(view.counters.devices[port].*field.field));
    }
    Family speeds = families.gauge("sluice_port_speed_bytes",
                                   "Bytes a second that the port's link can carry, if it says so.");
    for (std::size_t port = 0; port < count; ++port)
        if (const std::uint64_t bits = contract::read(view.counters.devices[port].bits_per_second))
            speeds.add({{"port", ports[port]}}, bits / 8);
}

void add_apply(const Tally::Apply& apply, Families& families) {
    Family applies =
        families.counter("sluice_ruleset_applies_total",
                         "Rulesets that the data plane was to take over, by what became of them.");
    applies.add({{"result", "applied"}}, apply.applied);
    applies.add({{"result", "failed"}}, apply.failed);
    if (apply.applied + apply.failed != 0) {
        families
            .gauge("sluice_ruleset_last_apply_success",
                   "1 if the last ruleset took effect, 0 if it did not.")
            .add({}, apply.last_worked ? 1 : 0);
        families
            .gauge("sluice_ruleset_last_apply_timestamp_seconds",
                   "When the last ruleset took effect, or did not.")
            .add({}, apply.last_time_s);
    }
    prometheus::ClientMetric metric;
    std::uint64_t cumulated = 0;
    for (std::size_t i = 0; i < apply.buckets.size(); ++i) {
        cumulated += apply.buckets[i];
        metric.histogram.bucket.push_back(
            {cumulated, i < kApplySeconds.size() ? kApplySeconds[i]
                                                 : std::numeric_limits<double>::infinity()});
    }
    metric.histogram.sample_count = cumulated;
    metric.histogram.sample_sum = apply.seconds;
    families
        .histogram("sluice_ruleset_apply_duration_seconds",
                   "From a changed ruleset to the last worker that runs it: compiling, building, "
                   "waiting.")
        .add(std::move(metric));
}

void add_requests(const Tally& tally, Families& families) {
    Family requests = families.counter("sluice_control_requests_total",
                                       "Requests on the control socket, by exit status.");
    for (std::size_t kind = 0; kind < kRequestKinds; ++kind)
        for (std::size_t status = 0; status < Tally::kStatuses; ++status)
            if (const std::uint64_t count = tally.requests(kind, status); count != 0)
                requests.add(
                    {{"cmd", std::string(kRequestNames[kind])}, {"code", std::to_string(status)}},
                    count);
}

void add_cost(const contract::RulesetCost& cost, Families& families) {
    families
        .gauge("sluice_classifier_rules", "Live rules that are searched, with the default rule.")
        .add({{"instructions", cost.instructions}}, cost.rules);
    families
        .gauge("sluice_classifier_memory_bytes", "Memory of the search trees and all beside them.")
        .add({}, cost.bytes);
    families.gauge("sluice_classifier_build_seconds", "How long it took to build the search trees.")
        .add({}, static_cast<double>(cost.build_us) / 1e6);
    const std::pair<const char*, const contract::FamilyCost*> of_families[] = {
        {"ipv4", &cost.v4}, {"ipv6", &cost.v6}, {"other", &cost.other}};
    const auto each = [&](const char* name, const char* help, auto field) {
        Family family = families.gauge(name, help);
        for (const auto& [label, of] : of_families)
            family.add({{"family", label}}, of->*field);
    };
    using contract::FamilyCost;
    each("sluice_classifier_tree_memory_bytes", "Memory of the search trees of a family.",
         &FamilyCost::bytes);
    each("sluice_classifier_boxes", "Boxes that the rules became in the trees of a family.",
         &FamilyCost::boxes);
    each("sluice_classifier_trees", "Trees that are searched one after the other.",
         &FamilyCost::trees);
    each("sluice_classifier_worst_path_nodes", "Nodes on the longest way through all trees.",
         &FamilyCost::worst_nodes);
    each("sluice_classifier_worst_path_blocks",
         "Blocks of eight boxes to compare at the end of the longest way.",
         &FamilyCost::worst_blocks);
    each("sluice_classifier_cut_short", "1 if the bound on memory made the longest way longer.",
         &FamilyCost::cut_short);
}

void add_states(const View& view, const Sums& sums, Families& families) {
    families.gauge("sluice_states", "States of flows.").add({}, sums.of(&WorkerCounters::states));
    families.gauge("sluice_states_unanswered", "States to which nothing has come back yet.")
        .add({}, sums.of(&WorkerCounters::unanswered_states));
    families.gauge("sluice_state_parents", "Entries that count the states of limit rules.")
        .add({}, sums.of(&WorkerCounters::parents));
    families.gauge("sluice_states_max", "States that may exist: net.inet.ip.fw.dyn_max, or memory.")
        .add({}, view.most_states());
    families.gauge("sluice_state_memory_bytes", "Memory taken for states at the start.")
        .add({}, view.dataplane->state_memory);
}

void add_dataplane(const View& view, const std::vector<double>& heartbeats, Families& families) {
    const Sums sums(view.counters);
    const std::vector<std::string>& ports = view.dataplane->ports;
    for (const PortField& field : kOfPorts) {
        Family family = families.counter(field.name, field.help);
        for (std::size_t port = 0; port < ports.size() && port < contract::kMaximumPorts; ++port)
            family.add({{"port", ports[port]}}, sums.of_port(port, field.field));
    }
    add_devices(view, families);
    const auto lcore = [](std::size_t worker) -> Labels {
        return {{"lcore", std::to_string(worker)}};
    };
    for (const WorkerField& field : kOfEachWorker) {
        Family family = families.counter(field.name, field.help);
        for (std::size_t worker = 0; worker < view.counters.workers.size(); ++worker)
            family.add(lcore(worker), contract::read(view.counters.workers[worker]->*field.field));
    }
    Family seen = families.gauge("sluice_lcore_heartbeat_timestamp_seconds",
                                 "When the worker's poll loop was last seen to turn.");
    for (std::size_t worker = 0; worker < heartbeats.size(); ++worker)
        seen.add(lcore(worker), heartbeats[worker]);
    Family generations = families.gauge("sluice_lcore_generation",
                                        "Generation of the ruleset that the worker runs.");
    for (std::size_t worker = 0; worker < view.counters.workers.size(); ++worker)
        generations.add(lcore(worker), contract::read(view.counters.workers[worker]->generation));

    Family drops = families.counter("sluice_drops_total",
                                    "Packets dropped for another reason than a rule that says so.");
    for (std::size_t reason = 1; reason < contract::kDropReasonCount; ++reason)
        drops.add({{"reason", std::string(contract::kDropReasonTexts[reason].label)}},
                  sums.of_drops(reason));
    families.gauge("sluice_payload_flows", "Flows whose payload is followed now.")
        .add({}, sums.of(&WorkerCounters::payload_flows));
    Family skips = families.counter("sluice_payload_skipped_total",
                                    "Packets, or flows, whose payload was not looked at as rules "
                                    "want it.");
    for (std::size_t reason = 0; reason < contract::kPayloadSkips; ++reason)
        skips.add({{"reason", contract::kPayloadSkipLabels[reason]}},
                  sums.of_payload_skips(reason));
    add_states(view, sums, families);
    for (const WorkerField& field : kOfAllWorkers)
        families.counter(field.name, field.help).add({}, sums.of(field.field));

    Family entries =
        families.gauge("sluice_table_entries", "Entries of a table, as of a few seconds ago.");
    for (const TableSize& table : view.tables)
        entries.add({{"table", table.name}}, table.entries);
}

}  // namespace

double wall_clock_seconds() {
    return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch())
        .count();
}

Collector::Collector(Board& board, const Tally& tally, CollectorOptions options)
    : board_(board), tally_(tally), options_(std::move(options)), start_s_(options_.now_s()) {}

std::vector<double> Collector::heartbeats(const Counters& counters) {
    const double now = options_.now_s();
    const std::lock_guard lock(mutex_);
    if (mapping_.lock() != counters.mapping) {
        mapping_ = counters.mapping;
        heartbeats_.clear();
    }
    heartbeats_.resize(counters.workers.size());
    std::vector<double> seen;
    for (std::size_t worker = 0; worker < heartbeats_.size(); ++worker) {
        Heartbeat& heartbeat = heartbeats_[worker];
        const std::uint64_t turns = contract::read(counters.workers[worker]->heartbeat);
        if (turns != heartbeat.turns || heartbeat.seen_s == 0)
            heartbeat = {.turns = turns, .seen_s = now};
        seen.push_back(heartbeat.seen_s);
    }
    return seen;
}

std::vector<prometheus::MetricFamily> Collector::collect() {
    Families families;
    const std::optional<Board::Lease> lease = board_.look();
    const View* view = lease ? &**lease : nullptr;
    const bool there = view != nullptr && view->dataplane.has_value();

    families.gauge("sluice_build_info", "Versions: of Sluice, and of DPDK under the data plane.")
        .add({{"version", options_.version}, {"dpdk", there ? view->dataplane->dpdk_version : ""}},
             1);
    families.gauge("sluice_start_time_seconds", "When the control plane started.")
        .add({}, start_s_);
    families.gauge("sluice_dataplane_up", "1 if the control plane is connected to the data plane.")
        .add({}, there ? 1 : 0);
    add_apply(tally_.apply(), families);
    add_requests(tally_, families);
    families
        .counter("sluice_history_write_errors_total",
                 "Attempts to write a ruleset to the history that failed.")
        .add({}, tally_.history_write_errors.get());
    families.counter("sluice_log_lines_total", "Lines written to the log.")
        .add({}, tally_.log_lines.get());
    families
        .counter("sluice_log_write_errors_total",
                 "How often a file or syslog did not take log lines, a full disk for instance.")
        .add({}, tally_.log_write_errors.get());
    families.gauge("sluice_followers", "Clients that look at the log as it is written.")
        .add({}, tally_.followers.get());
    families
        .counter("sluice_follower_lines_lost_total",
                 "Lines that clients which look at the log were too slow for, all together.")
        .add({}, tally_.follower_lines_lost.get());
    families
        .counter("sluice_capture_packets_lost_total",
                 "Packets that came faster than `ipfw capture` or `ipfw trace --live` took them.")
        .add({}, tally_.capture_packets_lost.get());
    if (view != nullptr) {
        families.gauge("sluice_ruleset_generation", "Generation of the ruleset that is in force.")
            .add({}, view->generation);
        families
            .gauge("sluice_ruleset_foreign",
                   "1 if the data plane runs a ruleset that the control plane cannot read.")
            .add({}, view->foreign ? 1 : 0);
    }
    if (there) {
        families
            .gauge(
                "sluice_panic",
                "What `ipfw panic` makes of all packets: 0 the rules decide, 1 they are dropped, "
                "2 they pass.")
            .add({}, static_cast<unsigned>(view->panic));
        families.gauge("sluice_locked", "1 if nothing can be changed: `ipfw lock`.")
            .add({}, view->locked ? 1 : 0);
        families
            .gauge("sluice_ruleset_unconfirmed",
                   "1 if the ruleset goes back unless `ipfw confirm` comes in time.")
            .add({}, view->waits_for_confirmation ? 1 : 0);
        add_cost(view->cost, families);
        add_dataplane(*view, heartbeats(view->counters), families);
        families
            .counter("sluice_log_left_out_total",
                     "Log lines over net.inet.ip.fw.verbose_rate, which were not written.")
            .add({}, Sums(view->counters).of(&WorkerCounters::log_limited) +
                         tally_.log_lines_left_out.get());
        if (!view->foreign)
            add_rule_series(*view, options_.rules, families);
    }
    return families.take();
}

std::string exposition(const std::vector<prometheus::MetricFamily>& families) {
    std::ostringstream text;
    prometheus::TextSerializer().Serialize(text, families);
    return std::move(text).str();
}

}  // namespace sluice::metrics
