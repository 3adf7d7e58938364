// Readers look up while the writer changes entries some 10,000 times a second: no answer is one
// that the table never could have given, and nothing is lost that was there all the time.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <random>
#include <thread>

#include "tests/unit/table/batches.h"

namespace sluice::table {
namespace {

using contract::TableType;

constexpr unsigned kReaders = 2;

// A counter for each reader that rises when the reader holds nothing.
class Quiescence final : public GracePeriods {
  public:
    std::uint64_t begin() override {
        const std::uint64_t period = period_.fetch_add(1) + 1;
        return period;
    }
    bool over(std::uint64_t period) override {
        for (const auto& seen : seen_)
            if (seen.value.load(std::memory_order_acquire) < period)
                return false;
        return true;
    }
    void quiescent(unsigned reader) {
        seen_[reader].value.store(period_.load(std::memory_order_acquire),
                                  std::memory_order_release);
    }

  private:
    struct alignas(64) Seen {
        std::atomic<std::uint64_t> value = 0;
    };
    std::atomic<std::uint64_t> period_ = 0;
    Seen seen_[kReaders];
};

constexpr std::uint32_t kPermanent = 65536;

// The networks 10.x.x.0/24 stay; in each a /26 comes and goes, with a value that says where it
// belongs.
std::uint32_t permanent_prefix(std::uint32_t i) {
    return 0x0a000000 | i << 8;
}

TEST(TableConcurrency, NoLookUpIsMisjudgedWhileEntriesChange) {
    Quiescence quiescence;
    Store store({.workers = kReaders, .grace_periods = &quiescence});
    BatchBuilder builder;
    builder.create(1, TableType::addr).create(2, TableType::addr);
    for (std::uint32_t i = 0; i < kPermanent; ++i)
        builder.add(1, prefix4(permanent_prefix(i), 24), i + 1);
    builder.add(2, prefix4(0, 0), 0xffff);
    ASSERT_FALSE(store.apply(builder.batch(), Failures::stop, 0).failed);

    std::atomic<bool> stop = false;
    std::atomic<std::uint64_t> lookups = 0, wrong = 0, changed_seen = 0;
    std::vector<std::thread> readers;
    for (unsigned reader = 0; reader < kReaders; ++reader)
        readers.emplace_back([&, reader] {
            std::mt19937 random(reader);
            std::uint64_t done = 0, bad = 0, changed = 0;
            while (!stop.load(std::memory_order_relaxed)) {
                const Directory& directory = store.load();
                const View* view = directory.find(1);
                for (int i = 0; i < 32; ++i) {
                    const std::uint32_t place = random() % (random() % 2 == 0 ? kPermanent : 512);
                    const Reference entry =
                        store.find_address4(*view, permanent_prefix(place) | (random() & 0xff));
                    ++done;
                    if (entry == 0) {
                        ++bad;
                        continue;
                    }
                    const std::uint32_t value = store.value(entry).of(contract::TableField::tag);
                    // The permanent entry's value, or that of the one which comes and goes.
                    if (value == (place + 1) + 1000000)
                        ++changed;
                    else if (value != place + 1)
                        ++bad;
                    store.count_hit(reader, entry);
                }
                quiescence.quiescent(reader);
            }
            quiescence.quiescent(reader);
            lookups += done;
            wrong += bad;
            changed_seen += changed;
        });

    std::mt19937 random(99);
    std::uint64_t changes = 0;
    std::vector<bool> there(kPermanent);
    const auto begin = std::chrono::steady_clock::now();
    const auto end = begin + std::chrono::seconds(3);
    while (std::chrono::steady_clock::now() < end) {
        for (int i = 0; i < 100; ++i) {
            const std::uint32_t place = random() % 512;
            const contract::TableKey key = prefix4(permanent_prefix(place) | 0x40, 26);
            BatchBuilder change;
            if (there[place])
                change.remove(1, key);
            else
                change.add(1, key, place + 1 + 1000000);
            there[place] = !there[place];
            ASSERT_FALSE(store.apply(change.batch(), Failures::stop, 0).failed);
            ++changes;
        }
        // Another table of all the values comes and goes as well.
        BatchBuilder swap;
        swap.change(contract::TableVerb::swap, 1, 2).change(contract::TableVerb::swap, 2, 1);
        ASSERT_FALSE(store.apply(swap.batch(), Failures::stop, 0).failed);
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    stop = true;
    for (std::thread& reader : readers)
        reader.join();
    store.collect();
    EXPECT_EQ(wrong.load(), 0u);
    EXPECT_GT(lookups.load(), 1000u);
    EXPECT_GT(changed_seen.load(), 0u);
    EXPECT_GT(changes, 100u);  // a busy machine makes fewer
    const Answer answer =
        store.apply(BatchBuilder().change(contract::TableVerb::info, 1).batch(), Failures::stop, 0);
    EXPECT_GT(answer.results[0].hits, 0u);
    RecordProperty("lookups", std::to_string(lookups.load()));
    RecordProperty("changes", std::to_string(changes));
}

}  // namespace
}  // namespace sluice::table
