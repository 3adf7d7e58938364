#include "dataplane/classify/local_addresses.h"

#include <algorithm>
#include <cstring>

namespace sluice::classify {

namespace {

Ipv4 first_four(const Ipv6& address) {
    Ipv4 result;
    std::memcpy(&result, address.bytes.data(), sizeof result);
    return result;
}

}  // namespace

LocalAddresses::LocalAddresses(const packet::Environment& environment) {
    for (const packet::Interface& interface : environment.interfaces) {
        for (const packet::InterfaceAddress& entry : interface.addresses) {
            if (const auto* v4 = std::get_if<Ipv4>(&entry.address))
                v4_.push_back(v4->host());
            else
                v6_.push_back(std::get<Ipv6>(entry.address));
        }
    }
    std::sort(v4_.begin(), v4_.end());
    std::sort(v6_.begin(), v6_.end(),
              [](const Ipv6& a, const Ipv6& b) { return a.bytes < b.bytes; });
}

bool LocalAddresses::contains(const packet::Headers& headers, const Ipv6& address) const {
    if (headers.ip_version == 4)
        return contains(first_four(address));
    return headers.ip_version == 6 && contains(address);
}

bool LocalAddresses::contains(const Ipv4& address) const {
    return std::binary_search(v4_.begin(), v4_.end(), address.host());
}

bool LocalAddresses::contains(const Ipv6& address) const {
    return std::binary_search(v6_.begin(), v6_.end(), address,
                              [](const Ipv6& a, const Ipv6& b) { return a.bytes < b.bytes; });
}

}  // namespace sluice::classify
