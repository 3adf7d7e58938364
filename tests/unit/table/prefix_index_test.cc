// The index of a table beside a list of prefixes, from a few entries to many and back.
#include "dataplane/table/prefix_index.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <utility>
#include <vector>

namespace sluice::table {
namespace {

template <typename Key, unsigned kLong>
class Checked {
    using Index = PrefixIndex<Key, kLong>;
    using Prefix = std::pair<Key, unsigned>;
    static constexpr unsigned kBits = sizeof(Key) * 8;

  public:
    explicit Checked(std::uint64_t seed) : random_(seed) {}
    ~Checked() {
        Index::clear(heap_, root_, [](Reference) {});
        publish();
        EXPECT_EQ(heap_.memory().used_bytes(), 0u);
    }

    static Key cut(Key key, unsigned length) {
        return length == 0 ? Key{0} : static_cast<Key>(key >> (kBits - length) << (kBits - length));
    }
    Key draw_key() {
        Key key = static_cast<Key>(random_());
        if constexpr (kBits == 128)
            key = key << 64 | random_();
        // Some crowd together, as addresses of one network do.
        const unsigned shift = random_() % 3 == 0 ? kBits / 2 : 0;
        return static_cast<Key>(shift == 0 ? key : Key{0x21} << (kBits - 8) | key >> shift);
    }

    void put(unsigned at_most) {
        const auto length = static_cast<unsigned>(random_() % (at_most + 1));
        const Key key = cut(draw_key(), length);
        const auto entry = static_cast<Reference>(random_() % 1000000 + 1);
        root_ = Index::put(heap_, root_, key, length, entry,
                           static_cast<std::uint32_t>(prefixes_.size()));
        prefixes_[{key, length}] = entry;
    }
    void remove_one() {
        auto found = prefixes_.lower_bound({draw_key(), 0});
        if (found == prefixes_.end())
            found = prefixes_.begin();
        root_ = Index::remove(heap_, root_, found->first.first, found->first.second);
        prefixes_.erase(found);
    }
    void publish() {
        retired_ = heap_.commit();
        heap_.give_back(retired_);
    }

    Reference expected(Key key) const {
        for (unsigned length = kBits + 1; length-- > 0;)
            if (const auto found = prefixes_.find({cut(key, length), length});
                found != prefixes_.end())
                return found->second;
        return 0;
    }
    void check(unsigned times) {
        for (unsigned i = 0; i < times; ++i) {
            Key key = draw_key();
            // Half of them near a prefix.
            if (const auto near = prefixes_.lower_bound({key, 0});
                i % 2 == 0 && near != prefixes_.end())
                key = static_cast<Key>(near->first.first |
                                       (near->first.second == kBits
                                            ? Key{0}
                                            : static_cast<Key>(key >> near->first.second)));
            ASSERT_EQ(Index::find(heap_.memory(), root_, key), expected(key));
            const auto length = static_cast<unsigned>(random_() % (kBits + 1));
            const auto exact = prefixes_.find({cut(key, length), length});
            ASSERT_EQ(Index::get(heap_.memory(), root_, cut(key, length), length),
                      exact == prefixes_.end() ? 0 : exact->second);
        }
    }
    void check_order() {
        auto next = prefixes_.begin();
        Index::each(heap_.memory(), root_, [&](Key key, unsigned length, Reference entry) {
            ASSERT_NE(next, prefixes_.end());
            ASSERT_TRUE(next->first == std::pair(key, length) && next->second == entry);
            ++next;
        });
        EXPECT_EQ(next, prefixes_.end());
    }
    std::size_t size() const { return prefixes_.size(); }
    std::uint64_t used_bytes() const { return heap_.memory().used_bytes(); }
    std::uint64_t told_bytes() const { return Index::bytes(heap_.memory(), root_); }

    // What a reader of before finds must not change.
    void discard_changes() {
        const Reference before = root_;
        const auto kept = prefixes_;
        for (int i = 0; i < 500; ++i) {
            put(kBits);
            remove_one();
        }
        heap_.give_back(heap_.withdraw());
        root_ = before;
        prefixes_ = kept;
    }

  private:
    std::mt19937_64 random_;
    NodeHeap heap_{std::size_t{1} << 30};
    std::vector<NodeHeap::Block> retired_;
    Reference root_ = 0;
    std::map<Prefix, Reference> prefixes_;
};

template <typename Index>
void grow_and_shrink(Index& index, std::size_t most, unsigned longest) {
    for (std::size_t step = 0; index.size() < most; ++step) {
        index.put(longest);
        if (step % 3 == 0 && index.size() > 1)
            index.remove_one();
        // Transactions of one change and of many.
        if (step < 1000 || step % 700 == 0)
            index.publish();
        if (step % (most / 8) == 0)
            index.check(300);
    }
    index.publish();
    EXPECT_EQ(index.used_bytes(), index.told_bytes());
    index.check(3000);
    index.check_order();
    index.discard_changes();
    index.check(3000);
    for (std::size_t step = 0; index.size() > 0; ++step) {
        index.remove_one();
        if (step % 500 == 0)
            index.publish();
        if (step % (most / 4) == 0)
            index.check(300);
    }
    index.publish();
    EXPECT_EQ(index.used_bytes(), 0u);
}

TEST(PrefixIndex, AddressesOfIPv4) {
    Checked<std::uint32_t, 18> index(1);
    grow_and_shrink(index, 40000, 32);
}

TEST(PrefixIndex, AddressesOfIPv6) {
    Checked<Bits128, 32> index(2);
    grow_and_shrink(index, 90000, 128);
}

TEST(PrefixIndex, KeysOf64Bits) {
    Checked<std::uint64_t, 48> macs(3);
    grow_and_shrink(macs, 90000, 48);
    Checked<std::uint64_t, 18> hashes(4);
    grow_and_shrink(hashes, 40000, 64);
}

TEST(PrefixIndex, AFewEntries) {
    for (std::uint64_t seed = 10; seed < 60; ++seed) {
        Checked<std::uint32_t, 18> index(seed);
        grow_and_shrink(index, 60, seed % 2 == 0 ? 32 : 9);
    }
}

}  // namespace
}  // namespace sluice::table
