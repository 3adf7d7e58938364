#include "dataplane/table/table_store.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "tests/unit/table/batches.h"

namespace sluice::table {
namespace {

using contract::TableKey;
using contract::TableStatus;
using contract::TableType;
using contract::TableVerb;

// Statuses of a batch, as numbers that a failing test prints.
std::vector<int> statuses(const Answer& answer) {
    std::vector<int> result;
    for (const contract::TableResult& each : answer.results)
        result.push_back(static_cast<int>(each.status));
    return result;
}

std::vector<int> of(std::initializer_list<TableStatus> list) {
    std::vector<int> result;
    for (const TableStatus status : list)
        result.push_back(static_cast<int>(status));
    return result;
}

// The value that a packet with this address finds, judged by the ruleset with this serial; -1:
// none.
std::int64_t value4(const Store& store, std::uint32_t id, std::uint32_t address,
                    std::uint64_t ruleset = 0) {
    const View* view = store.load_for(ruleset).find(id);
    const Reference entry = view == nullptr ? 0 : store.find_address4(*view, address);
    return entry == 0 ? std::int64_t{-1} : store.value(entry).of(contract::TableField::tag);
}

std::int64_t value6(const Store& store, std::uint32_t id, const Ipv6& address) {
    const View* view = store.load().find(id);
    const Reference entry = view == nullptr ? 0 : store.find_address6(*view, address);
    return entry == 0 ? std::int64_t{-1} : store.value(entry).of(contract::TableField::tag);
}

// Prefixes and values, searched in the simplest way.
template <typename Address, unsigned kBits>
struct Oracle {
    std::map<std::pair<Address, unsigned>, std::uint32_t> prefixes;

    std::int64_t find(const Address& address, Address (*cut)(const Address&, unsigned)) const {
        for (unsigned length = kBits + 1; length-- > 0;)
            if (const auto found = prefixes.find({cut(address, length), length});
                found != prefixes.end())
                return found->second;
        return -1;
    }
};

std::uint32_t cut4(const std::uint32_t& address, unsigned length) {
    return length == 0 ? 0 : address & (~0u << (32 - length));
}

using Bytes16 = std::array<std::uint8_t, 16>;
Bytes16 cut6(const Bytes16& address, unsigned length) {
    Bytes16 result = address;
    for (unsigned bit = length; bit < 128; ++bit)
        result[bit / 8] &= static_cast<std::uint8_t>(~(0x80 >> bit % 8));
    return result;
}

// Addresses that share beginnings, so that prefixes cover each other.
std::uint32_t random4(std::mt19937_64& random) {
    const std::uint32_t any = static_cast<std::uint32_t>(random());
    switch (random() % 4) {
        case 0:
            return any;
        case 1:
            return 0x0a000000 | (any & 0x3ff);
        case 2:
            return 0x0a000000 | (any & 0xff0000);
        default:
            return 0xc0a80000 | (any & 0xf00f);
    }
}

Bytes16 random6(std::mt19937_64& random) {
    Bytes16 bytes{0x20, 0x01, 0x0d, 0xb8};
    const unsigned kept = static_cast<unsigned>(random() % 12);
    for (unsigned i = 4 + kept; i < 16; ++i)
        bytes[i] = static_cast<std::uint8_t>(random() % 3 == 0 ? random() : 0);
    if (random() % 8 == 0)
        for (std::uint8_t& byte : bytes)
            byte = static_cast<std::uint8_t>(random());
    return bytes;
}

TEST(TableStore, FindsTheLongestPrefixAsTheOracleDoes) {
    std::mt19937_64 random(1);
    Store store({});
    store.apply(BatchBuilder().create(3, TableType::addr).batch(), Failures::stop, 0);
    Oracle<std::uint32_t, 32> four;
    Oracle<Bytes16, 128> six;
    for (int round = 0; round < 6000; ++round) {
        BatchBuilder builder;
        std::vector<TableStatus> expected;
        for (auto left = random() % 3 + 1; left > 0; --left) {
            const unsigned length = static_cast<unsigned>(random() % 33);
            const unsigned length6 = static_cast<unsigned>(random() % 129);
            const std::uint32_t address = cut4(random4(random), length);
            const Bytes16 address6 = cut6(random6(random), length6);
            const auto value = static_cast<std::uint32_t>(random() % 1000);
            const bool v6 = random() % 2 == 0;
            const TableKey key = v6 ? prefix6(Ipv6{address6}, length6) : prefix4(address, length);
            const bool there = v6 ? six.prefixes.contains({address6, length6})
                                  : four.prefixes.contains({address, length});
            // More is added at first, more removed at the end.
            if (random() % 6000 >= static_cast<unsigned>(round)) {
                builder.add(3, key, value);
                expected.push_back(there ? TableStatus::exists : TableStatus::done);
                if (!there)
                    v6 ? six.prefixes[{address6, length6}] = value
                       : four.prefixes[{address, length}] = value;
            } else if (!four.prefixes.empty() && !v6) {
                auto some = four.prefixes.lower_bound({address, length});
                if (some == four.prefixes.end())
                    some = four.prefixes.begin();
                builder.remove(3, prefix4(some->first.first, some->first.second));
                expected.push_back(TableStatus::done);
                four.prefixes.erase(some);
            } else {
                builder.remove(3, key);
                expected.push_back(there ? TableStatus::done : TableStatus::not_found);
                v6 ? six.prefixes.erase({address6, length6})
                   : four.prefixes.erase({address, length});
            }
        }
        const Answer answer = store.apply(builder.batch(), Failures::skip, 0);
        ASSERT_EQ(statuses(answer).size(), expected.size());
        for (std::size_t i = 0; i < expected.size(); ++i)
            ASSERT_EQ(answer.results[i].status, expected[i]) << "round " << round;
        for (int probe = 0; probe < 4; ++probe) {
            const std::uint32_t address = random4(random);
            ASSERT_EQ(value4(store, 3, address), four.find(address, cut4)) << "round " << round;
            const Bytes16 address6 = random6(random);
            ASSERT_EQ(value6(store, 3, Ipv6{address6}), six.find(address6, cut6))
                << "round " << round;
        }
    }
    const Answer answer =
        store.apply(BatchBuilder().change(TableVerb::list, 3).batch(), Failures::stop, 0);
    EXPECT_EQ(answer.entries.size(), four.prefixes.size() + six.prefixes.size());
    EXPECT_EQ(answer.results[0].count, answer.entries.size());
    std::size_t i = 0;
    for (const auto& [prefix, value] : four.prefixes) {
        EXPECT_EQ(answer.entries[i].key, prefix4(prefix.first, prefix.second));
        EXPECT_EQ(answer.values[answer.entries[i].value].of(contract::TableField::tag), value);
        ++i;
    }
    store.apply(BatchBuilder().change(TableVerb::destroy, 3).batch(), Failures::stop, 0);
    EXPECT_EQ(store.used_bytes(), 0u);
}

TEST(TableStore, ABatchThatFailsLeavesNothingBehind) {
    Store store({});
    store.apply(BatchBuilder()
                    .create(1, TableType::addr)
                    .create(2, TableType::addr)
                    .add(1, prefix4(0x0a000000, 8), 5)
                    .add(2, prefix4(0x0b000000, 8), 6)
                    .batch(),
                Failures::stop, 0);
    const std::uint64_t before = store.used_bytes();
    const Answer answer = store.apply(BatchBuilder()
                                          .add(1, prefix4(0x0a010000, 16), 7)
                                          .change(TableVerb::swap, 1, 2)
                                          .create(9, TableType::number)
                                          .change(TableVerb::flush, 2)
                                          .remove(1, prefix4(0x0c000000, 8))
                                          .add(1, prefix4(1, 32), 1)
                                          .batch(),
                                      Failures::stop, 0);
    EXPECT_TRUE(answer.failed);
    EXPECT_EQ(statuses(answer),
              of({TableStatus::done, TableStatus::done, TableStatus::done, TableStatus::done,
                  TableStatus::not_found, TableStatus::not_reached}));
    EXPECT_EQ(value4(store, 1, 0x0a010101), 5);
    EXPECT_EQ(value4(store, 2, 0x0b010101), 6);
    EXPECT_EQ(store.load().find(9), nullptr);
    EXPECT_EQ(store.used_bytes(), before);
}

// Grace periods that end when the test says so.
struct ManualPeriods final : GracePeriods {
    std::uint64_t begin() override { return ++begun; }
    bool over(std::uint64_t period) override { return period <= seen; }
    std::uint64_t begun = 0, seen = 0;
};

TEST(TableStore, AnAnnouncedBatchIsSeenByItsRulesetAlone) {
    constexpr std::uint64_t kOld = 41, kNew = 42;
    ManualPeriods periods;
    Store store({.grace_periods = &periods});
    store.apply(BatchBuilder().create(1, TableType::addr).add(1, prefix4(0, 0), 5).batch(),
                Failures::stop, 0);
    const auto announce = [&] {
        BatchBuilder builder;
        builder.remove(1, prefix4(0, 0)).add(1, prefix4(0, 0), 6).create(2, TableType::addr);
        ASSERT_FALSE(store.prepare(builder.batch(), Failures::stop, 0).failed);
        store.announce(kNew);
        EXPECT_EQ(value4(store, 1, 1, kNew), 6);
        EXPECT_EQ(value4(store, 1, 1, kOld), 5);
        EXPECT_EQ(value4(store, 1, 1), 5);
        EXPECT_EQ(store.load_for(kOld).find(2), nullptr);
        EXPECT_NE(store.load_for(kNew).find(2), nullptr);
    };
    periods.seen = periods.begun;
    store.collect();
    const std::uint64_t before = store.used_bytes();

    announce();
    const Directory& seen = store.load_for(kNew);
    store.discard();
    EXPECT_EQ(value4(store, 1, 1, kNew), 5);
    // A reader may still be there, so nothing that it sees is used again.
    store.apply(BatchBuilder().add(1, prefix4(0x0a000000, 8), 7).batch(), Failures::stop, 0);
    EXPECT_EQ(
        store.value(store.find_address4(*seen.find(1), 0x0a000001)).of(contract::TableField::tag),
        6u);
    store.apply(BatchBuilder().remove(1, prefix4(0x0a000000, 8)).batch(), Failures::stop, 0);
    periods.seen = periods.begun;
    store.collect();
    EXPECT_EQ(store.used_bytes(), before);

    announce();
    store.commit();
    for (const std::uint64_t ruleset : {kNew, kOld, std::uint64_t{0}})
        EXPECT_EQ(value4(store, 1, 1, ruleset), 6);
    // The serial says nothing about what comes later.
    store.apply(BatchBuilder().add(1, prefix4(0, 1), 8).batch(), Failures::stop, 0);
    EXPECT_EQ(value4(store, 1, 1, kNew), 8);
}

TEST(TableStore, APreparedBatchIsSeenWhenItIsCommitted) {
    Store store({});
    store.apply(BatchBuilder().create(1, TableType::addr).batch(), Failures::stop, 0);
    BatchBuilder builder;
    builder.add(1, prefix4(0, 0), 5);
    store.prepare(builder.batch(), Failures::stop, 0);
    EXPECT_EQ(value4(store, 1, 1), -1);
    store.commit();
    EXPECT_EQ(value4(store, 1, 1), 5);
    builder.change(TableVerb::flush, 1);
    store.prepare(BatchBuilder().change(TableVerb::flush, 1).batch(), Failures::stop, 0);
    store.discard();
    EXPECT_EQ(value4(store, 1, 1), 5);
}

TEST(TableStore, AnUpdateGivesAnotherValue) {
    Store store({});
    constexpr std::uint8_t kUpdate = contract::table_change_flag::update;
    const Answer answer = store.apply(BatchBuilder()
                                          .create(0, TableType::addr)
                                          .add(0, prefix4(0x01020304, 32), 1)
                                          .add(0, prefix4(0x01020304, 32), 2)
                                          .add(0, prefix4(0x01020304, 32), 3, 0, kUpdate)
                                          .batch(),
                                      Failures::skip, 0);
    EXPECT_EQ(statuses(answer), of({TableStatus::done, TableStatus::done, TableStatus::exists,
                                    TableStatus::updated}));
    EXPECT_EQ(value4(store, 0, 0x01020304), 3);
}

TEST(TableStore, TheCountAloneIsToldWithoutAWalk) {
    Store store({});
    store.apply(BatchBuilder()
                    .create(0, TableType::addr)
                    .add(0, prefix4(0x01020304, 32), 1)
                    .add(0, prefix4(0x01020305, 32), 1)
                    .batch(),
                Failures::stop, 0);
    EXPECT_EQ(value4(store, 0, 0x01020304), 1);
    BatchBuilder questions;
    questions.change(TableVerb::info, 0).change(TableVerb::info, 0);
    questions.changes[1].flags = contract::table_change_flag::count_alone;
    const Answer answer = store.apply(questions.batch(), Failures::skip, 0);
    EXPECT_EQ(statuses(answer), of({TableStatus::done, TableStatus::done}));
    EXPECT_EQ(answer.results[0].count, 2u);
    EXPECT_GT(answer.results[0].bytes, 0u);
    EXPECT_EQ(answer.results[1].count, 2u);
    EXPECT_EQ(answer.results[1].bytes, 0u);
    EXPECT_EQ(answer.results[1].hits, 0u);
}

TEST(TableStore, ALimitIsKept) {
    Store store({});
    const Answer answer = store.apply(BatchBuilder()
                                          .create(0, TableType::number, 2)
                                          .add(0, number_key(1), 1)
                                          .add(0, number_key(2), 2)
                                          .add(0, number_key(3), 3)
                                          .remove(0, number_key(1))
                                          .add(0, number_key(3), 3)
                                          .batch(),
                                      Failures::skip, 0);
    EXPECT_EQ(statuses(answer), of({TableStatus::done, TableStatus::done, TableStatus::done,
                                    TableStatus::limit, TableStatus::done, TableStatus::done}));
}

TEST(TableStore, LoadReplacesByDifference) {
    Store store({.workers = 2});
    store.apply(BatchBuilder()
                    .create(1, TableType::addr)
                    .add(1, prefix4(0x0a000000, 8), 1)
                    .add(1, prefix4(0x0b000000, 8), 1)
                    .add(1, prefix4(0x0c000000, 8), 1)
                    .batch(),
                Failures::stop, 0);
    const View* view = store.load().find(1);
    store.count_hit(0, store.find_address4(*view, 0x0a000001));
    store.count_hit(1, store.find_address4(*view, 0x0a000001));
    BatchBuilder builder;
    builder.change(TableVerb::load, 1, 4)
        .add(1, prefix4(0x0a000000, 8), 1)
        .add(1, prefix4(0x0b000000, 8), 2)
        .add(1, prefix4(0x0d000000, 8), 1)
        .add(1, prefix4(0x0d000000, 8), 1)
        .change(TableVerb::list, 1);
    const Answer answer = store.apply(builder.batch(), Failures::stop, 0);
    ASSERT_FALSE(answer.failed);
    EXPECT_EQ(answer.results[0].added, 1u);
    EXPECT_EQ(answer.results[0].changed, 1u);
    EXPECT_EQ(answer.results[0].removed, 1u);
    EXPECT_EQ(answer.results[0].count, 3u);
    EXPECT_EQ(value4(store, 1, 0x0c000001), -1);
    EXPECT_EQ(value4(store, 1, 0x0b000001), 2);
    ASSERT_EQ(answer.entries.size(), 3u);
    EXPECT_EQ(answer.entries[0].hits, 2u);  // the entry is the same
}

TEST(TableStore, EntriesExpireAndGoWithTheirContent) {
    Store store({});
    store.apply(BatchBuilder()
                    .create(1, TableType::addr)
                    .create(2, TableType::addr)
                    .add(1, prefix4(0x0a000000, 8), 1, 10)
                    .add(1, prefix4(0x0b000000, 8), 1, 20)
                    .add(1, prefix4(0x0c000000, 8), 1)
                    .batch(),
                Failures::stop, 100);
    store.apply(BatchBuilder().change(TableVerb::swap, 1, 2).batch(), Failures::stop, 101);
    EXPECT_EQ(store.expire(109), 0u);
    const Answer answer =
        store.apply(BatchBuilder().change(TableVerb::list, 2).batch(), Failures::stop, 109);
    EXPECT_EQ(answer.entries[0].expires_s, 1u);
    EXPECT_EQ(answer.entries[2].expires_s, 0u);
    EXPECT_EQ(store.expire(110), 1u);
    EXPECT_EQ(value4(store, 2, 0x0a000001), -1);
    EXPECT_EQ(value4(store, 2, 0x0b000001), 1);
    // A new entry at the same place is not the one that was to go.
    store.apply(
        BatchBuilder().remove(2, prefix4(0x0b000000, 8)).add(2, prefix4(0x0b000000, 8), 9).batch(),
        Failures::stop, 111);
    EXPECT_EQ(store.expire(1000), 0u);
    EXPECT_EQ(value4(store, 2, 0x0b000001), 9);
}

TEST(TableStore, InterfacesMatchByName) {
    Store store({.interfaces = {"em0", "em1"}});
    store.apply(BatchBuilder()
                    .create(1, TableType::iface)
                    .add(1, interface_key("em1"), 4)
                    .add(1, interface_key("absent"), 5)
                    .batch(),
                Failures::stop, 0);
    const View view = *store.load().find(1);
    EXPECT_EQ(store.find_interface(view, 0), 0u);
    EXPECT_NE(store.find_interface(view, 1), 0u);
    EXPECT_EQ(store.find_interface(view, 0xffff), 0u);
    store.apply(BatchBuilder().change(TableVerb::flush, 1).batch(), Failures::stop, 0);
    EXPECT_EQ(store.find_interface(*store.load().find(1), 1), 0u);
}

TEST(TableStore, MacAddressesHavePrefixes) {
    Store store({});
    TableKey key;
    key.bytes = {0x02, 0x11, 0x22, 0xff, 0xff, 0xff};
    key.prefix_length = 24;
    store.apply(BatchBuilder().create(1, TableType::mac).add(1, key, 4).batch(), Failures::stop, 0);
    const View view = *store.load().find(1);
    EXPECT_NE(store.find_mac(view, {{0x02, 0x11, 0x22, 0, 0, 1}}), 0u);
    EXPECT_EQ(store.find_mac(view, {{0x02, 0x11, 0x23, 0, 0, 1}}), 0u);
}

TEST(TableStore, FlowsAreComparedInTheirParts) {
    Store store({});
    BatchBuilder builder;
    builder.create(1, TableType::flow);
    builder.descriptors[0].flow_parts =
        contract::flow_part::source_address | contract::flow_part::destination_port;
    TableKey key = prefix4(0x0a000001, 0);
    key.destination_port = 80;
    store.apply(builder.add(1, key, 4).batch(), Failures::stop, 0);
    const View view = *store.load().find(1);
    TableKey packet = prefix4(0x0a000001, 0);
    packet.protocol = 6;
    packet.source_port = 1234;
    packet.destination_port = 80;
    packet.destination.bytes[0] = 9;
    EXPECT_NE(store.find_flow(view, packet), 0u);
    packet.destination_port = 81;
    EXPECT_EQ(store.find_flow(view, packet), 0u);
}

TEST(TableStore, ManyAddressesAtOnceFindWhatOneFinds) {
    std::mt19937_64 random(3);
    for (const std::uint32_t entries : {0u, 3u, 300u, 60'000u}) {
        Store store({});
        BatchBuilder builder;
        builder.create(1, TableType::addr);
        std::vector<std::uint32_t> known4;
        std::vector<Bytes16> known6;
        for (std::uint32_t i = 0; i < entries; ++i) {
            known4.push_back(static_cast<std::uint32_t>(random()));
            known6.push_back(random6(random));
            const auto length4 = static_cast<unsigned>(8 + random() % 25);
            const auto length6 = static_cast<unsigned>(16 + random() % 113);
            builder.add(1, prefix4(cut4(known4.back(), length4), length4), i);
            builder.add(1, prefix6(Ipv6{cut6(known6.back(), length6)}, length6), i);
        }
        store.apply(builder.batch(), Failures::skip, 0);
        const View& view = *store.load().find(1);
        for (std::size_t size = 0; size <= Store::kMany; ++size) {
            std::vector<std::uint32_t> four(size);
            std::vector<Ipv6> six(size);
            std::vector<Reference> found4(size), found6(size);
            for (std::size_t i = 0; i < size; ++i) {
                const bool near = entries != 0 && i % 4 != 0;
                four[i] = near ? known4[random() % entries] ^ static_cast<unsigned>(random() % 64)
                               : static_cast<std::uint32_t>(random());
                six[i] = Ipv6{near ? known6[random() % entries] : random6(random)};
            }
            store.find_addresses4(view, four, found4);
            store.find_addresses6(view, six, found6);
            for (std::size_t i = 0; i < size; ++i) {
                ASSERT_EQ(found4[i], store.find_address4(view, four[i]));
                ASSERT_EQ(found6[i], store.find_address6(view, six[i]));
            }
        }
    }
}

// Else whoever waits for the answer cannot know that it will come, and nothing else is done.
TEST(TableStore, ALargeBatchLeavesTimeForOtherThings) {
    class Counter final : public Meanwhile {
      public:
        void step() override { ++steps; }
        unsigned steps = 0;
    };
    constexpr std::uint32_t kEntries = 100'000;
    Store store({});
    BatchBuilder builder;
    builder.create(1, contract::TableType::addr).change(contract::TableVerb::load, 1, kEntries);
    for (std::uint32_t i = 0; i < kEntries; ++i)
        builder.add(1, prefix4(i << 8, 24), 7);
    const auto steps_of = [&](const Batch& batch) {
        Counter counter;
        EXPECT_FALSE(store.prepare(batch, Failures::stop, 0, &counter).failed);
        store.commit();
        return counter.steps;
    };
    EXPECT_GE(steps_of(builder.batch()), 20u);
    BatchBuilder list, flush;
    list.change(contract::TableVerb::list, 1);
    flush.change(contract::TableVerb::flush, 1);
    EXPECT_GE(steps_of(list.batch()), 20u);
    EXPECT_GE(steps_of(flush.batch()), 20u);
}

TEST(TableStore, OutOfMemoryChangesNothing) {
    Store store({.maximum_node_bytes = 2 << 20});
    store.apply(BatchBuilder().create(1, TableType::addr).add(1, prefix4(0, 0), 7).batch(),
                Failures::stop, 0);
    BatchBuilder builder;
    for (std::uint32_t i = 0; i < 200000; ++i)
        builder.change(TableVerb::add, 1, 0, prefix4(i * 2654435761u, 32));
    builder.values.push_back({});
    const Answer answer = store.apply(builder.batch(), Failures::skip, 0);
    EXPECT_TRUE(answer.failed);
    EXPECT_EQ(value4(store, 1, 5), 7);
    EXPECT_FALSE(
        store.apply(BatchBuilder().add(1, prefix4(1, 32), 8).batch(), Failures::stop, 0).failed);
    EXPECT_EQ(value4(store, 1, 1), 8);
}

TEST(TableStore, NonsenseIsRefused) {
    Store store({.interfaces = {"em0"}});
    TableKey bad = prefix4(0, 33);
    const Answer answer = store.apply(BatchBuilder()
                                          .create(1, TableType::addr)
                                          .create(1, TableType::addr)
                                          .create(70000, TableType::addr)
                                          .add(1, bad, 1)
                                          .add(1, interface_key("em0"), 1)
                                          .add(2, prefix4(0, 0), 1)
                                          .change(TableVerb::add, 1, 77, prefix4(0, 0))
                                          .change(TableVerb::create, 1, 77)
                                          .batch(),
                                      Failures::skip, 0);
    EXPECT_EQ(statuses(answer),
              of({TableStatus::done, TableStatus::no_table, TableStatus::wrong_type,
                  TableStatus::wrong_type, TableStatus::wrong_type, TableStatus::no_table,
                  TableStatus::wrong_type, TableStatus::wrong_type}));
}

}  // namespace
}  // namespace sluice::table
