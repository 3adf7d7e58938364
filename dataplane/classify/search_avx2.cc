#if defined(__x86_64__)

#include <immintrin.h>

#include <cstring>

#include "dataplane/classify/leaf.h"
#include "dataplane/classify/search.h"
#include "dataplane/classify/search_target.h"

SLUICE_TARGET_BEGIN("avx2,bmi,popcnt")

#include "dataplane/classify/search_lists.h"

namespace sluice::classify {
namespace {

// Eight boxes at a time. Comparisons of AVX2 are signed; a minimum is unsigned if one wants.
struct Vector : PlainLists {
    static __m256i load(const void* from) {
        return _mm256_load_si256(static_cast<const __m256i*>(from));
    }

    static unsigned lanes_set(__m256i value) {
        return static_cast<unsigned>(_mm256_movemask_ps(_mm256_castsi256_ps(value)));
    }

    static unsigned child(const Pivots& pivots, std::uint32_t value) {
        const __m256i sign = _mm256_set1_epi32(static_cast<int>(0x80000000));
        const __m256i key = _mm256_xor_si256(_mm256_set1_epi32(static_cast<int>(value)), sign);
        const __m256i low = _mm256_xor_si256(load(pivots.data()), sign),
                      high = _mm256_xor_si256(load(pivots.data() + 8), sign);
        const unsigned below =
            lanes_set(_mm256_cmpgt_epi32(key, low)) | lanes_set(_mm256_cmpgt_epi32(key, high)) << 8;
        return static_cast<unsigned>(_mm_popcnt_u32(below));
    }

    // Of 64 numbers those that have the bit, and those that are above another; both are less than
    // 2^31.
    static std::uint64_t having(const std::uint8_t* values, unsigned bit) {
        const auto half = [&](const std::uint8_t* from) {
            return static_cast<std::uint32_t>(
                _mm256_movemask_epi8(_mm256_slli_epi32(load(from), static_cast<int>(7 - bit))));
        };
        return half(values) | std::uint64_t{half(values + 32)} << 32;
    }
    static std::uint64_t above(const std::uint32_t* values, std::uint32_t than) {
        const __m256i bound = _mm256_set1_epi32(static_cast<int>(than));
        std::uint64_t result = 0;
        for (unsigned i = 0; i < 64; i += 8)
            result |= std::uint64_t{lanes_set(_mm256_cmpgt_epi32(load(values + i), bound))} << i;
        return result;
    }

    static unsigned terminal(const BoxRules& rules) { return lanes_set(load(rules.values.data())); }

    static __m256i within(const Spans& spans, __m256i value) {
        const __m256i distance = _mm256_sub_epi32(value, load(spans.first.data()));
        return _mm256_cmpeq_epi32(_mm256_min_epu32(distance, load(spans.span.data())), distance);
    }

    template <typename Block>
    struct Query {
        explicit Query(const HeaderKey& of)
            : key(of), ports(broadcast(lane::ports)), attributes(broadcast(lane::attributes)) {}

        __m256i broadcast(unsigned which) const {
            return _mm256_set1_epi32(static_cast<int>(key.lanes[which]));
        }

        // Zero in the lanes of boxes whose ports and attributes match.
        __m256i violations(const PortSpans& spans, const Eight<std::uint32_t>& wanted) const {
            const __m256i outside =
                _mm256_or_si256(_mm256_subs_epu16(load(spans.first.data()), ports),
                                _mm256_subs_epu16(ports, load(spans.last.data())));
            return _mm256_or_si256(outside, _mm256_andnot_si256(attributes, load(wanted.data())));
        }

        __m256i few_match(const PortSpans& spans, const Eight<std::uint32_t>& wanted) const {
            return _mm256_cmpeq_epi32(violations(spans, wanted), _mm256_setzero_si256());
        }

        unsigned match(const Block4& block) const {
            const __m256i addresses =
                _mm256_and_si256(within(block.source, broadcast(lane::source)),
                                 within(block.destination, broadcast(lane::destination)));
            return lanes_set(_mm256_and_si256(addresses, few_match(block.ports, block.attributes)));
        }

        unsigned match(const Block6& block) const {
            unsigned bits = lanes_set(few_match(block.ports, block.attributes));
            for (unsigned word = 0; word < 4 && bits != 0; ++word)
                bits &= lanes_set(_mm256_and_si256(
                    within(block.source[word], broadcast(lane::source + word)),
                    within(block.destination[word], broadcast(lane::destination + word))));
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

void search_avx2(const Forest& forest, std::span<const HeaderKey> keys, std::uint32_t from,
                 std::span<Matches> matches, std::span<const HeaderKey> ahead) {
    search(forest, keys, from, matches, ahead);
}

}  // namespace sluice::classify

SLUICE_TARGET_END

#endif
