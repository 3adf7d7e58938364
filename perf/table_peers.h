// What DPDK has for the same purpose as tables: rte_fib, rte_fib6 and rte_lpm for prefixes,
// rte_hash for exact keys. Each finds a number of 32 bits; 0: nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/address.h"
#include "dataplane/contract/table.h"

namespace sluice::peers {

// Numbers of prefixes go from 1 to this one.
inline constexpr std::uint32_t kNumbers = 64;
// So many at once, at most.
inline constexpr std::size_t kBurst = 64;

// Before all others. An error ends the process.
void start_dpdk(const char* program);

class PrefixPeer {
  public:
    virtual ~PrefixPeer() = default;
    virtual const char* name() const = 0;
    // IPv4 addresses stand in the first four bytes.
    virtual void find(std::span<const Ipv6> addresses, std::uint32_t* numbers) = 0;
};

// keys[i] has the number 1 + i % kNumbers. Null: it has no room for so many. REQUIRES: all are of
// one family, and different.
std::unique_ptr<PrefixPeer> make_fib(const std::vector<contract::TableKey>& keys);
// The same, of IPv4; null also where loading them would take minutes.
std::unique_ptr<PrefixPeer> make_lpm(const std::vector<contract::TableKey>& keys);

// Keys of `key_size` bytes, one behind the other.
class HashPeer {
  public:
    HashPeer(std::span<const std::byte> keys, std::size_t key_size);
    ~HashPeer();
    HashPeer(const HashPeer&) = delete;

    // Whether they are there. Both REQUIRE: count <= kBurst.
    std::size_t find(const std::byte* const* keys, std::size_t count);
    bool find(const std::byte* key);

  private:
    struct Handle;
    std::unique_ptr<Handle> handle_;
};

}  // namespace sluice::peers
