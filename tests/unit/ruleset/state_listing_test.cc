#include "controlplane/ruleset/state_listing.h"

#include <gtest/gtest.h>

#include <cstring>

#include "controlplane/language/rule_parser.h"

namespace sluice::ruleset {
namespace {

using contract::StateKind;
using contract::StateRecord;

class StateListing : public testing::Test {
  protected:
    StateListing() : set_(false) {
        add("100 allow tcp from any to any keep-state :web");
        add("200 set 7 allow udp from any to any limit src-addr 5");
    }
    void add(const char* text) {
        const auto rule = language::parse_rule(text, language::refusing_resolver());
        ASSERT_TRUE(rule && set_.add(*rule)) << text;
    }
    StateRecord record(std::size_t rule, const char* source, std::uint32_t age) const {
        const StoredRule& made_by = *set_.rules()[rule];
        StateRecord result;
        result.ip_version = 4;
        result.protocol = 6;
        result.rule_number = made_by.rule.number;
        result.rule_id = made_by.id;
        result.name = contract::state_name_id(made_by.rule.state->name);
        result.expires_s = 10;
        result.age_s = age;
        const Ipv4 address = *parse_ipv4(source);
        std::memcpy(result.source.bytes.data(), &address, sizeof address);
        return result;
    }
    std::vector<ListedState> listed(std::vector<StateRecord> records,
                                    ExpiredStates expired = ExpiredStates::hide,
                                    std::optional<std::uint8_t> set = {}) const {
        const auto states = list_states(records, set_, expired, set);
        EXPECT_TRUE(states);
        return states ? *states : std::vector<ListedState>();
    }

    Ruleset set_;
};

TEST_F(StateListing, ByNumberAndTheOldestFirst) {
    const auto states = listed({record(1, "10.0.0.1", 3), record(0, "10.0.0.2", 5),
                                record(0, "10.0.0.3", 50), record(0, "10.0.0.1", 5)});
    ASSERT_EQ(states.size(), 4u);
    EXPECT_EQ(states[0].age_s, 50u);
    EXPECT_EQ(states[1].source, (std::variant<Ipv4, Ipv6>(*parse_ipv4("10.0.0.1"))));
    EXPECT_EQ(states[2].source, (std::variant<Ipv4, Ipv6>(*parse_ipv4("10.0.0.2"))));
    EXPECT_EQ(states[3].number, 200);
    EXPECT_EQ(states[0].name, "web");
    EXPECT_EQ(states[3].name, "default");
}

TEST_F(StateListing, ExpiredOnesAreHiddenUnlessAskedFor) {
    StateRecord late = record(0, "10.0.0.1", 5), parent = record(1, "10.0.0.1", 5);
    late.expires_s = parent.expires_s = 0;
    parent.kind = StateKind::parent;
    EXPECT_EQ(listed({late, parent}).size(), 1u);
    EXPECT_EQ(listed({late, parent}, ExpiredStates::show).size(), 2u);
}

TEST_F(StateListing, ParentsOfAllWorkersAreOne) {
    std::vector<StateRecord> records;
    for (std::uint16_t worker = 0; worker < 3; ++worker) {
        StateRecord parent = record(1, "10.0.0.1", worker);
        parent.kind = StateKind::parent;
        parent.limit_mask = contract::limit_mask::source_address;
        parent.children = worker + 1u;
        parent.worker = worker;
        parent.source_port = worker;  // not in the mask
        records.push_back(parent);
    }
    records.push_back(records.front());
    records.back().source.bytes[3] = 9;
    const auto states = listed(records);
    ASSERT_EQ(states.size(), 2u);
    EXPECT_EQ(states[0].children + states[1].children, 7u);
    EXPECT_EQ(std::max(states[0].children, states[1].children), 6u);
}

TEST_F(StateListing, OfOneSet) {
    const std::vector<StateRecord> records = {record(0, "10.0.0.1", 5), record(1, "10.0.0.1", 5)};
    const auto states = listed(records, ExpiredStates::hide, std::uint8_t{7});
    ASSERT_EQ(states.size(), 1u);
    EXPECT_EQ(states[0].number, 200);
}

TEST_F(StateListing, NonsenseIsRefused) {
    StateRecord kind = record(0, "10.0.0.1", 5), version = kind;
    kind.kind = static_cast<StateKind>(9);
    version.ip_version = 5;
    for (const StateRecord& bad : {kind, version}) {
        const auto states = list_states({&bad, 1}, set_, ExpiredStates::show);
        ASSERT_FALSE(states);
        EXPECT_EQ(states.error().status, ExitStatus::software);
    }
}

}  // namespace
}  // namespace sluice::ruleset
