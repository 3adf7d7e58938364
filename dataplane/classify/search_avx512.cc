#if defined(__x86_64__)

#include <immintrin.h>

#include <cstring>

#include "dataplane/classify/leaf.h"
#include "dataplane/classify/search.h"
#include "dataplane/classify/search_target.h"

SLUICE_TARGET_BEGIN("avx2,avx512f,avx512bw,avx512vl,bmi,popcnt")

namespace sluice::classify {
namespace {

// Eight boxes at a time, in half registers: comparisons give masks and need no tricks.
struct Vector {
    static __m256i load(const void* from) {
        return _mm256_load_si256(static_cast<const __m256i*>(from));
    }

    static unsigned child(const Pivots& pivots, std::uint32_t value) {
        const __mmask16 below = _mm512_cmplt_epu32_mask(_mm512_load_si512(pivots.data()),
                                                        _mm512_set1_epi32(static_cast<int>(value)));
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
                   std::span<Matches> matches) {
    search(forest, keys, from, matches);
}

}  // namespace sluice::classify

SLUICE_TARGET_END

#endif
