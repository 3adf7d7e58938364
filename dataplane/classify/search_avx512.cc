#if defined(__x86_64__)

#include <immintrin.h>

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

    static unsigned child(const Node& node, std::uint32_t value) {
        const __mmask16 below = _mm512_cmplt_epu32_mask(_mm512_load_si512(node.pivots.data()),
                                                        _mm512_set1_epi32(static_cast<int>(value)));
        // The last of the sixteen is no pivot.
        return static_cast<unsigned>(_mm_popcnt_u32(below & 0x7fffu));
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
            : key(of),
              ports(_mm256_setr_m128i(
                  _mm_set1_epi16(static_cast<short>(of.lanes[lane::source_port])),
                  _mm_set1_epi16(static_cast<short>(of.lanes[lane::destination_port])))),
              lacking(_mm256_set1_epi32(static_cast<int>(~of.lanes[lane::attributes]))) {}

        __m256i broadcast(unsigned which) const {
            return _mm256_set1_epi32(static_cast<int>(key.lanes[which]));
        }

        unsigned ports_match(const PortSpans& spans) const {
            const __mmask16 inside = _mm256_mask_cmple_epu16_mask(
                _mm256_cmpge_epu16_mask(ports, load(spans.first.data())), ports,
                load(spans.last.data()));
            return inside & static_cast<unsigned>(inside) >> 8;
        }

        __mmask8 attributes_match(const Eight<std::uint32_t>& wanted) const {
            return _mm256_testn_epi32_mask(lacking, load(wanted.data()));
        }

        unsigned match(const Block4& block) const {
            __mmask8 bits = attributes_match(block.attributes);
            bits = within(bits, block.source, broadcast(lane::source));
            bits = within(bits, block.destination, broadcast(lane::destination));
            return bits & ports_match(block.ports);
        }

        unsigned match(const Block6& block) const {
            unsigned bits = attributes_match(block.attributes) & ports_match(block.ports);
            for (unsigned word = 0; word < 4 && bits != 0; ++word) {
                auto part = static_cast<__mmask8>(bits);
                part = within(part, block.source[word], broadcast(lane::source + word));
                bits = within(part, block.destination[word], broadcast(lane::destination + word));
            }
            return bits;
        }

        const HeaderKey& key;
        const __m256i ports;
        const __m256i lacking;
    };
};

}  // namespace
}  // namespace sluice::classify

#include "dataplane/classify/search_kernel.h"

namespace sluice::classify {

void search_avx512(const Forest& forest, const Burst& burst) {
    search(forest, burst);
}

}  // namespace sluice::classify

SLUICE_TARGET_END

#endif
