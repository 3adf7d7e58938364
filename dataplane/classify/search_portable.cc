#include <cstring>

#include "dataplane/classify/leaf.h"
#include "dataplane/classify/search.h"
#include "dataplane/classify/search_lists.h"

namespace sluice::classify {
namespace {

// Plain loops, which the compiler turns into what every CPU of the family has.
struct Vector : PlainLists {
    static unsigned child(const Pivots& pivots, std::uint32_t value) {
        unsigned below = 0;
        for (const std::uint32_t pivot : pivots)
            below += pivot < value ? 1 : 0;
        return below;
    }

    // Of 64 numbers those that have the bit, and those that are above another.
    static std::uint64_t having(const std::uint8_t* values, unsigned bit) {
        std::uint64_t result = 0;
        for (unsigned i = 0; i < 64; ++i)
            result |= std::uint64_t{values[i] >> bit & 1u} << i;
        return result;
    }
    static std::uint64_t above(const std::uint32_t* values, std::uint32_t than) {
        std::uint64_t result = 0;
        for (unsigned i = 0; i < 64; ++i)
            result |= std::uint64_t{values[i] > than ? 1u : 0u} << i;
        return result;
    }

    static unsigned terminal(const BoxRules& rules) {
        unsigned bits = 0;
        for (unsigned i = 0; i < kBlockSize; ++i)
            bits |= rules.values[i] >> 31 << i;
        return bits;
    }

    static unsigned within(const Spans& spans, std::uint32_t value) {
        unsigned bits = 0;
        for (unsigned i = 0; i < kBlockSize; ++i)
            bits |= (value - spans.first[i] <= spans.span[i] ? 1u : 0u) << i;
        return bits;
    }

    static unsigned ports_match(const PortSpans& ports, const HeaderKey& key) {
        const std::uint32_t source = key.lanes[lane::source_port],
                            destination = key.lanes[lane::destination_port];
        unsigned bits = 0;
        for (unsigned i = 0; i < kBlockSize; ++i) {
            const unsigned from = 2 * i, to = from + 1;
            const bool matches = ports.first[from] <= source && source <= ports.last[from] &&
                                 ports.first[to] <= destination && destination <= ports.last[to];
            bits |= (matches ? 1u : 0u) << i;
        }
        return bits;
    }

    static unsigned attributes_match(const Eight<std::uint32_t>& wanted, const HeaderKey& key) {
        unsigned bits = 0;
        for (unsigned i = 0; i < kBlockSize; ++i)
            bits |= ((wanted[i] & ~key.lanes[lane::attributes]) == 0 ? 1u : 0u) << i;
        return bits;
    }

    template <typename Block>
    struct Query {
        explicit Query(const HeaderKey& of) : key(of) {}

        unsigned match(const Block4& block) const {
            return within(block.source, key.lanes[lane::source]) &
                   within(block.destination, key.lanes[lane::destination]) &
                   ports_match(block.ports, key) & attributes_match(block.attributes, key);
        }

        unsigned match(const Block6& block) const {
            unsigned bits = ports_match(block.ports, key) & attributes_match(block.attributes, key);
            for (unsigned word = 0; word < 4 && bits != 0; ++word)
                bits &= within(block.source[word], key.lanes[lane::source + word]) &
                        within(block.destination[word], key.lanes[lane::destination + word]);
            return bits;
        }

        const HeaderKey& key;
    };
};

}  // namespace
}  // namespace sluice::classify

#include "dataplane/classify/search_kernel.h"

namespace sluice::classify {

void search_portable(const Forest& forest, std::span<const HeaderKey> keys, std::uint32_t from,
                     std::span<Matches> matches, std::span<const HeaderKey> ahead) {
    search(forest, keys, from, matches, ahead);
}

}  // namespace sluice::classify
