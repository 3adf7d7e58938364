#include "dataplane/state/flow_index.h"

namespace sluice::state {

namespace {

constexpr std::uint64_t kLoadPercent = 60;

// A bucket that has sent so many on is not counted any more: it always sends look-ups on.
constexpr std::uint16_t kManyPassedOn = 0xffff;

}  // namespace

std::uint64_t FlowIndex::buckets_for(CellIndex cells) {
    return std::uint64_t{cells} * 100 / (kBucketEntries * kLoadPercent) + 1;
}

bool FlowIndex::insert(FlowHash hash, CellIndex cell) {
    std::size_t at = home(hash);
    unsigned probes = 0;
    unsigned empty = matches(buckets_[at], 0);
    while (empty == 0) {
        if (++probes == kMaximumProbes)
            return false;
        at = next(at);
        empty = matches(buckets_[at], 0);
    }
    for (std::size_t full = home(hash); full != at; full = next(full))
        if (buckets_[full].passed_on != kManyPassedOn)
            store(buckets_[full].passed_on,
                  static_cast<std::uint16_t>(buckets_[full].passed_on + 1));
    const int place = std::countr_zero(empty);
    store(buckets_[at].cells[place], cell | check(hash) << kCellBits);
    store(buckets_[at].tags[place], tag(hash));
    return true;
}

void FlowIndex::erase(FlowHash hash, CellIndex cell) {
    const std::uint32_t entry = cell | check(hash) << kCellBits;
    std::size_t at = home(hash);
    for (unsigned probes = 0; probes < kMaximumProbes; ++probes, at = next(at)) {
        Bucket& bucket = buckets_[at];
        for (unsigned hits = matches(bucket, tag(hash)); hits != 0; hits &= hits - 1) {
            const int place = std::countr_zero(hits);
            if (bucket.cells[place] != entry)
                continue;
            store(bucket.tags[place], std::uint8_t{0});
            for (std::size_t full = home(hash); full != at; full = next(full))
                if (buckets_[full].passed_on != kManyPassedOn)
                    store(buckets_[full].passed_on,
                          static_cast<std::uint16_t>(buckets_[full].passed_on - 1));
            return;
        }
    }
}

}  // namespace sluice::state
