#include "controlplane/metrics/collector.h"

#include <cmath>

#include "tests/unit/metrics/appliance.h"

namespace sluice::metrics {
namespace {

using Strings = std::vector<std::string>;

TEST(CollectorTest, WithoutADataPlaneThereIsNothingOfIt) {
    Board board;
    Tally tally;
    Collector collector(board, tally, {.version = "1.2.3", .now_s = [] { return 5000.5; }});
    for (const bool published : {false, true}) {
        if (published)
            board.publish(std::make_unique<View>(ruleset::Ruleset(false)));
        const Exposition scrape = read_exposition(exposition(collector.collect()));
        EXPECT_EQ(scrape.complaints, Strings());
        EXPECT_EQ(scrape.value("sluice_dataplane_up"), 0);
        EXPECT_EQ(scrape.value("sluice_start_time_seconds"), 5000.5);
        EXPECT_EQ(scrape.value("sluice_build_info", {{"version", "1.2.3"}, {"dpdk", ""}}), 1);
        EXPECT_EQ(scrape.all("sluice_rule_packets_total").size(), 0u);
        EXPECT_EQ(scrape.all("sluice_port_rx_packets_total").size(), 0u);
        EXPECT_EQ(scrape.all("sluice_states").size(), 0u);
        EXPECT_EQ(scrape.all("sluice_ruleset_generation").size(), published ? 1u : 0u);
    }
}

TEST(CollectorTest, EveryFamilyStandsTheStrictReader) {
    Appliance appliance(2);
    const auto slot = appliance.add("100 allow tcp from any to any keep-state :web // \"a\\b\"");
    appliance.add("200 count log ip from any to any");
    appliance.count(0, slot, 3, 300);
    appliance.tables = {{.name = "blocked", .entries = 12}};
    appliance.tally.request(RequestKind::add, ExitStatus::ok);
    appliance.tally.apply(Tally::Outcome::applied, 0.002, 4000);
    const Exposition scrape = appliance.scrape();
    EXPECT_EQ(scrape.complaints, Strings());
    EXPECT_GT(scrape.types.size(), 60u);
    for (const auto& [name, type] : scrape.types)
        EXPECT_TRUE(name.starts_with("sluice_")) << name;
}

TEST(CollectorTest, SumsOverTheWorkers) {
    Appliance appliance(2);
    for (std::size_t worker = 0; worker < 2; ++worker) {
        const std::uint64_t n = worker + 1;
        contract::WorkerCounters& counters = appliance.workers[worker];
        counters.log_dropped = 10 * n;
        counters.log_limited = 3 * n;
        counters.states = 100 * n;
        counters.unanswered_states = 20 * n;
        counters.parents = n;
        counters.states_made = 1000 * n;
        counters.to_host = 5 * n;
        counters.from_host = 6 * n;
        counters.diverted = 7 * n;
        counters.teed = 8 * n;
        counters.injected = 9 * n;
        counters.routed = 11 * n;
        counters.payload_scans = 12 * n;
        counters.payload_flows = 13 * n;
        counters.payload_skips[static_cast<std::size_t>(contract::PayloadSkip::gap)] = 14 * n;
        counters.drops[static_cast<std::size_t>(contract::DropReason::martian)] = 30 * n;
        counters.ports[1] = {.received_packets = 40 * n,
                             .received_bytes = 4000 * n,
                             .sent_packets = 50 * n,
                             .sent_bytes = 5000 * n,
                             .dropped_packets = 2 * n};
    }
    const Exposition scrape = appliance.scrape();
    EXPECT_EQ(scrape.value("sluice_log_dropped_total"), 30);
    EXPECT_EQ(scrape.value("sluice_log_left_out_total"), 9);
    EXPECT_EQ(scrape.value("sluice_states"), 300);
    EXPECT_EQ(scrape.value("sluice_states_unanswered"), 60);
    EXPECT_EQ(scrape.value("sluice_state_parents"), 3);
    EXPECT_EQ(scrape.value("sluice_state_inserts_total"), 3000);
    EXPECT_EQ(scrape.value("sluice_exception_to_host_frames_total"), 15);
    EXPECT_EQ(scrape.value("sluice_exception_from_host_frames_total"), 18);
    EXPECT_EQ(scrape.value("sluice_divert_packets_total"), 21);
    EXPECT_EQ(scrape.value("sluice_divert_copies_total"), 24);
    EXPECT_EQ(scrape.value("sluice_divert_injected_packets_total"), 27);
    EXPECT_EQ(scrape.value("sluice_payload_scans_total"), 36);
    EXPECT_EQ(scrape.value("sluice_payload_flows"), 39);
    EXPECT_EQ(scrape.value("sluice_payload_skipped_total", {{"reason", "gap"}}), 42);
    EXPECT_EQ(scrape.value("sluice_router_packets_total"), 33);
    EXPECT_EQ(scrape.value("sluice_drops_total", {{"reason", "martian"}}), 90);
    EXPECT_EQ(scrape.value("sluice_drops_total", {{"reason", "no_route"}}), 0);
    EXPECT_EQ(scrape.value("sluice_port_rx_packets_total", {{"port", "em1"}}), 120);
    EXPECT_EQ(scrape.value("sluice_port_rx_bytes_total", {{"port", "em1"}}), 12000);
    EXPECT_EQ(scrape.value("sluice_port_tx_packets_total", {{"port", "em1"}}), 150);
    EXPECT_EQ(scrape.value("sluice_port_tx_bytes_total", {{"port", "em1"}}), 15000);
    EXPECT_EQ(scrape.value("sluice_port_rx_drops_total", {{"port", "em1"}}), 6);
    EXPECT_EQ(scrape.value("sluice_port_rx_packets_total", {{"port", "em0"}}), 0);
}

TEST(CollectorTest, WhatDevicesSayOfThemselves) {
    Appliance appliance(1);
    appliance.devices[1] = {.link_up = 1,
                            .bits_per_second = 10'000'000'000,
                            .missed = 2,
                            .receive_errors = 3,
                            .send_errors = 4,
                            .without_buffer = 5,
                            .buffers = 8000,
                            .free_buffers = 7000};
    const Exposition scrape = appliance.scrape();
    const auto value = [&](const char* name) { return scrape.value(name, {{"port", "em1"}}); };
    EXPECT_EQ(value("sluice_port_link_up"), 1);
    EXPECT_EQ(value("sluice_port_speed_bytes"), 1'250'000'000);
    EXPECT_EQ(value("sluice_port_missed_packets_total"), 2);
    EXPECT_EQ(value("sluice_port_rx_errors_total"), 3);
    EXPECT_EQ(value("sluice_port_tx_errors_total"), 4);
    EXPECT_EQ(value("sluice_port_rx_without_buffer_total"), 5);
    EXPECT_EQ(value("sluice_mempool_size"), 8000);
    EXPECT_EQ(value("sluice_mempool_available"), 7000);
    EXPECT_EQ(scrape.value("sluice_port_link_up", {{"port", "em0"}}), 0);
    EXPECT_EQ(scrape.all("sluice_port_speed_bytes").size(), 1u);
}

TEST(CollectorTest, EveryDropReasonHasASeries) {
    Appliance appliance(1);
    const Exposition scrape = appliance.scrape();
    const auto drops = scrape.all("sluice_drops_total");
    ASSERT_EQ(drops.size(), contract::kDropReasonCount - 1);
    for (std::size_t reason = 1; reason < contract::kDropReasonCount; ++reason)
        EXPECT_EQ(drops[reason - 1].labels.at("reason"), contract::kDropReasonTexts[reason].label);
}

TEST(CollectorTest, StatesMayNotBeMoreThanThereIsMemoryFor) {
    Appliance appliance(1);
    EXPECT_EQ(appliance.scrape().value("sluice_states_max"), 1000);
    appliance.ruleset.sysctls().dyn_max = 400;
    EXPECT_EQ(appliance.scrape().value("sluice_states_max"), 400);
    EXPECT_EQ(appliance.scrape().value("sluice_state_memory_bytes"), 109000);
}

TEST(CollectorTest, WhatTheRulesCost) {
    Appliance appliance(1);
    appliance.cost = {.bytes = 4096,
                      .build_us = 2500,
                      .rules = 12,
                      .instructions = "avx2",
                      .v4 = {.bytes = 3000,
                             .boxes = 40,
                             .trees = 2,
                             .worst_nodes = 9,
                             .worst_blocks = 3,
                             .cut_short = 1},
                      .v6 = {},
                      .other = {}};
    const Exposition scrape = appliance.scrape();
    EXPECT_EQ(scrape.value("sluice_classifier_rules", {{"instructions", "avx2"}}), 12);
    EXPECT_EQ(scrape.value("sluice_classifier_memory_bytes"), 4096);
    EXPECT_EQ(scrape.value("sluice_classifier_build_seconds"), 0.0025);
    const std::map<std::string, std::string> v4 = {{"family", "ipv4"}};
    EXPECT_EQ(scrape.value("sluice_classifier_tree_memory_bytes", v4), 3000);
    EXPECT_EQ(scrape.value("sluice_classifier_boxes", v4), 40);
    EXPECT_EQ(scrape.value("sluice_classifier_trees", v4), 2);
    EXPECT_EQ(scrape.value("sluice_classifier_worst_path_nodes", v4), 9);
    EXPECT_EQ(scrape.value("sluice_classifier_worst_path_blocks", v4), 3);
    EXPECT_EQ(scrape.value("sluice_classifier_cut_short", v4), 1);
    EXPECT_EQ(scrape.value("sluice_classifier_cut_short", {{"family", "ipv6"}}), 0);
}

TEST(CollectorTest, RulesetsThatTookEffectAndThatDidNot) {
    Appliance appliance(1);
    EXPECT_EQ(appliance.scrape().all("sluice_ruleset_last_apply_success").size(), 0u);
    appliance.tally.apply(Tally::Outcome::applied, 0.004, 100);
    appliance.tally.apply(Tally::Outcome::applied, 0.005, 200);
    appliance.tally.apply(Tally::Outcome::applied, 99, 300);
    Exposition scrape = appliance.scrape();
    EXPECT_EQ(scrape.complaints, Strings());
    EXPECT_EQ(scrape.value("sluice_ruleset_last_apply_success"), 1);
    EXPECT_EQ(scrape.value("sluice_ruleset_last_apply_timestamp_seconds"), 300);
    const std::string bucket = "sluice_ruleset_apply_duration_seconds_bucket";
    EXPECT_EQ(scrape.value(bucket, {{"le", "0.0025"}}), 0);
    EXPECT_EQ(scrape.value(bucket, {{"le", "0.005"}}), 2);
    EXPECT_EQ(scrape.value(bucket, {{"le", "10"}}), 2);
    EXPECT_EQ(scrape.value(bucket, {{"le", "+Inf"}}), 3);
    EXPECT_NEAR(scrape.value("sluice_ruleset_apply_duration_seconds_sum"), 99.009, 1e-6);

    appliance.tally.apply(Tally::Outcome::failed, 1, 400);
    scrape = appliance.scrape();
    EXPECT_EQ(scrape.value("sluice_ruleset_last_apply_success"), 0);
    EXPECT_EQ(scrape.value("sluice_ruleset_last_apply_timestamp_seconds"), 400);
    EXPECT_EQ(scrape.value("sluice_ruleset_applies_total", {{"result", "applied"}}), 3);
    EXPECT_EQ(scrape.value("sluice_ruleset_applies_total", {{"result", "failed"}}), 1);
    EXPECT_EQ(scrape.value("sluice_ruleset_apply_duration_seconds_count"), 3);
    EXPECT_EQ(scrape.value("sluice_ruleset_generation"), 7);
}

TEST(CollectorTest, RequestsByKindAndStatus) {
    Appliance appliance(1);
    appliance.tally.request(RequestKind::add, ExitStatus::ok);
    appliance.tally.request(RequestKind::add, ExitStatus::ok);
    appliance.tally.request(RequestKind::remove, ExitStatus::unavailable);
    const Exposition scrape = appliance.scrape();
    const std::string name = "sluice_control_requests_total";
    EXPECT_EQ(scrape.value(name, {{"cmd", "add"}, {"code", "0"}}), 2);
    EXPECT_EQ(scrape.value(name, {{"cmd", "delete"}, {"code", "69"}}), 1);
    EXPECT_EQ(scrape.all(name).size(), 2u);
}

TEST(CollectorTest, AWorkerThatStandsStillShowsSinceWhen) {
    static double now = 0;
    now = 100;
    Appliance appliance(2);
    appliance.workers[0].heartbeat = appliance.workers[1].heartbeat = 1;
    appliance.workers[1].generation = 7;
    Board board;
    board.publish(appliance.view());
    Collector collector(board, appliance.tally, {.version = "", .now_s = [] { return now; }});
    const auto seen = [&](const char* worker) {
        return read_exposition(exposition(collector.collect()))
            .value("sluice_lcore_heartbeat_timestamp_seconds", {{"lcore", worker}});
    };
    EXPECT_EQ(seen("0"), 100);
    now = 110;
    appliance.workers[1].heartbeat = 2;
    EXPECT_EQ(seen("0"), 100);
    EXPECT_EQ(seen("1"), 110);
    // Those of a data plane that was restarted begin anew, also if they count the same.
    now = 120;
    appliance.counters.mapping = std::make_shared<int>(0);
    board.publish(appliance.view());
    EXPECT_EQ(seen("0"), 120);
    EXPECT_EQ(read_exposition(exposition(collector.collect()))
                  .value("sluice_lcore_generation", {{"lcore", "1"}}),
              7);
}

TEST(CollectorTest, TablesByName) {
    Appliance appliance(1);
    appliance.tables = {{.name = "blocked", .entries = 12}, {.name = "7", .entries = 0}};
    const Exposition scrape = appliance.scrape();
    EXPECT_EQ(scrape.value("sluice_table_entries", {{"table", "blocked"}}), 12);
    EXPECT_EQ(scrape.value("sluice_table_entries", {{"table", "7"}}), 0);
}

// The reader must be able to find fault.
TEST(ExpositionReaderTest, FindsFault) {
    const char* const wrong[] = {
        "a_total 1\n",                                                        // no type
        "# HELP a x\n# TYPE a counter\na 1\n",                                // counter, no _total
        "# HELP a_total x\n# TYPE a_total gauge\na_total 1\n",                // the reverse
        "# HELP a x\n# TYPE a gauge\na 1\na 1\n",                             // twice
        "# HELP a x\n# TYPE a gauge\na{b=\"1\",b=\"2\"} 1\n",                 // label twice
        "# HELP a x\n# TYPE a gauge\na{b=\"1\"} x\n",                         // no number
        "# HELP a x\n# TYPE a gauge\na{b=\"1\" 1\n",                          // no brace
        "# HELP a x\n# TYPE a gauge\na{b=\"\\x\"} 1\n",                       // bad escape
        "# HELP a x\n# TYPE a gauge\nb 1\n",                                  // another family
        "# HELP a x\n# TYPE a gauge\n",                                       // no sample
        "# HELP a x\n# TYPE a gauge\na 1",                                    // no end
        "# HELP a \n# TYPE a gauge\na 1\n",                                   // no help
        "# HELP a_ms x\n# TYPE a_ms gauge\na_ms 1\n",                         // unit
        "# HELP a x\n# TYPE a gauge\na Nan\n",                                // NaN
        "# HELP A x\n# TYPE A gauge\nA 1\n",                                  // case
        "# HELP a_total x\n# TYPE a_total counter\na_total -1\n",             // negative
        "# HELP a x\n# TYPE a histogram\na_bucket{le=\"1\"} 1\na_count 1\n",  // no infinity
        "# HELP a x\n# TYPE a histogram\na_bucket{le=\"1\"} 2\na_bucket{le=\"2\"} 1\n",  // falls
    };
    for (const char* text : wrong)
        EXPECT_NE(read_exposition(text).complaints, Strings()) << text;
    EXPECT_EQ(read_exposition("# HELP a x\n# TYPE a gauge\na{b=\"\\\\\\n\\\"\"} 1\n").complaints,
              Strings());
}

}  // namespace
}  // namespace sluice::metrics
