#include "controlplane/metrics/status.h"

#include <nlohmann/json.hpp>

#include "controlplane/metrics/page.h"
#include "tests/unit/metrics/appliance.h"

namespace sluice::metrics {
namespace {

using Json = nlohmann::json;

Json status_of(std::unique_ptr<View> view, const Tally& tally) {
    Board board;
    if (view != nullptr)
        board.publish(std::move(view));
    return Json::parse(
        Status(board, tally, {.version = "1.2.3", .now_s = [] { return 5000.5; }}).json());
}

TEST(StatusTest, WithoutADataPlaneThereAreOnlyRules) {
    Appliance appliance(1);
    appliance.add("100 allow ip from any to any");
    auto view = appliance.view();
    view->dataplane.reset();
    view->counters = {};
    const Json status = status_of(std::move(view), appliance.tally);
    EXPECT_EQ(status["schema"], "sluice/status/1");
    EXPECT_EQ(status["dataplane"], false);
    EXPECT_EQ(status["version"], "1.2.3");
    EXPECT_EQ(status["started_s"], 5000.5);
    EXPECT_EQ(status["rules"].size(), 2u);
    EXPECT_EQ(status["rules"][0]["packets"], 0);
    EXPECT_TRUE(status["states"].is_null());
    EXPECT_TRUE(status["last_apply"].is_null());
    EXPECT_TRUE(status["ports"].empty());
    EXPECT_TRUE(status_of(nullptr, appliance.tally)["rules"].empty());
}

TEST(StatusTest, RulesCountAsTheyAreShown) {
    Appliance appliance(2);
    const auto slot = appliance.add("100 set 3 allow ip from any to any // <b>\"x\"");
    appliance.add("200 deny ip from any to any");
    appliance.ruleset.switch_sets(0, 8);
    appliance.count(0, slot, 30, 3000, 1700000000);
    appliance.count(1, slot, 12, 1200, 1700000007);
    appliance.annotations[slot].first_packets = 1;
    appliance.annotations[slot].zero_packets = 20;
    appliance.annotations[slot].zero_bytes = 2000;
    const Json rules = status_of(appliance.view(), appliance.tally)["rules"];
    ASSERT_EQ(rules.size(), 3u);
    EXPECT_EQ(rules[0]["number"], 100);
    EXPECT_EQ(rules[0]["set"], 3);
    EXPECT_EQ(rules[0]["packets"], 22);
    EXPECT_EQ(rules[0]["bytes"], 2200);
    EXPECT_EQ(rules[0]["last_match_s"], 1700000007);
    EXPECT_EQ(rules[0]["enabled"], false);
    EXPECT_NE(rules[0]["text"].get<std::string>().find("// <b>\"x\""), std::string::npos);
    EXPECT_EQ(rules[1]["enabled"], true);
    EXPECT_EQ(rules[2]["number"], 65535);
}

TEST(StatusTest, PortsStatesWorkersDropsTables) {
    Appliance appliance(2);
    for (auto& worker : appliance.workers) {
        worker.heartbeat = 5;
        worker.generation = 7;
        worker.states = 10;
        worker.states_made = 100;
        worker.unanswered_states = 1;
        worker.ports[1].received_packets = 40;
        worker.drops[static_cast<std::size_t>(contract::DropReason::no_route)] = 3;
    }
    appliance.tables = {{.name = "blocked", .entries = 12}};
    appliance.tally.apply(Tally::Outcome::failed, 1, 400);
    const Json status = status_of(appliance.view(), appliance.tally);
    EXPECT_EQ(status["generation"], 7);
    EXPECT_EQ(status["states"],
              Json({{"count", 20}, {"unanswered", 2}, {"most", 1000}, {"made", 200}}));
    EXPECT_EQ(status["workers"].size(), 2u);
    EXPECT_EQ(status["workers"][0], Json({{"turns", 5}, {"bursts", 0}, {"generation", 7}}));
    EXPECT_EQ(status["ports"][1]["name"], "em1");
    EXPECT_EQ(status["ports"][1]["rx_packets"], 80);
    ASSERT_EQ(status["drops"].size(), 1u);
    EXPECT_EQ(status["drops"][0]["reason"], "no_route");
    EXPECT_EQ(status["drops"][0]["packets"], 6);
    EXPECT_EQ(status["tables"], Json::array({{{"name", "blocked"}, {"entries", 12}}}));
    EXPECT_EQ(status["last_apply"], Json({{"worked", false}, {"time_s", 400.0}}));
}

TEST(StatusPageTest, NeedsNothingFromElsewhere) {
    std::vector<std::string> paths;
    for (const PageFile& file : page_files()) {
        paths.emplace_back(file.path);
        for (const char* foreign : {"http://", "https://", "innerHTML", "eval("})
            EXPECT_EQ(file.content.find(foreign), std::string_view::npos) << file.path;
    }
    EXPECT_EQ(paths, (std::vector<std::string>{"/index.html", "/status.css", "/status.js"}));
}

}  // namespace
}  // namespace sluice::metrics
