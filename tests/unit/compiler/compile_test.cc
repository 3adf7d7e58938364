#include "controlplane/compiler/compile.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <unordered_map>

#include "controlplane/compiler/support.h"
#include "controlplane/language/rule_parser.h"
#include "dataplane/contract/snapshot_view.h"
#include "tests/unit/language/random_rules.h"

namespace sluice::compiler {
namespace {

using contract::Instruction;
using contract::Opcode;
using contract::RuleAction;

// Rules from text, compiled, and looked at through a view.
class Compiled {
  public:
    explicit Compiled(const std::vector<std::string>& texts, bool default_accept = false,
                      std::uint32_t disabled_sets = 0) {
        for (const std::string& text : texts) {
            auto rule = language::parse_rule(text, language::refusing_resolver());
            EXPECT_TRUE(rule) << text;
            rules_.push_back(*rule);
        }
        std::vector<RuleInput> inputs;
        for (std::size_t i = 0; i < rules_.size(); ++i)
            inputs.push_back(
                {.rule = &rules_[i], .slot = static_cast<std::uint32_t>(i) + 2, .log_limit = 7});
        auto image = compile({.rules = inputs,
                              .default_accept = default_accept,
                              .generation = 9,
                              .disabled_sets = disabled_sets});

        EXPECT_TRUE(image) << image.error().message;
        blocks_.resize(image->size() / sizeof(Block));
        std::memcpy(blocks_.data(), image->data(), image->size());
        auto view = contract::SnapshotView::validate(std::as_bytes(std::span(blocks_)));
        EXPECT_TRUE(view) << view.error().message;
        view_ = *view;
    }

    const contract::SnapshotView& view() const { return view_; }
    const contract::RuleRecord& rule(std::size_t index) const { return view_.rules()[index]; }
    std::span<const Instruction> tests(std::size_t index) const {
        return view_.instructions().subspan(rule(index).first_instruction,
                                            rule(index).header_count + rule(index).residual_count);
    }

  private:
    struct alignas(64) Block {
        std::byte bytes[64];
    };
    std::vector<language::Rule> rules_;
    std::vector<Block> blocks_;
    contract::SnapshotView view_;
};

TEST(Compile, AnEmptyRulesetIsTheDefaultRule) {
    const Compiled denied({}), accepted({}, true);
    ASSERT_EQ(denied.view().rules().size(), 1u);
    EXPECT_EQ(denied.rule(0).action, RuleAction::deny);
    EXPECT_EQ(denied.rule(0).number, 65535);
    EXPECT_EQ(accepted.rule(0).action, RuleAction::allow);
    EXPECT_EQ(accepted.view().rule_text(accepted.rule(0)), "allow ip from any to any");
    EXPECT_EQ(denied.view().header().generation, 9u);
}

TEST(Compile, KeepsWhatARuleIs) {
    const Compiled compiled({"100 set 5 deny log tcp from any to me 22 in // no entry"});
    const contract::RuleRecord& rule = compiled.rule(0);
    EXPECT_EQ(rule.number, 100);
    EXPECT_EQ(rule.set, 5);
    EXPECT_EQ(rule.slot, 2u);
    EXPECT_EQ(rule.log_limit, 7u);
    EXPECT_EQ(rule.flags, contract::rule_flag::log);
    EXPECT_EQ(compiled.view().rule_text(rule), "deny log tcp from any to me 22 in // no entry");
}

TEST(Compile, HeaderTestsStandBeforeResidualTests) {
    const Compiled compiled({"100 prob 0.5 allow tcp from any to any verrevpath in",
                             "200 allow ip from any to any { in or verrevpath }"});
    EXPECT_EQ(compiled.rule(0).header_count, 2u);
    EXPECT_EQ(compiled.rule(0).residual_count, 2u);
    // A block that mixes both kinds is residual as a whole.
    EXPECT_EQ(compiled.rule(1).header_count, 0u);
    EXPECT_EQ(compiled.rule(1).residual_count, 2u);
    EXPECT_EQ(compiled.tests(1)[0].flags, contract::kOrNext);
    EXPECT_EQ(compiled.tests(1)[1].flags, 0);
}

TEST(Compile, OutIsNotIn) {
    const Compiled compiled({"100 allow ip from any to any out"});
    ASSERT_EQ(compiled.tests(0).size(), 1u);
    EXPECT_EQ(compiled.tests(0)[0].opcode, Opcode::direction_in);
    EXPECT_EQ(compiled.tests(0)[0].flags, contract::kNegated);
}

TEST(Compile, SkiptoGoesToTheFirstRuleThatIsNotLowerAndNeverBack) {
    const Compiled compiled({
        "100 skipto 300 ip from any to any",   // 0 → 4
        "200 skipto 250 ip from any to any",   // 1 → 4
        "200 skipto 100 ip from any to any",   // 2 → 4: behind its siblings
        "200 count ip from any to any",        // 3
        "300 skipto 60000 ip from any to any"  // 4 → 5, the default rule
    });
    EXPECT_EQ(compiled.rule(0).target, 4u);
    EXPECT_EQ(compiled.rule(1).target, 4u);
    EXPECT_EQ(compiled.rule(2).target, 4u);
    EXPECT_EQ(compiled.rule(4).target, 5u);
}

TEST(Compile, CallsMayGoBack) {
    const Compiled compiled({
        "100 count ip from any to any",     // 0
        "200 call 50 ip from any to any",   // 1 → 0
        "300 call 300 ip from any to any",  // 2 → 2
        "400 call 999 ip from any to any"   // 3 → 4, the default rule
    });
    EXPECT_EQ(compiled.rule(1).target, 0u);
    EXPECT_EQ(compiled.rule(2).target, 2u);
    EXPECT_EQ(compiled.rule(3).target, 4u);
}

// To the very rule, whose number others may have too.
TEST(Compile, LabelsAreRules) {
    const std::vector<std::string> rules = {
        "100 skipto :b ip from any to any",       "200 count ip from any to any",
        "200 :b count ip from any to any",        "300 call :b ip from any to any",
        "400 set 5 skipto :c ip from any to any", "500 set 6 :c count ip from any to any"};
    const Compiled compiled(rules);
    EXPECT_EQ(compiled.rule(0).target, 2u);
    EXPECT_EQ(compiled.rule(0).action_number, 200);
    EXPECT_EQ(compiled.rule(3).target, 2u);
    EXPECT_EQ(compiled.rule(4).target, 5u);
    // A labelled rule of a disabled set: the live one behind it.
    const Compiled disabled(rules, false, 1u << 6);
    EXPECT_EQ(disabled.rule(4).target, 5u);
    EXPECT_EQ(disabled.rule(5).number, 65535);
    const Compiled jump_disabled(rules, false, 1u << 5);
    EXPECT_EQ(jump_disabled.view().all_rules().back().target, 4u);
}

std::string refusal(const std::vector<std::string>& texts) {
    std::vector<language::Rule> rules;
    for (const std::string& text : texts)
        rules.push_back(*language::parse_rule(text, language::refusing_resolver()));
    std::vector<RuleInput> inputs;
    for (std::size_t i = 0; i < rules.size(); ++i)
        inputs.push_back({.rule = &rules[i], .slot = static_cast<std::uint32_t>(i) + 2});
    const auto image = compile({.rules = inputs});
    return image ? ""
                 : std::to_string(static_cast<int>(image.error().status)) + " " +
                       image.error().message;
}

TEST(Compile, LabelsThatLeadNowhereAreRefused) {
    EXPECT_EQ(refusal({"100 skipto :a ip from any to any"}),
              "65 rule 100 goes on at label :a, and no rule has that label");
    EXPECT_EQ(refusal({"100 :a count ip from any to any", "200 :a count ip from any to any"}),
              "65 rules 100 and 200 have the same label :a");
    EXPECT_EQ(refusal({"100 :a count ip from any to any", "200 skipto :a ip from any to any"}),
              "65 rule 200 skips to label :a of rule 100, which does not stand behind it; only "
              "`call` goes back");
    EXPECT_EQ(refusal({"100 :a count ip from any to any", "200 call :a ip from any to any"}), "");
}

// The classifier sees packets as they came; what a rule changes is not its business.
TEST(Compile, TestsOfWhatRulesChangeAreResidual) {
    const std::string test = "200 allow tcp from any to any dscp ef iptos lowdelay tcpmss 1400";
    const Compiled plain({test});
    EXPECT_EQ(plain.rule(0).residual_count, 0u);
    const Compiled dscp({test, "300 setdscp be ip from any to any"});
    EXPECT_EQ(dscp.rule(0).header_count, 2u);
    EXPECT_EQ(dscp.rule(0).residual_count, 2u);
    const Compiled mss({test, "300 tcp-setmss 1400 ip from any to any"});
    EXPECT_EQ(mss.rule(0).residual_count, 1u);
    EXPECT_EQ(mss.tests(0).back().opcode, Opcode::tcp_mss);
}

TEST(Compile, AnEndIsTheFirstResidualTest) {
    const Compiled compiled({"100 prob 0.5 allow ip from any to any expires 1970-01-02T00:00Z"});
    ASSERT_EQ(compiled.rule(0).residual_count, 2u);
    EXPECT_EQ(compiled.tests(0)[0].opcode, Opcode::not_expired);
    EXPECT_EQ(compiled.tests(0)[0].argument, 86400u);
    EXPECT_EQ(compiled.rule(0).flags, contract::rule_flag::expires);
}

TEST(Compile, NamesOfInterfacesAreKeptOnce) {
    const Compiled compiled({"100 allow ip from any to any via em0",
                             "200 allow ip from any to any recv em0",
                             "300 allow ip from any to any via em*"});
    ASSERT_EQ(compiled.view().interface_tests().size(), 2u);
    EXPECT_EQ(compiled.tests(0)[0].data, compiled.tests(1)[0].data);
    EXPECT_EQ(compiled.view().interface_tests()[1].kind, contract::InterfaceTest::Kind::glob);
}

TEST(Compile, NamesOfThousandsOfInterfacesAreKeptOnceAndInOrder) {
    constexpr std::size_t kNames = 3000;
    std::vector<std::string> rules;
    for (std::size_t i = 0; i < 2 * kNames; ++i)
        rules.push_back("100 deny ip from any to any via ppp" + std::to_string(i % kNames));
    const Compiled compiled(rules);
    ASSERT_EQ(compiled.view().interface_tests().size(), kNames);
    for (std::size_t i = 0; i < 2 * kNames; ++i) {
        ASSERT_EQ(compiled.tests(i)[0].data, i % kNames);
        ASSERT_EQ(compiled.view().interface_tests()[i % kNames].pattern,
                  "ppp" + std::to_string(i % kNames));
    }
}

TEST(Compile, OnlyRulesThatNameTheLinkLayerJudgeOtherFrames) {
    const Compiled compiled({"100 deny ip from any to any mac-type 0x0806",
                             "200 deny ip from any to any not mac-type 0x0800,0x86dd",
                             "300 deny ip from any to any MAC any 02:00:00:00:00:01",
                             "400 deny ip from any to any bridged", "500 deny ip from any to any"});
    for (std::size_t named = 0; named < 4; ++named)
        EXPECT_TRUE((compiled.rule(named).flags & contract::rule_flag::link_layer) != 0) << named;
    EXPECT_FALSE((compiled.rule(4).flags & contract::rule_flag::link_layer) != 0);
}

TEST(Compile, AChanceOfOneAlwaysWins) {
    const Compiled compiled(
        {"100 prob 1 allow ip from any to any", "200 prob 0.5 allow ip from any to any"});
    EXPECT_GT(compiled.tests(0)[0].argument, 0x7fffffffu);
    EXPECT_EQ(compiled.tests(1)[0].argument, 0x3fffffffu);
}

TEST(Compile, ALongInterfaceNameIsRefused) {
    auto rule = language::parse_rule("100 allow ip from any to any via " + std::string(15, 'x'),
                                     language::refusing_resolver());
    ASSERT_TRUE(rule);
    std::get<language::InterfaceName>(
        std::get<language::InterfaceMatch>(rule->options[0].any_of[0].match).what)
        .pattern = std::string(40, 'x');
    const RuleInput input{.rule = &*rule, .slot = 2};
    const auto image = compile({.rules = {&input, 1}});
    // The parser refuses such a name; one that comes here all the same is a bug of ours.
    ASSERT_FALSE(image);
    EXPECT_EQ(image.error().status, ExitStatus::software);
}

TEST(Compile, TheSameRulesGiveTheSameBytes) {
    std::mt19937_64 random(7);
    language::GeneratorOptions options;
    options.accept = is_carried_out;
    for (int round = 0; round < 50; ++round) {
        std::vector<language::Rule> rules;
        ruleset::TableCatalogue tables;
        while (rules.size() < 20) {
            language::Rule rule = language::random_rule(random, options);
            rule.number = static_cast<std::uint16_t>(rules.size() + 1);
            // Else it asks one table as another type than before.
            if (tables.make_for(rule) && ruleset::payload_matches(rule).empty())
                rules.push_back(std::move(rule));
        }
        std::vector<RuleInput> inputs;
        for (const language::Rule& rule : rules)
            inputs.push_back({.rule = &rule, .slot = 2u + rule.number});
        const auto first = compile({.rules = inputs, .tables = &tables});
        const auto second = compile({.rules = inputs, .tables = &tables});
        ASSERT_TRUE(first) << first.error().message;
        ASSERT_TRUE(second);
        EXPECT_EQ(*first, *second);
    }
}

// With the objects that random rules name.
ruleset::Ruleset with_patterns() {
    ruleset::Ruleset rules(false);
    EXPECT_TRUE(rules.patterns().create("PATTERNS", {}));
    EXPECT_TRUE(rules.patterns().create("NAMES", {.type = contract::PatternType::names}));
    return rules;
}

// A compiler that remembers what it compiled last, and one that does not, agree after every change.
TEST(Compile, ChangesGiveTheBytesOfAllRules) {
    std::mt19937_64 random(11);
    const auto below = [&](std::size_t end) { return static_cast<std::size_t>(random() % end); };
    language::GeneratorOptions options;
    options.accept = is_carried_out;
    std::size_t compiled = 0;
    for (int round = 0; round < 30; ++round) {
        ruleset::Ruleset rules = with_patterns();
        Compiler compiler;
        for (int change = 0; change < 40; ++change) {
            ruleset::Ruleset next = rules;
            const auto number = static_cast<std::uint16_t>(1 + below(50));
            switch (below(8)) {
                case 0:
                    next.remove({.first = number, .last = static_cast<std::uint16_t>(number + 3)});
                    break;
                case 1:
                    if (below(8) == 0)
                        next.switch_sets(0, 1u << below(4));
                    else
                        next.switch_sets(15, 0);
                    break;
                default:
                    for (std::size_t more = 1 + below(change == 0 ? 40 : 2); more > 0; --more) {
                        language::Rule rule = language::random_rule(random, options);
                        rule.number = static_cast<std::uint16_t>(1 + below(50));
                        rule.set = static_cast<std::uint8_t>(below(4));
                        (void)next.add(std::move(rule));
                    }
            }
            if (below(8) == 0)
                (void)next.patterns().add("PATTERNS", "\"" + std::to_string(below(3)) + "\"", 0,
                                          true);
            ASSERT_TRUE(next.complete_patterns());
            const auto wanted = compile(next, 5);
            const auto found = compiler.compile(next, 5);
            ASSERT_EQ(bool(found), bool(wanted));
            if (!wanted) {
                EXPECT_EQ(found.error().message, wanted.error().message);
                continue;
            }
            ASSERT_TRUE(*found == *wanted) << "round " << round << ", change " << change;
            ++compiled;
            rules = std::move(next);
            if (below(2) == 0)
                rules.published();
        }
    }
    EXPECT_GT(compiled, 600u);
}

// The residual part of a rule stands behind its header part, whatever order the words had.
TEST(Compile, AChangeKeepsTheOrderOfInterfaceTests) {
    ruleset::Ruleset rules(false);
    const auto add = [&](std::string_view text) {
        const auto parsed = language::parse_rule(text, language::refusing_resolver());
        ASSERT_TRUE(parsed) << text;
        ASSERT_TRUE(rules.add(*parsed));
    };
    Compiler compiler;
    add("200 count ip from any to any { tagged 5 or recv em0 } recv em1");
    add("300 count ip from any to any recv em2");
    ASSERT_TRUE(compiler.compile(rules, 1));
    add("100 count ip from any to any recv em2");
    const auto found = compiler.compile(rules, 2), wanted = compile(rules, 2);
    ASSERT_TRUE(found);
    ASSERT_TRUE(wanted);
    EXPECT_TRUE(*found == *wanted);
}

namespace flag = contract::rule_flag;

TEST(Compile, StateOptions) {
    const Compiled compiled({"100 allow tcp from any to any keep-state",
                             "200 allow tcp from any to any record-state :web lifetime 77",
                             "300 allow tcp from any to any limit src-addr,dst-port 5",
                             "400 allow tcp from any to any set-limit dst-addr 6 :web",
                             "500 allow tcp from any to any keep-state defer-action",
                             "600 allow tcp from any to any record-state defer-immediate-action",
                             "700 allow tcp from any to any"});
    using contract::StateOption;
    const auto name = [](const char* text) { return contract::state_name_id(text); };
    EXPECT_EQ(compiled.rule(0).state, StateOption::keep);
    EXPECT_EQ(compiled.rule(0).flags, flag::probe);
    EXPECT_EQ(compiled.rule(0).state_name, name("default"));
    EXPECT_EQ(compiled.rule(0).state_lifetime_s, 0u);
    EXPECT_EQ(compiled.rule(1).state, StateOption::keep);
    EXPECT_EQ(compiled.rule(1).flags, 0);  // only makes states
    EXPECT_EQ(compiled.rule(1).state_name, name("web"));
    EXPECT_EQ(compiled.rule(1).state_lifetime_s, 77u);
    EXPECT_EQ(compiled.rule(2).state, StateOption::limit);
    EXPECT_EQ(compiled.rule(2).flags, flag::probe);
    EXPECT_EQ(compiled.rule(2).limit_mask,
              contract::limit_mask::source_address | contract::limit_mask::destination_port);
    EXPECT_EQ(compiled.rule(2).state_limit, 5);
    EXPECT_EQ(compiled.rule(3).state, StateOption::limit);
    EXPECT_EQ(compiled.rule(3).flags, 0);
    EXPECT_EQ(compiled.rule(3).limit_mask, contract::limit_mask::destination_address);
    EXPECT_EQ(compiled.rule(4).flags, flag::probe | flag::defer);
    EXPECT_EQ(compiled.rule(5).flags, flag::defer);
    EXPECT_EQ(compiled.rule(6).state, StateOption::none);
    EXPECT_EQ(compiled.rule(6).flags, 0);
}

TEST(Compile, CheckState) {
    const Compiled compiled({"100 check-state", "200 check-state :default", "300 check-state :any",
                             "400 check-state :web"});
    for (std::size_t i = 0; i < 4; ++i) {
        EXPECT_EQ(compiled.rule(i).action, RuleAction::check_state);
        EXPECT_EQ(compiled.rule(i).flags, flag::probe);
        EXPECT_EQ(compiled.rule(i).state, contract::StateOption::none);
    }
    EXPECT_EQ(compiled.rule(0).state_name, contract::state_name_id("default"));
    EXPECT_EQ(compiled.rule(1).state_name, contract::state_name_id("default"));
    EXPECT_EQ(compiled.rule(2).state_name, contract::kAnyStateName);
    EXPECT_EQ(compiled.rule(3).state_name, contract::state_name_id("web"));
}

TEST(Compile, NamesThatCannotBeToldApartAreRefused) {
    // Two names with the same number, found by trying; there is one such pair among 2^16 or so.
    std::unordered_map<std::uint32_t, std::string> seen;
    std::string one, other;
    for (std::uint32_t i = 0; other.empty() && i < 10'000'000; ++i) {
        const std::string name = "n" + std::to_string(i * 2654435761u);
        const auto [at, first] = seen.try_emplace(contract::state_name_id(name), name);
        if (!first && at->second != name) {
            one = at->second;
            other = name;
        }
    }
    ASSERT_FALSE(other.empty());
    const auto first = language::parse_rule("100 allow ip from any to any keep-state :" + one,
                                            language::refusing_resolver());
    const auto second =
        language::parse_rule("200 check-state :" + other, language::refusing_resolver());
    ASSERT_TRUE(first && second);
    const std::vector<RuleInput> inputs = {{.rule = &*first, .slot = 2},
                                           {.rule = &*second, .slot = 3}};
    const auto image = compile({.rules = inputs});
    ASSERT_FALSE(image);
    EXPECT_EQ(image.error().status, ExitStatus::data);
    EXPECT_EQ(image.error().message, "the state names :" + one + " and :" + other +
                                         " cannot be told apart; use another one of them");
}

TEST(Compile, RulesOfDisabledSetsStandBehindTheOthers) {
    const Compiled compiled({"100 count ip from any to any",                    // live 0
                             "100 set 3 allow tcp from any to any keep-state",  // → live 1
                             "100 count udp from any to any",                   // live 1
                             "200 set 3 skipto 300 ip from any to any",         // → live 3
                             "250 skipto 290 ip from any to any",               // live 2 → 3
                             "300 count ip from any to any",                    // live 3
                             "400 set 3 count ip from any to any"},             // → live 4
                            false, 1u << 3);
    const auto& view = compiled.view();
    ASSERT_EQ(view.rules().size(), 5u);  // with the default rule
    ASSERT_EQ(view.all_rules().size(), 8u);
    EXPECT_EQ(view.header().disabled_sets, 1u << 3);
    EXPECT_EQ(compiled.rule(2).target, 3u);
    const auto detached = view.all_rules().subspan(5);
    EXPECT_EQ(detached[0].target, 1u);
    EXPECT_EQ(detached[1].target, 3u);
    EXPECT_EQ(detached[2].target, 4u);
    for (const contract::RuleRecord& rule : detached)
        EXPECT_NE(rule.flags & flag::disabled, 0);
    // Where the rule belongs can be told by its text.
    EXPECT_GT(detached[0].text_offset, compiled.rule(0).text_offset);
    EXPECT_LT(detached[0].text_offset, compiled.rule(1).text_offset);
}

TEST(Compile, OrphansGoOnAtTheDefaultRule) {
    ruleset::Ruleset rules(false);
    rules.sysctls().dyn_keep_states = 1;
    for (const char* text :
         {"100 count tcp from any to any keep-state",
          "200 skipto 300 udp from any to any keep-state", "300 count ip from any to any"})
        ASSERT_TRUE(rules.add(*language::parse_rule(text, language::refusing_resolver())));
    rules.published();
    rules.remove({100, 200});
    const auto image = compile(rules, 3);
    ASSERT_TRUE(image) << image.error().message;
    struct alignas(64) Block {
        std::byte bytes[64];
    };
    std::vector<Block> blocks(image->size() / sizeof(Block));
    std::memcpy(blocks.data(), image->data(), image->size());
    const auto view = contract::SnapshotView::validate(std::as_bytes(std::span(blocks)));
    ASSERT_TRUE(view) << view.error().message;
    ASSERT_EQ(view->rules().size(), 2u);
    ASSERT_EQ(view->all_rules().size(), 4u);
    for (std::size_t i = 2; i < 4; ++i) {
        const contract::RuleRecord& orphan = view->all_rules()[i];
        EXPECT_EQ(orphan.flags, flag::orphan | flag::probe);
        EXPECT_EQ(orphan.id, i - 1);
        EXPECT_EQ(orphan.slot, i);
        EXPECT_EQ(view->rules()[1].number, 65535);
        EXPECT_EQ(orphan.target, 1u);
    }
    EXPECT_EQ(view->rules()[0].id, 3u);
    EXPECT_EQ(view->rules()[1].id, 4u);  // the next one to be given away
}

}  // namespace
}  // namespace sluice::compiler
