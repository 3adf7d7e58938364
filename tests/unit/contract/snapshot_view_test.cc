#include "dataplane/contract/snapshot_view.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "tests/unit/contract/snapshot_image.h"

namespace sluice::contract {
namespace {

// The reason why the image is refused; empty if it is taken.
std::string refusal(std::span<const std::byte> image) {
    AlignedImage copy(image);
    const auto view = SnapshotView::validate(copy.bytes());
    return view ? "" : view.error().message;
}

void expect_refused(const std::vector<std::byte>& image, const std::string& reason) {
    const std::string message = refusal(image);
    EXPECT_NE(message.find("the snapshot is not valid"), std::string::npos) << "taken: " << reason;
    EXPECT_NE(message.find(reason), std::string::npos) << message;
}

// Changes the parts of a valid snapshot.
std::vector<std::byte> changed(const std::function<void(SnapshotParts&)>& change) {
    SnapshotParts parts;
    change(parts);
    return parts.image();
}

std::size_t residual_of(const SnapshotParts& parts) {
    for (std::size_t i = 0; i < parts.instructions.size(); ++i)
        if (is_residual(parts.instructions[i].opcode))
            return i;
    return 0;
}

TEST(SnapshotView, TakesAValidImage) {
    AlignedImage image(SnapshotParts().image());
    const auto view = SnapshotView::validate(image.bytes());
    ASSERT_TRUE(view) << view.error().message;
    EXPECT_EQ(view->rules().size(), 4u);
    EXPECT_EQ(view->all_rules().size(), 5u);
    EXPECT_EQ(view->instructions().size(), 9u);
    EXPECT_EQ(view->rule_text(view->rules()[2]), "count");
}

TEST(SnapshotView, HeaderDamageIsNamed) {
    const SnapshotParts parts;
    const std::vector<std::byte> good = parts.image();
    AlignedImage shifted(std::vector<std::byte>(good.size() + 8));
    EXPECT_NE(SnapshotView::validate(shifted.bytes().subspan(8)).error().message.find("aligned"),
              std::string::npos);
    expect_refused(std::vector<std::byte>(16), "shorter than its header");
    expect_refused({}, "shorter than its header");
    expect_refused(parts.image([](SnapshotHeader& h) { h.magic ^= 1; }), "no snapshot");
    expect_refused(parts.image([](SnapshotHeader& h) { ++h.version; }),
                   "it has format " + std::to_string(kSnapshotVersion + 1));
    expect_refused(parts.image([](SnapshotHeader& h) { h.layout ^= 1; }), "layout");
    expect_refused(parts.image([](SnapshotHeader& h) { h.size += 64; }), "promises");
    expect_refused(parts.image([](SnapshotHeader& h) { h.generation = 0; }), "generation");
    expect_refused(parts.image([](SnapshotHeader& h) { h.checksum ^= 1; }), "checksum");
    for (std::size_t size = 0; size < good.size(); size += 8)
        EXPECT_NE(refusal(std::span(good).first(size)), "") << size;
}

TEST(SnapshotView, SectionsMustLieInside) {
    const SnapshotParts parts;
    for (Section SnapshotHeader::*section :
         {&SnapshotHeader::rules, &SnapshotHeader::instructions, &SnapshotHeader::ports,
          &SnapshotHeader::ranges, &SnapshotHeader::v4_networks, &SnapshotHeader::v6_networks,
          &SnapshotHeader::words, &SnapshotHeader::mac_tests, &SnapshotHeader::interface_tests,
          &SnapshotHeader::text, &SnapshotHeader::pattern_objects, &SnapshotHeader::patterns,
          &SnapshotHeader::pattern_text, &SnapshotHeader::pattern_databases}) {
        auto damaged = [&](std::uint64_t offset, std::uint64_t count) {
            return parts.image([&](SnapshotHeader& h) { h.*section = {offset, count}; });
        };
        const SnapshotHeader& header = parts.header;
        expect_refused(damaged(1, 1), "outside the image");
        expect_refused(damaged(0, 1), "outside the image");
        expect_refused(damaged(std::uint64_t{1} << 40, 1), "outside the image");
        expect_refused(damaged(~std::uint64_t{63}, 1), "outside the image");
        expect_refused(damaged((header.*section).offset + 512, ~std::uint64_t{0}),
                       "outside the image");
        expect_refused(damaged(512, std::uint64_t{1} << 60), "outside the image");
    }
}

TEST(SnapshotView, RuleDamageIsNamed) {
    using P = SnapshotParts;
    auto rule = [](std::size_t index, auto change) {
        return changed([&](P& p) { change(p.rules[index]); });
    };
    const std::string unknown = "unknown action, set or number";
    expect_refused(rule(0, [](auto& r) { r.action = RuleAction::count_; }), unknown);
    expect_refused(rule(0, [](auto& r) { r.set = 32; }), unknown);
    expect_refused(rule(0, [](auto& r) { r.number = 0; }), unknown);
    expect_refused(rule(0, [](auto& r) { r.number = 21; }), "not in order");
    expect_refused(rule(0, [](auto& r) { r.first_instruction = 5; }), "tests lie outside");
    expect_refused(rule(0, [](auto& r) { r.header_count = 0xffffffff; }), "tests lie outside");
    expect_refused(rule(0, [](auto& r) { r.residual_count = 0xffffffff; }), "tests lie outside");
    expect_refused(rule(2, [](auto& r) { r.text_length = 6; }), "text lies outside");
    expect_refused(rule(2, [](auto& r) { r.text_offset = 0xffffffff; }), "text lies outside");
    expect_refused(rule(1, [](auto& r) { r.target = 1; }), "does not go forward");
    expect_refused(rule(1, [](auto& r) { r.target = 0; }), "does not go forward");
    expect_refused(rule(1, [](auto& r) { r.target = 4; }), "goes on behind the last one");
    expect_refused(rule(0, [](auto& r) { r.next_hop_family = 5; }), "unknown family");
    for (std::size_t i = 0; i < 5; ++i)
        expect_refused(rule(i, [](auto& r) { r.slot = 0; }), "slot 0");
    expect_refused(rule(2, [](auto& r) { r.number = 65535; }), "rule 65535 is not the last one");
    const std::string last = "default rule 65535";
    expect_refused(rule(3, [](auto& r) { r.number = 65534; }), last);
    expect_refused(rule(3, [](auto& r) { r.action = RuleAction::count; }), last);
    expect_refused(rule(3, [](auto& r) { r.header_count = 1; }), last);
    expect_refused(rule(3, [](auto& r) { r.residual_count = 1; }), last);
    expect_refused(changed([](P& p) { p.rules.clear(); }), "no rules");
}

TEST(SnapshotView, StateDamageIsNamed) {
    auto rule = [](std::size_t index, auto change) {
        return changed([&](SnapshotParts& p) { change(p.rules[index]); });
    };
    // A rule that makes states, as it should be.
    auto limit = [](RuleRecord& r) {
        r.state = StateOption::limit;
        r.state_limit = 1;
        r.state_name = state_name_id("default");
    };
    EXPECT_EQ(refusal(rule(0, limit)), "");
    for (std::size_t i = 0; i < 5; ++i)
        expect_refused(rule(i, [](auto& r) { r.id = 0; }), "has no id");
    for (const std::size_t i : {0u, 4u}) {
        auto damaged = [&](auto change) {
            return rule(i, [&](auto& r) {
                limit(r);
                change(r);
            });
        };
        expect_refused(damaged([](auto& r) { r.state = StateOption::count_; }), "unknown kind");
        expect_refused(damaged([](auto& r) { r.state_limit = 0; }), "limits its states to none");
        expect_refused(damaged([](auto& r) { r.state_name = kAnyStateName; }), "have no name");
        expect_refused(damaged([](auto& r) { r.action = RuleAction::check_state; }),
                       "have no name");
    }
    EXPECT_EQ(refusal(rule(0, [](auto& r) { r.action = RuleAction::check_state; })), "");
    expect_refused(rule(3, limit), "default rule 65535");
}

TEST(SnapshotView, DetachedRuleDamageIsNamed) {
    auto detached = [](auto change) {
        return changed([&](SnapshotParts& p) { change(p.rules[4]); });
    };
    EXPECT_EQ(refusal(detached([](auto& r) { r.flags = rule_flag::orphan; })), "");
    EXPECT_EQ(refusal(detached([](auto& r) { r.target = 3; })), "");
    // Goes on at any live rule, even one before its own number.
    EXPECT_EQ(refusal(detached([](auto& r) { r.target = 0; })), "");
    expect_refused(detached([](auto& r) { r.flags = 0; }), "takes no part");
    for (const std::uint16_t flag : {rule_flag::disabled, rule_flag::orphan})
        expect_refused(changed([&](SnapshotParts& p) { p.rules[1].flags = flag; }),
                       "takes no part");
    for (const RuleAction action : {RuleAction::count, RuleAction::skipto, RuleAction::allow})
        for (const std::uint32_t target : {4u, 5u, 0xffffffffu})
            expect_refused(detached([&](auto& r) {
                               r.action = action;
                               r.target = target;
                           }),
                           "goes on behind the last one");
    expect_refused(detached([](auto& r) { r.number = 65535; }), "rule 65535 is not the last one");
    expect_refused(detached([](auto& r) { r.text_length = 6; }), "text lies outside");
}

TEST(SnapshotView, PatternDamageIsNamed) {
    auto object = [](auto change) {
        return changed([&](SnapshotParts& p) { change(p.pattern_objects[0]); });
    };
    const std::string bad = "a pattern object is not valid";
    expect_refused(object([](auto& o) { o.type = PatternType::count_; }), bad);
    expect_refused(object([](auto& o) { o.mode = PatternMode::count_; }), bad);
    expect_refused(object([](auto& o) { o.direction = PatternDirection::count_; }), bad);
    expect_refused(object([](auto& o) { o.ignore_case = 2; }), bad);
    expect_refused(object([](auto& o) { o.depth = 0; }), bad);
    expect_refused(object([](auto& o) { o.depth = kMaximumDepth + 1; }), bad);
    expect_refused(object([](auto& o) { std::memset(o.name, 'x', sizeof o.name); }), bad);
    expect_refused(object([](auto& o) { o.first_pattern = 1; }), "patterns lie outside");
    expect_refused(object([](auto& o) { o.pattern_count = 0xffffffff; }), "patterns lie outside");
    expect_refused(object([](auto& o) { o.database_offset = 64; }), "database lies outside");
    expect_refused(object([](auto& o) { o.database_offset = 1; }), "database lies outside");
    expect_refused(object([](auto& o) { o.database_size = 1; }), "database lies outside");
    expect_refused(object([](auto& o) { o.type = PatternType::bytes; }), "has no database");
    expect_refused(changed([](SnapshotParts& p) { p.patterns[1].text_length = 4; }),
                   "pattern's text lies outside");
    expect_refused(changed([](SnapshotParts& p) { p.patterns[1].text_offset = 0xffffffff; }),
                   "pattern's text lies outside");
    auto with_database = [](std::uint64_t size, std::uint64_t offset) {
        return changed([&](SnapshotParts& p) {
            p.pattern_databases.assign(128, 'd');
            p.pattern_objects[0].type = PatternType::bytes;
            p.pattern_objects[0].database_size = size;
            p.pattern_objects[0].database_offset = offset;
        });
    };
    EXPECT_EQ(refusal(with_database(128, 0)), "");
    EXPECT_EQ(refusal(with_database(64, 64)), "");
    expect_refused(with_database(65, 64), "database lies outside");
    expect_refused(with_database(~std::uint64_t{0}, 64), "database lies outside");
}

TEST(SnapshotView, PayloadTestDamageIsNamed) {
    auto with = [](Instruction test) {
        return changed([&](SnapshotParts& p) {
            for (Instruction& instruction : p.instructions)
                if (is_residual(instruction.opcode))
                    instruction = test;
        });
    };
    const auto host = static_cast<std::uint16_t>(PayloadPart::http_host);
    const auto uri = static_cast<std::uint16_t>(PayloadPart::http_uri);
    EXPECT_EQ(refusal(with({.opcode = Opcode::payload, .detail = host})), "");
    EXPECT_EQ(refusal(with({.opcode = Opcode::payload, .argument = 1})), "");
    EXPECT_EQ(refusal(with({.opcode = Opcode::payload,
                            .flags = kPatternValue | kNegated,
                            .detail = host,
                            .data = 9})),
              "");
    const std::string bad = "a test is not valid";
    expect_refused(with({.opcode = Opcode::payload, .detail = host, .argument = 2}), bad);
    expect_refused(with({.opcode = Opcode::payload, .detail = host, .data = 9}), bad);
    expect_refused(with({.opcode = Opcode::payload, .detail = host, .count = 1}), bad);
    expect_refused(with({.opcode = Opcode::payload, .detail = uri}), bad);
    expect_refused(with({.opcode = Opcode::payload, .detail = 99, .argument = 1}), bad);
    expect_refused(with({.opcode = Opcode::antispoof, .flags = kPatternValue}), bad);
}

TEST(SnapshotView, LiveRulesMustBeThere) {
    for (const std::uint32_t live : {0u, 6u, 0xffffffffu})
        expect_refused(changed([&](SnapshotParts& p) { p.header.live_rules = live; }), "no rules");
    for (const std::uint32_t live : {1u, 3u, 5u})
        expect_refused(changed([&](SnapshotParts& p) { p.header.live_rules = live; }),
                       "default rule 65535");
}

TEST(SnapshotView, TestDamageIsNamed) {
    auto instruction = [](std::size_t index, auto change) {
        return changed([&](SnapshotParts& p) { change(p.instructions[index]); });
    };
    const std::string bad = "a test is not valid";
    expect_refused(instruction(0, [](auto& i) { i.opcode = Opcode::count_; }), bad);
    expect_refused(instruction(0, [](auto& i) { i.flags = 4; }), bad);
    expect_refused(instruction(0, [](auto& i) { i.count = 2; }), bad);
    expect_refused(instruction(0, [](auto& i) { i.data = 0xffffffff; }), bad);
    expect_refused(instruction(1, [](auto& i) { i.count = 0xffffffff; }), bad);
    expect_refused(instruction(2, [](auto& i) { i.data = 1; }), bad);
    expect_refused(instruction(3, [](auto& i) { i.data = 1; }), bad);
    expect_refused(instruction(5, [](auto& i) { i.count = 7; }), bad);
    expect_refused(instruction(5, [](auto& i) { i.data = 1; }), bad);
    expect_refused(instruction(6, [](auto& i) { i.data = 1; }), bad);
    expect_refused(instruction(7, [](auto& i) { i.count = 257; }), bad);
    expect_refused(instruction(7, [](auto& i) { i.data = 1; }), bad);
    expect_refused(instruction(8, [](auto& i) { i.count = 2; }), bad);
    expect_refused(instruction(3, [](auto& i) { i.opcode = Opcode::antispoof; }),
                   "residual test stands among");
    expect_refused(instruction(3, [](auto& i) { i.flags = kOrNext; }), "not closed");
    expect_refused(instruction(4, [](auto& i) { i.flags = kOrNext; }), "not closed");
}

TEST(SnapshotView, TableTestsAreChecked) {
    auto table = [](Opcode opcode, auto change) {
        return changed([&](SnapshotParts& parts) {
            Instruction& test = parts.instructions[residual_of(parts)];
            test = {.opcode = opcode, .flags = 0};
            change(test);
        });
    };
    const auto good = table(Opcode::table_source, [](auto& i) { i.argument = 65535; });
    EXPECT_EQ(refusal(good), "");
    EXPECT_EQ(refusal(table(Opcode::table_via,
                            [](auto& i) {
                                i.flags = kTableValue;
                                i.data = 7;
                            })),
              "");
    EXPECT_EQ(refusal(table(Opcode::table_lookup, [](auto& i) { i.count = 4; })), "");
    EXPECT_EQ(refusal(table(Opcode::mark_argument, [](auto& i) { i.data = 0xff; })), "");
    EXPECT_EQ(refusal(table(Opcode::tagged_argument, [](auto&) {})), "");
    const std::string bad = "a test is not valid";
    expect_refused(table(Opcode::table_source, [](auto& i) { i.argument = 65536; }), bad);
    expect_refused(table(Opcode::table_source, [](auto& i) { i.data = 7; }), bad);
    expect_refused(table(Opcode::table_lookup, [](auto& i) { i.detail = 99; }), bad);
    expect_refused(table(Opcode::table_lookup, [](auto& i) { i.count = 3; }), bad);
    expect_refused(table(Opcode::table_lookup,
                         [](auto& i) {
                             i.count = 4;
                             i.data = 6;
                         }),
                   bad);
    expect_refused(table(Opcode::probability, [](auto& i) { i.flags = kTableValue; }), bad);
    expect_refused(table(Opcode::mark_argument, [](auto& i) { i.count = 1; }), bad);
    expect_refused(table(Opcode::tagged_argument, [](auto& i) { i.data = 1; }), bad);
    EXPECT_EQ(refusal(table(Opcode::socket_user, [](auto& i) { i.count = 4; })), "");
    EXPECT_EQ(refusal(table(Opcode::socket_user, [](auto&) {})), "");
    expect_refused(table(Opcode::socket_user, [](auto& i) { i.count = 100'000; }), bad);
    expect_refused(table(Opcode::socket_user, [](auto& i) { i.data = 100'000; }), bad);
}

TEST(SnapshotView, InterfaceTestsMustEndAndBeKnown) {
    expect_refused(changed([](SnapshotParts& p) {
                       p.interface_tests[0].kind = static_cast<InterfaceTest::Kind>(4);
                   }),
                   "interface test");
    expect_refused(changed([](SnapshotParts& p) {
                       std::fill(std::begin(p.interface_tests[0].pattern),
                                 std::end(p.interface_tests[0].pattern), 'x');
                   }),
                   "interface test");
}

// The checksum sees every bit behind the header, whatever it means.
TEST(SnapshotView, EveryFlippedBitBehindTheHeaderIsSeen) {
    const std::vector<std::byte> good = SnapshotParts().image();
    for (std::size_t at = sizeof(SnapshotHeader); at < good.size(); ++at) {
        std::vector<std::byte> damaged = good;
        damaged[at] ^= static_cast<std::byte>(1u << at % 8);
        EXPECT_NE(refusal(damaged), "") << "byte " << at;
    }
}

// Memory that goes bad on the way, the header included.
TEST(SnapshotView, AnyDamagedByteIsRefused) {
    const std::vector<std::byte> good = SnapshotParts().image();
    for (std::size_t at = 0; at < good.size(); ++at) {
        std::vector<std::byte> damaged = good;
        damaged[at] ^= static_cast<std::byte>(1 + at % 255);
        EXPECT_NE(refusal(damaged), "") << at;
    }
}

// With the checksum put right the deeper checks decide: a refusal with a reason, or every reference
// inside its section (the sanitizers watch).
TEST(SnapshotView, FlippedBitsAreRefusedOrHarmless) {
    const std::vector<std::byte> good = SnapshotParts().image();
    std::uint64_t state = 1;
    unsigned taken = 0, refused = 0;
    for (int round = 0; round < 10000; ++round) {
        std::vector<std::byte> damaged = good;
        for (int flips = 0; flips < 1 + round % 3; ++flips) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            const std::size_t bit = (state >> 20) % (good.size() * 8);
            damaged[bit / 8] ^= static_cast<std::byte>(1u << bit % 8);
        }
        SnapshotHeader header;
        std::memcpy(&header, damaged.data(), sizeof header);
        header.checksum = snapshot_checksum(damaged);
        std::memcpy(damaged.data(), &header, sizeof header);
        AlignedImage image(damaged);
        const auto view = SnapshotView::validate(image.bytes());
        if (!view) {
            EXPECT_GT(view.error().message.size(), 30u);
            ++refused;
            continue;
        }
        ++taken;
        for (std::size_t i = 0; i < view->all_rules().size(); ++i) {
            const RuleRecord& rule = view->all_rules()[i];
            const bool detached = i >= view->rules().size();
            if (rule.action == RuleAction::skipto && !detached) {
                ASSERT_GT(rule.target, i);
            }
            if (rule.action == RuleAction::skipto || detached) {
                ASSERT_LT(rule.target, view->rules().size());
            }
            ASSERT_NE(rule.id, 0u);
            ASSERT_LE(view->rule_text(rule).size(), 5u);
        }
    }
    EXPECT_GT(taken, 100u);
    EXPECT_GT(refused, 100u);
}

}  // namespace
}  // namespace sluice::contract
