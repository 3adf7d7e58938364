#include "dataplane/state/flow_index.h"

#include <gtest/gtest.h>

#include <random>
#include <unordered_map>
#include <vector>

namespace sluice::state {
namespace {

using Buckets = std::vector<FlowIndex::Bucket>;

struct Entry {
    FlowHash hash;
    CellIndex cell;
};

bool finds(const FlowIndex& index, FlowHash hash, CellIndex cell) {
    return index.find(hash, [&](CellIndex found) { return found == cell; }) == cell;
}

// Random operations beside a model. `draw` gives hashes; `load_percent` of all places are kept
// used.
template <typename Draw>
unsigned run_against_model(std::size_t buckets, unsigned load_percent, Draw draw, unsigned rounds) {
    Buckets memory(buckets);
    FlowIndex index(memory);
    std::vector<Entry> entries;
    std::unordered_multimap<FlowHash, CellIndex> model;
    std::mt19937_64 random(3);
    const std::size_t target = buckets * FlowIndex::kBucketEntries * load_percent / 100;
    CellIndex next_cell = 0;
    unsigned refused = 0;
    for (unsigned round = 0; round < rounds; ++round) {
        const bool grow = entries.size() < target ? random() % 8 != 0 : random() % 8 == 0;
        if (grow) {
            // The same flow may be there twice, under two names.
            const bool again = !entries.empty() && random() % 16 == 0;
            const FlowHash hash = again ? entries[random() % entries.size()].hash : draw(random());
            const CellIndex cell = next_cell++ % FlowIndex::kMaximumCells;
            if (index.insert(hash, cell)) {
                entries.push_back({hash, cell});
                model.emplace(hash, cell);
            } else {
                ++refused;
                EXPECT_FALSE(finds(index, hash, cell));
            }
        } else if (!entries.empty()) {
            std::swap(entries[random() % entries.size()], entries.back());
            const Entry gone = entries.back();
            entries.pop_back();
            index.erase(gone.hash, gone.cell);
            auto [at, end] = model.equal_range(gone.hash);
            while (at->second != gone.cell)
                ++at;
            model.erase(at);
            EXPECT_FALSE(finds(index, gone.hash, gone.cell));
        }
        if (entries.empty())
            continue;
        const Entry& some = entries[random() % entries.size()];
        EXPECT_TRUE(finds(index, some.hash, some.cell));
        if (round % 1024 != 0)
            continue;
        for (const auto& [hash, cell] : model) {
            EXPECT_TRUE(finds(index, hash, cell));
            EXPECT_EQ(
                index.find_from_outside(hash, [wanted = cell](CellIndex i) { return i == wanted; }),
                cell);
        }
        if (testing::Test::HasFailure())
            return refused;
    }
    for (const Entry& entry : entries)
        index.erase(entry.hash, entry.cell);
    for (const FlowIndex::Bucket& bucket : memory) {
        EXPECT_EQ(bucket.passed_on, 0);
        for (const std::uint8_t tag : bucket.tags)
            EXPECT_EQ(tag, 0);
    }
    return refused;
}

TEST(FlowIndex, AgreesWithAMultimapAtItsLoad) {
    EXPECT_EQ(run_against_model(
                  512, 60, [](std::uint64_t number) { return number; }, 60000),
              0u);
}

TEST(FlowIndex, AgreesWithAMultimapWhenNearlyFull) {
    run_against_model(
        64, 97, [](std::uint64_t number) { return number; }, 60000);
}

// All at home in three neighbouring buckets, the last ones of the array, so that the way goes on at
// its begin.
TEST(FlowIndex, AgreesWithAMultimapWhenHomesAreTheSame) {
    const unsigned refused = run_against_model(
        64, 35,
        [](std::uint64_t number) {
            const std::uint64_t home = 61 + number % 3;
            return home << 58 | (number >> 8 & 0x3fff);
        },
        60000);
    EXPECT_GT(refused, 0u);
}

TEST(FlowIndex, RefusesWhatIsOutOfReachAndTakesItWhenThereIsRoom) {
    Buckets memory(64);
    FlowIndex index(memory);
    const FlowHash home = FlowHash{10} << 58;
    CellIndex cells = 0;
    while (index.insert(home | cells, cells))
        ++cells;
    EXPECT_EQ(cells, 16 * FlowIndex::kBucketEntries);
    for (CellIndex i = 0; i < cells; ++i)
        ASSERT_TRUE(finds(index, home | i, i)) << i;
    // One of the home bucket goes: those that were sent on are found as before.
    index.erase(home | 3, 3);
    for (CellIndex i = 0; i < cells; ++i)
        ASSERT_EQ(finds(index, home | i, i), i != 3) << i;
    EXPECT_TRUE(index.insert(home | cells, cells));
    EXPECT_FALSE(index.insert(home | (cells + 1), cells + 1));
    // Elsewhere there is room.
    EXPECT_TRUE(index.insert(FlowHash{40} << 58, cells + 1));
}

TEST(FlowIndex, WrongTagsAndChecksAreNotShown) {
    Buckets memory(1);
    FlowIndex index(memory);
    ASSERT_TRUE(index.insert(0x1234, 7));
    auto shown = [&](FlowHash hash) {
        unsigned calls = 0;
        index.find(hash, [&](CellIndex) {
            ++calls;
            return false;
        });
        return calls;
    };
    EXPECT_EQ(shown(0x1234), 1u);
    EXPECT_EQ(shown(0x1235), 0u);
    EXPECT_EQ(shown(0x1334), 0u);
    // A tag of zero would mean an empty place.
    ASSERT_TRUE(index.insert(0x1200, 8));
    EXPECT_TRUE(finds(index, 0x1200, 8));
    EXPECT_EQ(index.candidate(0x1234), 7u);
    EXPECT_EQ(index.candidate(0x1277), kNoCell);
    EXPECT_TRUE(index.insert(0x1234, FlowIndex::kMaximumCells - 1));
    EXPECT_TRUE(finds(index, 0x1234, FlowIndex::kMaximumCells - 1));
}

TEST(FlowIndex, HasRoomForItsCellsAtSixtyPercent) {
    for (const CellIndex cells : {1000u, 1u << 20, FlowIndex::kMaximumCells}) {
        const double places =
            static_cast<double>(FlowIndex::buckets_for(cells)) * FlowIndex::kBucketEntries;
        EXPECT_LE(cells / places, 0.6) << cells;
        EXPECT_GE(cells / (places - 2 * FlowIndex::kBucketEntries), 0.59) << cells;
    }
}

}  // namespace
}  // namespace sluice::state
