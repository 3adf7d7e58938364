// `me` and `via ADDRESS`: the addresses of the machine itself.
#pragma once

#include <cstdint>
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

  private:
    std::vector<std::uint32_t> v4_;  // sorted, in host byte order
    std::vector<Ipv6> v6_;           // sorted
};

}  // namespace sluice::classify
