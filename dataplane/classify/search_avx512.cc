#if defined(__x86_64__)

#include <immintrin.h>

#include <cstring>

#include "dataplane/classify/leaf.h"
#include "dataplane/classify/search.h"
#include "dataplane/classify/search_target.h"

SLUICE_TARGET_BEGIN("avx2,avx512f,avx512bw,avx512vl,bmi,popcnt")

#include "dataplane/classify/search_lists.h"

namespace sluice::classify {
namespace {

// Eight boxes at a time, in half registers: comparisons give masks and need no tricks.
struct Vector {
    static __m256i load(const void* from) {
        return _mm256_load_si256(static_cast<const __m256i*>(from));
    }

    static unsigned child(const Pivots& pivots, std::uint32_t value) {
        const __mmask16 below = _mm512_cmpgt_epu32_mask(_mm512_set1_epi32(static_cast<int>(value)),
                                                        _mm512_load_si512(pivots.data()));
        return static_cast<unsigned>(_mm_popcnt_u32(below));
    }

    // Of 64 numbers those that have the bit, and those that are above another.
    static std::uint64_t having(const std::uint8_t* values, unsigned bit) {
        return _mm512_test_epi8_mask(_mm512_load_si512(values),
                                     _mm512_set1_epi8(static_cast<char>(1u << bit)));
    }
    static std::uint64_t above(const std::uint32_t* values, std::uint32_t than) {
        const __m512i bound = _mm512_set1_epi32(static_cast<int>(than));
        std::uint64_t result = 0;
        for (unsigned i = 0; i < 64; i += 16)
            result |= std::uint64_t{_mm512_cmpgt_epu32_mask(_mm512_load_si512(values + i), bound)}
                      << i;
        return result;
    }

    // See PlainLists.
    static std::size_t list_keys(std::uint64_t packets, std::uint32_t* keys) {
        const __m512i step = _mm512_set1_epi32(16 * sizeof(HeaderKey));
        __m512i places = _mm512_mullo_epi32(
            _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
            _mm512_set1_epi32(sizeof(HeaderKey)));
        std::size_t count = 0;
        for (; packets != 0; packets >>= 16) {
            const auto some = static_cast<__mmask16>(packets);
            count += put(keys + count, some, places);
            places = _mm512_add_epi32(places, step);
        }
        return count;
    }
    static Progress separate(const Reference* next, std::size_t count, Progress progress,
                             Walks& walking, Walks& arrived) {
        const std::uint32_t* keys = walking.key + progress.walking;
        const __m512i leaf = _mm512_set1_epi32(kLeaf);
        for (std::size_t i = 0; i < count; i += 16) {
            const auto valid =
                static_cast<__mmask16>(count - i < 16 ? (1u << (count - i)) - 1 : 0xffffu);
            const __m512i at = _mm512_loadu_si512(next + i), key = _mm512_loadu_si512(keys + i);
            const __mmask16 at_leaf = _mm512_mask_test_epi32_mask(valid, at, leaf),
                            at_node = _mm512_mask_testn_epi32_mask(valid, at, leaf);
            put(arrived.key + progress.arrived, at_leaf, key);
            progress.arrived += put(arrived.at + progress.arrived, at_leaf, at);
            put(walking.key + progress.walking, at_node, key);
            progress.walking += put(walking.at + progress.walking, at_node, at);
        }
        return progress;
    }
    // Writes some of 16 numbers one behind the other, and anything behind them. Their number.
    static std::size_t put(std::uint32_t* to, __mmask16 some, __m512i numbers) {
        _mm512_storeu_si512(to, _mm512_maskz_compress_epi32(some, numbers));
        return static_cast<std::size_t>(_mm_popcnt_u32(some));
    }

    static unsigned terminal(const BoxRules& rules) {
        return static_cast<unsigned>(
            _mm256_movemask_ps(_mm256_castsi256_ps(load(rules.values.data()))));
    }

    static __mmask8 within(__mmask8 candidates, const Spans& spans, __m256i value) {
        return _mm256_mask_cmple_epu32_mask(
            candidates, _mm256_sub_epi32(value, load(spans.first.data())), load(spans.span.data()));
    }

    template <typename Block>
    struct Query {
        explicit Query(const HeaderKey& of)
            : key(of), ports(broadcast(lane::ports)), attributes(broadcast(lane::attributes)) {}

        __m256i broadcast(unsigned which) const {
            return _mm256_set1_epi32(static_cast<int>(key.lanes[which]));
        }

        __mmask8 few_match(const PortSpans& spans, const Eight<std::uint32_t>& wanted) const {
            const __m256i below = _mm256_subs_epu16(load(spans.first.data()), ports),
                          above = _mm256_subs_epu16(ports, load(spans.last.data()));
            const __m256i lacking = _mm256_andnot_si256(attributes, load(wanted.data()));
            const __m256i violations = _mm256_or_si256(_mm256_or_si256(below, above), lacking);
            return _mm256_testn_epi32_mask(violations, violations);
        }

        unsigned match(const Block4& block) const {
            __mmask8 bits = few_match(block.ports, block.attributes);
            bits = within(bits, block.source, broadcast(lane::source));
            return within(bits, block.destination, broadcast(lane::destination));
        }

        unsigned match(const Block6& block) const {
            unsigned bits = few_match(block.ports, block.attributes);
            for (unsigned word = 0; word < 4 && bits != 0; ++word) {
                auto part = static_cast<__mmask8>(bits);
                part = within(part, block.source[word], broadcast(lane::source + word));
                bits = within(part, block.destination[word], broadcast(lane::destination + word));
            }
            return bits;
        }

        const HeaderKey& key;
        const __m256i ports;
        const __m256i attributes;
    };
};

}  // namespace
}  // namespace sluice::classify

#include "dataplane/classify/search_kernel.h"

namespace sluice::classify {

void search_avx512(const Forest& forest, std::span<const HeaderKey> keys, std::uint32_t from,
                   std::span<Matches> matches, std::span<const HeaderKey> ahead) {
    search(forest, keys, from, matches, ahead);
}

}  // namespace sluice::classify

SLUICE_TARGET_END

#endif
