#include "dataplane/worker/station_table.h"

#include <cstring>

namespace sluice::worker {

namespace {

// 48 bits of address, 5 of the port, 11 of the time; an entry of nobody is 0, as no station has the
// address 0.
constexpr unsigned kPortShift = 48, kTimeShift = 53;
constexpr std::uint64_t kAddressMask = (std::uint64_t{1} << kPortShift) - 1;
constexpr std::uint64_t kPortMask = 0x1f;
constexpr std::uint32_t kTimeMask = 0x7ff;

std::uint64_t number_of(const MacAddress& station) {
    std::uint64_t number = 0;
    std::memcpy(&number, station.bytes.data(), station.bytes.size());
    return number;
}

std::uint32_t step_of(std::uint32_t uptime_s) {
    return uptime_s / StationTable::kStep_s & kTimeMask;
}

std::uint64_t entry_of(std::uint64_t station, std::uint16_t port, std::uint32_t step) {
    return station | std::uint64_t{port} << kPortShift | std::uint64_t{step} << kTimeShift;
}

// Steps since the entry was written. The clock goes round in two hours and a quarter; an entry that
// looks young again by then costs one frame that goes astray.
std::uint32_t age_of(std::uint64_t entry, std::uint32_t step) {
    return (step - static_cast<std::uint32_t>(entry >> kTimeShift)) & kTimeMask;
}

}  // namespace

StationTable::StationTable(std::size_t buckets, std::uint64_t seed)
    : mask_(buckets - 1), seed_(seed | 1), buckets_(new Bucket[buckets]()) {}

StationTable::Bucket& StationTable::bucket_of(std::uint64_t station) const {
    const std::uint64_t mixed = (station ^ seed_) * 0x9e3779b97f4a7c15 ^ (station * seed_ >> 29);
    return buckets_[(mixed ^ mixed >> 32) & mask_];
}

void StationTable::learn(const MacAddress& station, std::uint16_t port, std::uint32_t uptime_s) {
    const std::uint64_t number = number_of(station);
    if (number == 0)
        return;
    const std::uint32_t step = step_of(uptime_s);
    const std::uint64_t wanted = entry_of(number, port, step);
    Bucket& bucket = bucket_of(number);
    unsigned oldest = 0;
    std::uint32_t oldest_age = 0;
    for (unsigned way = 0; way < kWays; ++way) {
        const std::uint64_t entry = bucket.entries[way].load(std::memory_order_relaxed);
        if ((entry & kAddressMask) == number) {
            if (entry != wanted)
                bucket.entries[way].store(wanted, std::memory_order_relaxed);
            return;
        }
        const std::uint32_t age = entry == 0 ? kTimeMask + 1 : age_of(entry, step);
        if (age >= oldest_age) {
            oldest = way;
            oldest_age = age;
        }
    }
    bucket.entries[oldest].store(wanted, std::memory_order_relaxed);
}

std::optional<std::uint16_t> StationTable::find(const MacAddress& station,
                                                std::uint32_t uptime_s) const {
    const std::uint64_t number = number_of(station);
    const std::uint32_t step = step_of(uptime_s);
    for (const auto& each : bucket_of(number).entries) {
        const std::uint64_t entry = each.load(std::memory_order_relaxed);
        if ((entry & kAddressMask) == number && number != 0)
            return age_of(entry, step) * kStep_s <= kLifetime_s
                       ? std::optional(static_cast<std::uint16_t>(entry >> kPortShift & kPortMask))
                       : std::nullopt;
    }
    return std::nullopt;
}

}  // namespace sluice::worker
