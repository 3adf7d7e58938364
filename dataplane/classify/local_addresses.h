// `me` and `via ADDRESS`: the addresses of the machine itself.
#pragma once

#include <bitset>
#include <cstdint>
#include <cstring>
#include <vector>

#include "dataplane/packet/environment.h"
#include "dataplane/packet/packet.h"

namespace sluice::classify {

class LocalAddresses {
  public:
    explicit LocalAddresses(const packet::Environment& environment);

    // Whether `address`, of the family of `headers`, is one of them.
    bool contains(const packet::Headers& headers, const Ipv6& address) const;
    bool contains(const Ipv4& address) const;
    bool contains(const Ipv6& address) const;

    // Whether nobody else sends with this address: it is one of them, or the broadcast address of
    // one of their networks.
    bool is_no_sender(const packet::Headers& headers) const;
    // The same at a glance: false is certain, true is not.
    template <typename Address>
    bool may_be_no_sender(const Address& address) const {
        return hints_[hint_of(address)];
    }

  private:
    template <typename Address>
    static std::size_t hint_of(const Address& address) {
        std::uint64_t words[2] = {};
        std::memcpy(words, &address, sizeof address);
        return (words[0] ^ words[1]) * 0x9e3779b97f4a7c15 >> 54;
    }

    std::vector<std::uint32_t> v4_;  // sorted, in host byte order
    std::vector<Ipv6> v6_;           // sorted
    std::vector<std::uint32_t> broadcast_;
    std::bitset<1024> hints_;
};

}  // namespace sluice::classify
