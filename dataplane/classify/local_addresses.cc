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
            if (const auto* v4 = std::get_if<Ipv4>(&entry.address)) {
                v4_.push_back(v4->host());
                // RFC 3021: the last address of shorter networks is a host's.
                if (entry.prefix_length < 31)
                    broadcast_.push_back(v4->host() | 0xffffffff >> entry.prefix_length);
            } else {
                v6_.push_back(std::get<Ipv6>(entry.address));
            }
        }
    }
    for (const auto& addresses : {v4_, broadcast_})
        for (const std::uint32_t address : addresses)
            hints_.set(hint_of(Ipv4::from_host(address)));
    for (const Ipv6& address : v6_)
        hints_.set(hint_of(address));
    std::sort(v4_.begin(), v4_.end());
    std::sort(v6_.begin(), v6_.end(),
              [](const Ipv6& a, const Ipv6& b) { return a.bytes < b.bytes; });
}

bool LocalAddresses::contains(const packet::Headers& headers, const Ipv6& address) const {
    if (headers.ip_version == 4)
        return contains(first_four(address));
    return headers.ip_version == 6 && contains(address);
}

bool LocalAddresses::is_no_sender(const packet::Headers& headers) const {
    return contains(headers, headers.source) ||
           (headers.ip_version == 4 &&
            std::find(broadcast_.begin(), broadcast_.end(), first_four(headers.source).host()) !=
                broadcast_.end());
}

bool LocalAddresses::contains(const Ipv4& address) const {
    return std::binary_search(v4_.begin(), v4_.end(), address.host());
}

bool LocalAddresses::contains(const Ipv6& address) const {
    return std::binary_search(v6_.begin(), v6_.end(), address,
                              [](const Ipv6& a, const Ipv6& b) { return a.bytes < b.bytes; });
}

}  // namespace sluice::classify
