// Behind which port of a bridge a station was seen last: what a learning bridge knows (IEEE
// 802.1D).
//
// One table for each bridge, for all VLANs alike. An entry is one 64-bit word: the MAC address, the
// port, and when it was seen. So all workers read and write it without locks: each sees an entry
// as somebody wrote it, and of two that write at once one wins. What is lost that way is learnt
// again from the next frame.
//
// Bounded: a bucket is one cache line of eight entries; the oldest one gives way. Frames to a
// station that is not found are flooded, within the limit of the caller.
//
// Threads: all functions may be called by any worker at any time.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>

#include "common/address.h"

namespace sluice::worker {

class StationTable {
  public:
    // As usual for bridges. The clock goes in steps of kStep seconds.
    static constexpr std::uint32_t kLifetime_s = 300;
    static constexpr std::uint32_t kStep_s = 4;

    // `seed` keeps strangers from filling a bucket on purpose. Room for 8 times `buckets` stations.
    // REQUIRES: buckets is a power of two.
    StationTable(std::size_t buckets, std::uint64_t seed);

    // A frame of this station came in by `port`. Writes only if that is news. REQUIRES: port < 32;
    // the address is not a group's.
    void learn(const MacAddress& station, std::uint16_t port, std::uint32_t uptime_s);

    // None: not seen for kLifetime_s.
    std::optional<std::uint16_t> find(const MacAddress& station, std::uint32_t uptime_s) const;

  private:
    static constexpr unsigned kWays = 8;
    struct alignas(64) Bucket {
        std::atomic<std::uint64_t> entries[kWays];
    };

    Bucket& bucket_of(std::uint64_t station) const;

    std::size_t mask_;
    std::uint64_t seed_;
    std::unique_ptr<Bucket[]> buckets_;
};

}  // namespace sluice::worker
